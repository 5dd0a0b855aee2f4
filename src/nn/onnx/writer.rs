//! The nodes and constants of an ONNX graph while it is built, and where its values lie.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Error;
use crate::nn::graph::op::Shape;
use crate::nn::onnx::format::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto};

/// The error for a model that no file can hold.
pub(super) fn refused(path: &str, found: String, allowed: &str) -> Error {
    Error::Input {
        operation: "export to ONNX".into(),
        name: format!("`{path}`"),
        found,
        allowed: allowed.into(),
    }
}

/// A value of the network as ONNX tensors: with channels last, as here, or right behind the rows,
/// as ONNX's convolutions and norms want them. It has one of them, and the other once it is asked
/// for. A row of one axis is the same in both.
#[derive(Clone, Debug)]
pub(super) struct Tensors {
    /// The axes of a sample, channels last.
    shape: Shape,
    last: Option<String>,
    first: Option<String>,
}

impl Tensors {
    pub fn last(shape: &Shape, name: String) -> Self {
        Tensors { shape: shape.clone(), last: Some(name), first: None }
    }

    pub fn first(shape: &Shape, name: String) -> Self {
        Tensors { shape: shape.clone(), last: None, first: Some(name) }
    }

    /// As one of the orders, by [`Order`].
    pub fn of(shape: &Shape, order: Order, name: String) -> Self {
        match order {
            Order::Last => Tensors::last(shape, name),
            Order::First => Tensors::first(shape, name),
        }
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// Where the channels of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Last,
    First,
}

/// An attribute of a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute<'a> {
    Float(f64),
    Int(i64),
    Ints(&'a [i64]),
}

impl Attribute<'_> {
    fn message(self, name: &str) -> AttributeProto {
        let mut message = AttributeProto { name: name.into(), ..AttributeProto::default() };
        let kind = match self {
            Attribute::Float(value) => {
                message.f = Some(value as f32);
                AttributeType::Float
            }
            Attribute::Int(value) => {
                message.i = Some(value);
                AttributeType::Int
            }
            Attribute::Ints(values) => {
                message.ints = values.into();
                AttributeType::Ints
            }
        };
        message.r#type = kind as i32;
        message
    }
}

/// An ONNX graph that grows.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub nodes: Vec<NodeProto>,
    pub initializers: Vec<TensorProto>,
    /// The path of the layer that is written, for names.
    pub path: String,
    /// Constants that stand for parameters, by place and form: a shared one is written once.
    kept: BTreeMap<(usize, usize, &'static str), String>,
}

impl Writer {
    fn name(&self, what: &str) -> String {
        let number = self.nodes.len() + self.initializers.len();
        format!("{}/{what}_{number}", self.path)
    }

    /// A node with one output; returns its name.
    pub fn node(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let name = self.name(kind);
        self.nodes.push(node(kind, inputs, vec![name.clone()], attributes));
        name
    }

    /// A node that cuts an axis into equal parts.
    pub fn split<const N: usize>(&mut self, input: &str, axis: i64) -> [String; N] {
        let base = self.name("Split");
        let outputs: [String; N] = std::array::from_fn(|part| format!("{base}.{part}"));
        let attributes = [("axis", Attribute::Int(axis))];
        self.nodes.push(node("Split", &[input], outputs.to_vec(), &attributes));
        outputs
    }

    /// A node whose output has a given name.
    pub fn named(&mut self, kind: &str, inputs: &[&str], name: &str) {
        self.nodes.push(node(kind, inputs, vec![name.into()], &[]));
    }

    fn constant(&mut self, kind: DataType, shape: &[usize], bytes: Vec<u8>) -> String {
        let name = self.name("constant");
        self.add(name.clone(), kind, shape, bytes);
        name
    }

    fn add(&mut self, name: String, kind: DataType, shape: &[usize], bytes: Vec<u8>) {
        self.initializers.push(TensorProto {
            dims: shape.iter().map(|&axis| axis as i64).collect(),
            data_type: kind as i32,
            name,
            raw_data: Some(bytes),
            ..TensorProto::default()
        });
    }

