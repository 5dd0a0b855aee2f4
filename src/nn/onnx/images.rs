//! Convolutions and pooling, which want the channels behind the rows.

use crate::Result;
use crate::nn::onnx::activations::epilogue;
use crate::nn::onnx::step::Step;
use crate::nn::onnx::writer::{Attribute, Tensors, Writer, refused};
use crate::nn::ops::conv2d::Conv2d;
use crate::nn::ops::pool::average::{AdaptiveAvgPool2d, AvgPool2d};
use crate::nn::ops::pool::max::MaxPool2d;

fn pair([height, width]: [usize; 2]) -> [i64; 2] {
    [height as i64, width as i64]
}

pub(super) fn conv2d(
    writer: &mut Writer,
    step: &Step,
    op: &Conv2d,
    x: &mut Tensors,
) -> Result<Tensors> {
    if op.norm.is_some() {
        return Err(refused(&step.node.path, "is fused with its norm".into(), "a graph as built"));
    }
    let x = writer.first(x);
    let ([height, width], channels) = (op.kernel, op.input[2] / op.groups);
    let shape = [op.filters, channels, height, width];
    let weight = writer.parameter(&step.ranges[0], "kernel", "weight", &shape, || {
        let (numbers, taps) = (step.numbers(0), height * width);
        let at = |filter: usize, channel: usize, tap: usize| {
            numbers[(tap * channels + channel) * op.filters + filter]
        };
        let all =
            (0..op.filters).flat_map(|filter| (0..channels).map(move |channel| (filter, channel)));
        all.flat_map(|(filter, channel)| (0..taps).map(move |tap| (filter, channel, tap)))
            .map(|(filter, channel, tap)| at(filter, channel, tap))
            .collect()
    });
    let bias = step.constant(writer, 1, "bias", &[op.filters]).filter(|_| op.bias);
    let inputs: Vec<&str> = [x.as_str(), &weight].into_iter().chain(bias.as_deref()).collect();
    let [top, bottom, left, right] = op.padding.map(|side| side as i64);
    let attributes = [
        ("dilations", Attribute::Ints(&pair(op.dilation))),
        ("group", Attribute::Int(op.groups as i64)),
        ("kernel_shape", Attribute::Ints(&pair(op.kernel))),
        ("pads", Attribute::Ints(&[top, left, bottom, right])),
        ("strides", Attribute::Ints(&pair(op.stride))),
    ];
    let name = writer.node("Conv", &inputs, &attributes);
    let name = epilogue(writer, op.activation.as_deref(), name)?;
    Ok(Tensors::first(step.output, name))
}

/// Windows of one size over an image.
struct Windows {
    input: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Windows {
    /// The padding before and behind each axis with which exactly the windows of the output fit:
    /// runtimes disagree on which windows a rounding up keeps.
    fn pads(&self, step: &Step) -> [i64; 4] {
        let behind = [0, 1].map(|axis| {
            let reach = (step.output[axis] - 1) * self.stride[axis] + self.kernel[axis];
            reach.saturating_sub(self.input[axis] + self.padding[axis]) as i64
        });
        let [top, left] = pair(self.padding);
        [top, left, behind[0], behind[1]]
    }
}

pub(super) fn max_pool(
    writer: &mut Writer,
    step: &Step,
    op: &MaxPool2d,
    x: &mut Tensors,
) -> Tensors {
    let MaxPool2d { input, kernel, stride, padding, .. } = *op;
    let pads = Windows { input, kernel, stride, padding }.pads(step);
    let x = writer.first(x);
    let attributes = [
        ("kernel_shape", Attribute::Ints(&pair(kernel))),
        ("pads", Attribute::Ints(&pads)),
        ("strides", Attribute::Ints(&pair(stride))),
    ];
    Tensors::first(step.output, writer.node("MaxPool", &[&x], &attributes))
}

/// The means of windows; where padding counts, ONNX divides by the whole kernel, and what lies
/// behind the padding is taken out by a factor of each window.
pub(super) fn average_pool(
    writer: &mut Writer,
    step: &Step,
    op: &AvgPool2d,
    x: &mut Tensors,
) -> Tensors {
    let AvgPool2d { input, kernel, stride, padding, count_include_pad, .. } = *op;
    let pads = Windows { input, kernel, stride, padding }.pads(step);
    let x = writer.first(x);
    let attributes = [
        ("count_include_pad", Attribute::Int(count_include_pad.into())),
        ("kernel_shape", Attribute::Ints(&pair(kernel))),
        ("pads", Attribute::Ints(&pads)),
        ("strides", Attribute::Ints(&pair(stride))),
    ];
    let mut name = writer.node("AveragePool", &[&x], &attributes);
    let share = |axis: usize, window: usize| {
        let end = input[axis] + 2 * padding[axis];
        let count = kernel[axis].min(end - window * stride[axis]);
        kernel[axis] as f64 / count as f64
    };
    let [height, width] = [step.output[0], step.output[1]];
    let row = |y: usize| (0..width).map(move |x| share(0, y) * share(1, x));
    let factors: Vec<f64> = (0..height).flat_map(row).collect();
    if count_include_pad && factors.iter().any(|&factor| factor != 1.0) {
        let factors = writer.floats(&[height, width], &factors);
        name = writer.node("Mul", &[&name, &factors], &[]);
    }
    Tensors::first(step.output, name)
}

/// Windows of one size where the sides divide; else the product with the means of each axis.
pub(super) fn adaptive_average_pool(
    writer: &mut Writer,
    step: &Step,
    op: &AdaptiveAvgPool2d,
    x: &mut Tensors,
) -> Tensors {
    let x = writer.first(x);
    let sides = [0, 1].map(|axis| (op.input[axis], op.output[axis]));
    if sides.iter().all(|(input, output)| input % output == 0) {
        let size = pair(sides.map(|(input, output)| input / output));
        let attributes =
            [("kernel_shape", Attribute::Ints(&size)), ("strides", Attribute::Ints(&size))];
        return Tensors::first(step.output, writer.node("AveragePool", &[&x], &attributes));
    }
    // The weight of each input in each output.
    let means = |(input, output): (usize, usize)| -> Vec<f64> {
        let window = move |place: usize| {
            let (start, end) = (place * input / output, ((place + 1) * input).div_ceil(output));
            let share = 1.0 / (end - start) as f64;
            (0..input).map(move |at| if (start..end).contains(&at) { share } else { 0.0 })
        };
        (0..output).flat_map(window).collect()
    };
    let [rows, columns] = [0, 1].map(|axis| {
        let (input, output) = sides[axis];
        writer.floats(&[output, input], &means(sides[axis]))
    });
    let columns = writer.node("Transpose", &[&columns], &[("perm", Attribute::Ints(&[1, 0]))]);
    let name = writer.node("MatMul", &[&rows, &x], &[]);
    Tensors::first(step.output, writer.node("MatMul", &[&name, &columns], &[]))
}

/// One number for each channel.
pub(super) fn global_pool(
    writer: &mut Writer,
    step: &Step,
    kind: &str,
    x: &mut Tensors,
) -> Tensors {
    let x = writer.first(x);
    let name = writer.node(kind, &[&x], &[]);
    Tensors::last(step.output, writer.reshape(&name, &[0, step.output[0] as i64]))
}
