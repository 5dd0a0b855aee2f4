//! Normalizations.

use crate::Result;
use crate::nn::onnx::step::Step;
use crate::nn::onnx::writer::{Attribute, Order, Tensors, Writer};
use crate::nn::ops::batch_norm::BatchNorm;
use crate::nn::ops::group_norm::GroupNorm;
use crate::nn::ops::layer_norm::LayerNorm;
use crate::nn::ops::rms_norm::RmsNorm;

/// By the running statistics.
pub(super) fn batch_norm(
    writer: &mut Writer,
    step: &Step,
    op: &BatchNorm,
    inputs: &mut [Tensors],
) -> Result<Tensors> {
    let [mean, variance] = [0, 1].map(|number| step.statistic(number).to_vec());
    let channels = [op.channels];
    let (gamma, beta) = match op.affine {
        true => (step.numbers(0).to_vec(), step.numbers(1).to_vec()),
        false => (vec![1.0; op.channels], vec![0.0; op.channels]),
    };
    let (mut name, order) = if inputs[0].shape().len() == 2 {
        // Tokens: ONNX's operator wants the channels behind the rows.
        let x = writer.last(&mut inputs[0]);
        let scale: Vec<f64> =
            gamma.iter().zip(&variance).map(|(g, v)| g / (v + op.epsilon).sqrt()).collect();
        let offsets = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s);
        let offset: Vec<f64> = offsets.collect();
        let (scale, offset) = (writer.floats(&channels, &scale), writer.floats(&channels, &offset));
        let product = writer.node("Mul", &[&x, &scale], &[]);
        (writer.node("Add", &[&product, &offset], &[]), Order::Last)
    } else {
        let x = writer.first(&mut inputs[0]);
        let [gamma, beta, mean, variance] =
            [gamma, beta, mean, variance].map(|values| writer.floats(&channels, &values));
        let attributes = [("epsilon", Attribute::Float(op.epsilon))];
        let inputs = [x.as_str(), &gamma, &beta, &mean, &variance];
        (writer.node("BatchNormalization", &inputs, &attributes), Order::First)
    };
    if let Some(other) = inputs.get_mut(1).filter(|_| op.residual) {
        let other = match order {
            Order::First => writer.first(other),
            Order::Last => writer.last(other),
        };
        name = writer.node("Add", &[&name, &other], &[]);
    }
    if op.relu {
        name = writer.node("Relu", &[&name], &[]);
    }
    Ok(Tensors::of(step.output, order, name))
}

/// The groups of channels as the channels of an instance normalization, whose scale is 1.
pub(super) fn group_norm(
    writer: &mut Writer,
    step: &Step,
    op: &GroupNorm,
    x: &mut Tensors,
) -> Tensors {
    let axes = x.shape().len();
    let x = writer.first(x);
    let groups = writer.reshape(&x, &[0, op.groups as i64, -1]);
    let [one, zero] = [1.0, 0.0].map(|value| writer.floats(&[op.groups], &vec![value; op.groups]));
    let attributes = [("epsilon", Attribute::Float(op.epsilon))];
    let normal = writer.node("InstanceNormalization", &[&groups, &one, &zero], &attributes);
    let others = step.output[..axes - 1].iter().map(|&axis| axis as i64);
    let shape: Vec<i64> = [0, op.channels as i64].into_iter().chain(others).collect();
    let mut name = writer.reshape(&normal, &shape);
    if op.affine {
        let shape: Vec<usize> = [op.channels].into_iter().chain(vec![1; axes - 1]).collect();
        let gamma = writer.floats(&shape, step.numbers(0));
        let beta = writer.floats(&shape, step.numbers(1));
        name = writer.node("Mul", &[&name, &gamma], &[]);
        name = writer.node("Add", &[&name, &beta], &[]);
    }
    Tensors::first(step.output, name)
}

pub(super) fn layer_norm(writer: &mut Writer, step: &Step, op: &LayerNorm, x: &str) -> String {
    let shape = [op.width];
    let gamma = step.constant(writer, 0, "weight", &shape).filter(|_| op.affine);
    let gamma = gamma.unwrap_or_else(|| writer.floats(&shape, &vec![1.0; op.width]));
    let beta = step.constant(writer, 1, "bias", &shape).filter(|_| op.affine && op.bias);
    let inputs: Vec<&str> = [x, &gamma].into_iter().chain(beta.as_deref()).collect();
    let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(op.epsilon))];
    writer.node("LayerNormalization", &inputs, &attributes)
}

/// x/√(mean x² + ε), then γ.
pub(super) fn rms_norm(writer: &mut Writer, step: &Step, op: &RmsNorm, x: &str) -> String {
    let square = writer.node("Mul", &[x, x], &[]);
    let attributes = [("axes", Attribute::Ints(&[-1])), ("keepdims", Attribute::Int(1))];
    let mean = writer.node("ReduceMean", &[&square], &attributes);
    let epsilon = writer.float(op.epsilon);
    let mean = writer.node("Add", &[&mean, &epsilon], &[]);
    let root = writer.node("Sqrt", &[&mean], &[]);
    let name = writer.node("Div", &[x, &root], &[]);
    match step.constant(writer, 0, "weight", &[op.width]).filter(|_| op.affine) {
        Some(gamma) => writer.node("Mul", &[&name, &gamma], &[]),
        None => name,
    }
}
