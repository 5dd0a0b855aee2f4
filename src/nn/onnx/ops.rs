//! Each op of a network as ONNX nodes.

use std::any::Any;

use crate::Result;
use crate::nn::graph::op::Shape;
use crate::nn::onnx::activations::{activate, epilogue};
use crate::nn::onnx::step::Step;
use crate::nn::onnx::writer::refused;
use crate::nn::onnx::writer::{Attribute, Order, Tensors, Writer};
use crate::nn::onnx::{attention, images, norms};
use crate::nn::ops;
use crate::nn::ops::attention::Attention;
use crate::nn::ops::batch_norm::BatchNorm;
use crate::nn::ops::concat::Concat;
use crate::nn::ops::conv2d::Conv2d;
use crate::nn::ops::dense::Dense;
use crate::nn::ops::group_norm::GroupNorm;
use crate::nn::ops::layer_norm::LayerNorm;
use crate::nn::ops::lengths::Lengths;
use crate::nn::ops::pool::average::{AdaptiveAvgPool2d, AvgPool2d};
use crate::nn::ops::pool::global::{GlobalAvgPool, GlobalMaxPool};
use crate::nn::ops::pool::max::MaxPool2d;
use crate::nn::ops::prelu::Prelu;
use crate::nn::ops::rms_norm::RmsNorm;

/// Writes a node; the values of its inputs may take on another order of axes.
pub(super) fn write(writer: &mut Writer, step: &Step, inputs: &mut [Tensors]) -> Result<Tensors> {
    let op = &*step.node.op as &dyn Any;
    // What acts in training alone.
    if op.is::<ops::dropout::Dropout>() || op.is::<ops::gumbel_noise::GumbelNoise>() {
        return Ok(inputs[0].clone());
    }
    if let Some(op) = op.downcast_ref::<ops::add::Add>() {
        return Ok(add(writer, step, op.relu, inputs));
    }
    if let Some(op) = op.downcast_ref::<Concat>() {
        return Ok(concat(writer, step, op, inputs));
    }
    if let Some(op) = op.downcast_ref::<Attention>() {
        let packed = writer.last(&mut inputs[0]);
        let lengths = inputs.get_mut(1).map(|lengths| writer.last(lengths));
        return step.last(attention::attention(writer, op, &packed, lengths.as_deref()));
    }
    if op.is::<ops::masked_mean::MaskedMean>() {
        let [x, lengths] = [0, 1].map(|number| writer.last(&mut inputs[number]));
        return step.last(masked_mean(writer, inputs[0].shape()[0], &x, &lengths));
    }
    if let Some(op) = op.downcast_ref::<BatchNorm>() {
        return norms::batch_norm(writer, step, op, inputs);
    }
    let x = &mut inputs[0];
    if let Some(op) = op.downcast_ref::<Conv2d>() {
        return images::conv2d(writer, step, op, x);
    }
    if let Some(op) = op.downcast_ref::<MaxPool2d>() {
        return Ok(images::max_pool(writer, step, op, x));
    }
    if let Some(op) = op.downcast_ref::<AvgPool2d>() {
        return Ok(images::average_pool(writer, step, op, x));
    }
    if let Some(op) = op.downcast_ref::<AdaptiveAvgPool2d>() {
        return Ok(images::adaptive_average_pool(writer, step, op, x));
    }
    if op.is::<GlobalAvgPool>() {
        return Ok(images::global_pool(writer, step, "GlobalAveragePool", x));
    }
    if op.is::<GlobalMaxPool>() {
        return Ok(images::global_pool(writer, step, "GlobalMaxPool", x));
    }
    if let Some(op) = op.downcast_ref::<GroupNorm>() {
        return Ok(norms::group_norm(writer, step, op, x));
    }
    if let Some(op) = op.downcast_ref::<ops::activation::Activate>() {
        let (name, order) = writer.any(x);
        let name = activate(writer, &*op.activation, &name)?;
        return Ok(Tensors::of(step.output, order, name));
    }
    // What follows wants the channels last.
    let x_shape = x.shape().clone();
    let x = writer.last(x);
    if let Some(op) = op.downcast_ref::<Dense>() {
        return step.last(dense(writer, step, op, &x_shape, &x)?);
    }
    if let Some(op) = op.downcast_ref::<ops::tied_dense::TiedDense>() {
        let table = step.weight(writer, &[op.units, op.width]);
        let weight = writer.node("Transpose", &[&table], &[("perm", Attribute::Ints(&[1, 0]))]);
        return step.last(writer.node("MatMul", &[&x, &weight], &[]));
    }
    if let Some(op) = op.downcast_ref::<LayerNorm>() {
        return step.last(norms::layer_norm(writer, step, op, &x));
    }
    if let Some(op) = op.downcast_ref::<RmsNorm>() {
        return step.last(norms::rms_norm(writer, step, op, &x));
    }
    if op.is::<ops::softmax::Softmax>() {
        let axis = [("axis", Attribute::Int(-1))];
        return step.last(writer.node("Softmax", &[&x], &axis));
    }
    if let Some(op) = op.downcast_ref::<Prelu>() {
        let weight = step.weight(writer, &[if op.shared { 1 } else { op.channels }]);
        return step.last(writer.node("PRelu", &[&x, &weight], &[]));
    }
    if op.is::<ops::flatten::Flatten>() {
        return step.last(if x_shape.len() < 2 { x } else { writer.reshape(&x, &[0, -1]) });
    }
    if let Some(op) = op.downcast_ref::<ops::embedding::Embedding>() {
        let table = step.weight(writer, &[op.rows, op.width]);
        let rows = writer.node("Gather", &[&table, &x], &[("axis", Attribute::Int(0))]);
        return step.last(writer.reshape(&rows, &[0, step.output[0] as i64]));
    }
    if let Some(op) = op.downcast_ref::<ops::token_embedding::TokenEmbedding>() {
        let table = step.weight(writer, &[op.vocabulary, op.width]);
        return step.last(writer.node("Gather", &[&table, &x], &[("axis", Attribute::Int(0))]));
    }
    if op.is::<ops::positions::Positions>() {
        let [tokens, width] = [x_shape[0], x_shape[1]];
        let table = step.numbers(0)[..tokens * width].to_vec();
        let range = step.ranges[0].start..step.ranges[0].start + table.len();
        let rows = writer.parameter(&range, "rows", "weight", &[tokens, width], || table);
        return step.last(writer.node("Add", &[&x, &rows], &[]));
    }
    if op.is::<ops::token_types::TokenTypes>() {
        let width = step.output[1];
        let row = writer.floats(&[width], &step.numbers(0)[..width]);
        return step.last(writer.node("Add", &[&x, &row], &[]));
    }
    if let Some(op) = op.downcast_ref::<Lengths>() {
        return step.last(lengths(writer, op, x_shape[0], &x));
    }
    Err(refused(
        &step.node.path,
        format!("is an op `{}`, which ONNX does not have", step.node.op.entry().name),
        "layers of the list, without an op of your own",
    ))
}

