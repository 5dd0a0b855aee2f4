//! Layer: what models are built from. A layer adds ops to the graph of a model.

use std::any::Any;
use std::sync::Arc;

use crate::criterion::inputs::shape_error;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::{MOST_INPUTS, Op, Penalties};
use crate::nn::ops::add::Add;
use crate::nn::ops::concat::Concat;
use crate::nn::ops::custom::CustomOp;
use crate::nn::ops::custom::node::Custom;
use crate::{Error, Result};

pub use crate::nn::graph::nodes::Value;

/// A building block of models.
///
/// A layer is a description: it holds options, and adds ops to a graph when the model is built. Any
/// layer may contain others, so blocks nest; a function of a [`Builder`] and a [`Value`] is one too
/// ([`closure`](crate::layers::closure)). `examples/own_layer.rs` is a layer outside of the crate.
///
/// A layer is made of the public layers, and of ops of your own
/// ([`CustomOp`](crate::layers::CustomOp)).
pub trait Layer: Any + Send + Sync {
    /// Its name in files: `conv2d`.
    fn name(&self) -> &str;

    /// Its options as JSON, by which [`from_name`](crate::layers::from_name) makes a layer of gradus
    /// again. [`Model::load`](crate::Model::load) does not know a layer of your own: build the model
    /// again and call [`Model::load_weights`](crate::Model::load_weights).
    fn options(&self) -> serde_json::Value;

    /// Adds the layer on top of a value; returns its output.
    ///
    /// # Errors
    /// An option or a shape outside its domain.
    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value>;
}

/// Adds layers to the graph of a model, under a path: `layer1.0.conv1`.
#[derive(Debug)]
pub struct Builder<'g> {
    pub(crate) graph: &'g mut Graph,
    pub(crate) path: String,
    /// Penalties of the model, for layers without their own.
    pub(crate) penalties: Penalties,
}

impl<'g> Builder<'g> {
    pub(crate) fn new(graph: &'g mut Graph, path: &str, penalties: Penalties) -> Self {
        Builder { graph, path: path.into(), penalties }
    }

    /// The shape of a value without its batch axis: [height, width, channels] of images, [tokens,
    /// width] of sequences, `[features]` of rows.
    pub fn shape(&self, x: Value) -> &[usize] {
        self.graph.shape(x)
    }

    /// The path of the layer that is built; its parameters are `path.weight` and so on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds a layer whose path is this one's followed by `name`; an empty name adds nothing to the
    /// path.
    ///
    /// # Errors
    /// Those of the layer.
    pub fn layer(&mut self, name: &str, layer: &dyn Layer, x: Value) -> Result<Value> {
        let path = self.join(name);
        layer.build(&mut Builder { graph: self.graph, path, penalties: self.penalties }, x)
    }

    /// The sum of values of one shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ, [`Error::Input`] for no value at all.
    pub fn add(&mut self, values: &[Value]) -> Result<Value> {
        self.joined("add", values, |builder, few| builder.op_at("add", Add { relu: false }, few))
    }

    /// Values one behind the other along an axis of their shapes, 0 the first one behind the batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if another axis differs or the axis does not exist, [`Error::Input`] for no
    /// value at all.
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Result<Value> {
        self.joined("concat", values, |builder, few| {
            let inputs = few.iter().map(|&value| builder.shape(value).to_vec()).collect();
            builder.op_at("concat", Concat { inputs, axis }, few)
        })
    }

    /// The output of an op of your own on one to four values.
    ///
    /// # Errors
    /// Those of the op's shape rule, and [`Error::Shape`] for what it must not return.
    pub fn custom(&mut self, op: impl CustomOp, inputs: &[Value]) -> Result<Value> {
        self.op(Custom { op: Arc::new(op) }, inputs)
    }

    /// Joins values by an op that takes a few of them at a time.
    fn joined(
        &mut self,
        name: &str,
        values: &[Value],
        mut join: impl FnMut(&mut Self, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let Some((&first, mut rest)) = values.split_first() else {
            return Err(Error::Input {
                operation: self.owner(),
                name: format!("the values of {name}"),
                found: "are none".into(),
                allowed: "one or more".into(),
            });
        };
        let mut joined = first;
        while !rest.is_empty() {
            let (few, behind) = rest.split_at(rest.len().min(MOST_INPUTS - 1));
            joined = join(self, &[&[joined], few].concat())?;
            rest = behind;
        }
        Ok(joined)
    }

    /// Adds an op at the builder's path.
    pub(crate) fn op(&mut self, op: impl Op, inputs: &[Value]) -> Result<Value> {
        self.graph.add(&self.path, op, inputs)
    }

    /// Adds an op at a path below the builder's.
    pub(crate) fn op_at(&mut self, name: &str, op: impl Op, inputs: &[Value]) -> Result<Value> {
        let path = self.join(name);
        self.graph.add(&path, op, inputs)
    }

    /// The builder's path followed by a name.
    pub(crate) fn join(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.into(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{name}", self.path),
        }
    }

    /// The name of the layer in errors: `layer 0`, or its path.
    pub(crate) fn owner(&self) -> String {
        self.path.replacen("layers.", "layer ", 1)
    }
}

/// The axes of images.
///
/// # Errors
/// [`Error::Shape`] for any other value.
pub(crate) fn image(builder: &Builder, x: Value) -> Result<[usize; 3]> {
    axes(builder, x, "images [height, width, channels]")
}

/// The axes of sequences.
///
/// # Errors
/// [`Error::Shape`] for any other value.
pub(crate) fn sequence(builder: &Builder, x: Value) -> Result<[usize; 2]> {
    axes(builder, x, "sequences [tokens, width]")
}

fn axes<const N: usize>(builder: &Builder, x: Value, allowed: &str) -> Result<[usize; N]> {
    let shape = builder.shape(x);
    shape
        .try_into()
        .map_err(|_| shape_error(&builder.owner(), format!("an input of shape {shape:?}"), allowed))
}

impl Penalties {
    /// A layer's own factors in place of the model's.
    ///
    /// # Errors
    /// [`Error::Option`] for a negative one.
    pub(crate) fn of_layer(self, owner: &str, own: [Option<f64>; 3]) -> Result<Self> {
        let [l1, l2, proximal_l1] = own;
        let all = Penalties {
            l1: l1.unwrap_or(self.l1),
            l2: l2.unwrap_or(self.l2),
            proximal_l1: proximal_l1.unwrap_or(self.proximal_l1),
        };
        for (name, value) in [("l1", all.l1), ("l2", all.l2), ("proximal_l1", all.proximal_l1)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option(owner, name, value, ">= 0"));
            }
        }
        Ok(all)
    }
}