    /// A constant of f32.
    pub fn floats(&mut self, shape: &[usize], values: &[f64]) -> String {
        let bytes = values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
        self.constant(DataType::Float, shape, bytes)
    }

    /// A constant of one f32, which any shape takes.
    pub fn float(&mut self, value: f64) -> String {
        self.floats(&[], &[value])
    }

    /// A constant of f64.
    pub fn doubles(&mut self, shape: &[usize], values: &[f64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Double, shape, bytes)
    }

    /// A constant of i64: shapes, axes, ids.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DataType::Int64, &[values.len()], bytes)
    }

    /// A constant of truth values.
    pub fn flags(&mut self, shape: &[usize], values: &[bool]) -> String {
        self.constant(DataType::Bool, shape, values.iter().map(|&value| value.into()).collect())
    }

    /// A constant of words.
    pub fn words(&mut self, words: &[String]) -> String {
        let name = self.name("constant");
        self.initializers.push(TensorProto {
            dims: vec![words.len() as i64],
            data_type: DataType::String as i32,
            string_data: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            name: name.clone(),
            raw_data: None,
        });
        name
    }

    /// A parameter in some form, once for all that share it.
    pub fn parameter(
        &mut self,
        range: &Range<usize>,
        form: &'static str,
        name: &str,
        shape: &[usize],
        values: impl FnOnce() -> Vec<f64>,
    ) -> String {
        let key = (range.start, range.end, form);
        if let Some(name) = self.kept.get(&key) {
            return name.clone();
        }
        let name = format!("{}.{name}", self.path);
        let bytes = values().into_iter().flat_map(|value| (value as f32).to_le_bytes()).collect();
        self.add(name.clone(), DataType::Float, shape, bytes);
        self.kept.insert(key, name.clone());
        name
    }

    /// Another shape; 0 takes an axis over, −1 takes the rest.
    pub fn reshape(&mut self, input: &str, shape: &[i64]) -> String {
        let shape = self.integers(shape);
        self.node("Reshape", &[input, &shape], &[])
    }

    /// The tensor with channels last.
    pub fn last(&mut self, value: &mut Tensors) -> String {
        if let Some(name) = &value.last {
            return name.clone();
        }
        let axes = value.shape.len() as i64;
        let name = value.first.clone().unwrap_or_default();
        let name = if axes < 2 {
            name
        } else {
            let order: Vec<i64> = [0].into_iter().chain(2..=axes).chain([1]).collect();
            self.node("Transpose", &[&name], &[("perm", Attribute::Ints(&order))])
        };
        value.last.insert(name).clone()
    }

    /// The tensor with channels behind the rows.
    pub fn first(&mut self, value: &mut Tensors) -> String {
        if let Some(name) = &value.first {
            return name.clone();
        }
        let axes = value.shape.len() as i64;
        let name = value.last.clone().unwrap_or_default();
        let name = if axes < 2 {
            name
        } else {
            let order: Vec<i64> = [0, axes].into_iter().chain(1..axes).collect();
            self.node("Transpose", &[&name], &[("perm", Attribute::Ints(&order))])
        };
        value.first.insert(name).clone()
    }

    /// The tensor in the order that is there, for what works on each number by itself.
    pub fn any(&mut self, value: &mut Tensors) -> (String, Order) {
        match &value.first {
            Some(name) => (name.clone(), Order::First),
            None => (self.last(value), Order::Last),
        }
    }
}

fn node(
    kind: &str,
    inputs: &[&str],
    outputs: Vec<String>,
    attributes: &[(&str, Attribute)],
) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(ToString::to_string).collect(),
        name: outputs.first().cloned().unwrap_or_default(),
        output: outputs,
        op_type: kind.into(),
        attribute: attributes.iter().map(|(name, value)| value.message(name)).collect(),
    }
}
