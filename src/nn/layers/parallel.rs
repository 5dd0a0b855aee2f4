//! Parallel: layers that read one input, and whose outputs are added or concatenated.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::{LayerForm, NamedLayer};
use crate::nn::layers::layer::{Builder, Layer};
use crate::{Error, Result};

/// How the outputs of the branches become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Join {
    Add,
    Concat,
}

/// Branches that read the same input: y = f₁(x) + f₂(x) + …, or their outputs side by side.
///
/// A branch is a layer; [`Sequential::block`](crate::Sequential::block) makes one of several, and
/// without a layer it passes the input on. Parameters of a branch have its name in their paths: the
/// names given, or 0, 1, … in order.
///
/// ```
/// use gradus::layers::{Conv2d, MaxPool2d, Parallel};
/// use gradus::{Sequential, activations::Relu};
///
/// // An Inception block in small: 8 + 4 channels, beside those of the input.
/// let block = Parallel::concat()
///     .then(Conv2d::new(8, 1).activation(Relu))
///     .named("wide", Conv2d::new(4, 3).padding(1).activation(Relu))
///     .then(Sequential::block());
/// let model = Sequential::images([8, 8, 16]).then(block).on(&gradus::Device::cpu())?;
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct Parallel {
    join: Join,
    branches: Vec<NamedLayer>,
}

impl Parallel {
    /// Adds the outputs of the branches, which must have one shape.
    pub fn add() -> Self {
        Parallel { join: Join::Add, branches: Vec::new() }
    }

    /// Concatenates the outputs along their last axis, the channels of images: the other axes must
    /// be equal.
    pub fn concat() -> Self {
        Parallel { join: Join::Concat, branches: Vec::new() }
    }

    /// A branch, named by its number.
    pub fn then(mut self, layer: impl Layer) -> Self {
        self.branches.push(NamedLayer { name: None, layer: Arc::new(layer) });
        self
    }

    /// A branch of that name.
    pub fn named(mut self, name: &str, layer: impl Layer) -> Self {
        self.branches.push(NamedLayer { name: Some(name.into()), layer: Arc::new(layer) });
        self
    }

    pub(crate) fn of_parts(join: Join, branches: Vec<NamedLayer>) -> Self {
        Parallel { join, branches }
    }
}

impl Layer for Parallel {
    fn name(&self) -> &str {
        "parallel"
    }

    fn options(&self) -> Json {
        let branches: Vec<LayerForm> = self.branches.iter().map(LayerForm::of).collect();
        json!({ "join": self.join, "branches": branches })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let mut outputs = Vec::new();
        for (number, NamedLayer { name, layer }) in self.branches.iter().enumerate() {
            let name = name.clone().unwrap_or_else(|| number.to_string());
            outputs.push(builder.layer(&name, &**layer, x)?);
        }
        if outputs.is_empty() {
            return Err(Error::Input {
                operation: builder.owner(),
                name: "the branches of a Parallel".into(),
                found: "are none".into(),
                allowed: "one or more".into(),
            });
        }
        match self.join {
            Join::Add => builder.add(&outputs),
            Join::Concat => {
                let last = builder.shape(outputs[0]).len().saturating_sub(1);
                builder.concat(&outputs, last)
            }
        }
    }
}