fn dense(writer: &mut Writer, step: &Step, op: &Dense, shape: &Shape, x: &str) -> Result<String> {
    let inputs = shape.last().copied().unwrap_or(0);
    let weight = step.weight(writer, &[inputs, op.units]);
    let bias = step.constant(writer, 1, "bias", &[op.units]).filter(|_| op.bias);
    let name = match bias {
        Some(bias) if shape.len() == 1 => writer.node("Gemm", &[x, &weight, &bias], &[]),
        Some(bias) => {
            let product = writer.node("MatMul", &[x, &weight], &[]);
            writer.node("Add", &[&product, &bias], &[])
        }
        None => writer.node("MatMul", &[x, &weight], &[]),
    };
    epilogue(writer, op.activation.as_deref(), name)
}

fn add(writer: &mut Writer, step: &Step, relu: bool, inputs: &mut [Tensors]) -> Tensors {
    let (mut sum, order) = writer.any(&mut inputs[0]);
    for input in &mut inputs[1..] {
        let other = match order {
            Order::First => writer.first(input),
            Order::Last => writer.last(input),
        };
        sum = writer.node("Add", &[&sum, &other], &[]);
    }
    if relu {
        sum = writer.node("Relu", &[&sum], &[]);
    }
    Tensors::of(step.output, order, sum)
}

fn concat(writer: &mut Writer, step: &Step, op: &Concat, inputs: &mut [Tensors]) -> Tensors {
    let axes = step.output.len();
    let is_first = inputs.iter_mut().all(|input| writer.any(input).1 == Order::First);
    let order = if is_first { Order::First } else { Order::Last };
    let axis = match order {
        Order::Last => op.axis + 1,
        Order::First if op.axis + 1 == axes => 1,
        Order::First => op.axis + 2,
    };
    let names: Vec<String> = inputs
        .iter_mut()
        .map(|input| match order {
            Order::First => writer.first(input),
            Order::Last => writer.last(input),
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = writer.node("Concat", &names, &[("axis", Attribute::Int(axis as i64))]);
    Tensors::of(step.output, order, name)
}

/// The number of ids before the trailing padding, as f32 [rows, 1].
fn lengths(writer: &mut Writer, op: &Lengths, ids: usize, x: &str) -> String {
    let padding = writer.integers(&[op.padding as i64]);
    let is_padding = writer.node("Equal", &[x, &padding], &[]);
    let places: Vec<i64> = (1..=ids as i64).collect();
    let (places, zero) = (writer.integers(&places), writer.integers(&[0]));
    let places = writer.node("Where", &[&is_padding, &zero, &places], &[]);
    let attributes = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(1))];
    let last = writer.node("ReduceMax", &[&places], &attributes);
    writer.node("Cast", &[&last], &[("to", Attribute::Int(1))])
}

/// The mean of the first tokens of [rows, tokens, width].
fn masked_mean(writer: &mut Writer, tokens: usize, x: &str, lengths: &str) -> String {
    let places: Vec<f64> = (0..tokens).map(|place| place as f64).collect();
    let places = writer.floats(&[tokens], &places);
    let is_there = writer.node("Less", &[&places, lengths], &[]);
    let axis = writer.integers(&[2]);
    let is_there = writer.node("Unsqueeze", &[&is_there, &axis], &[]);
    let [zero, one] = [0.0, 1.0].map(|number| writer.float(number));
    let kept = writer.node("Where", &[&is_there, x, &zero], &[]);
    let axis = writer.integers(&[1]);
    let sum = writer.node("ReduceSum", &[&kept, &axis], &[("keepdims", Attribute::Int(0))]);
    let count = writer.node("Max", &[lengths, &one], &[]);
    writer.node("Div", &[&sum, &count], &[])
}
