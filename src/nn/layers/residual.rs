//! Residual: a layer whose input is added to its output.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::Result;
use crate::nn::activations;
use crate::nn::activations::Relu;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::dense::activate;
use crate::nn::layers::form::{LayerForm, NamedLayer};
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops::add::Add;

/// y = activation(f(x) + x), or activation(f(x) + shortcut(x)).
///
/// The parameters of f have the path of this layer itself, as in PyTorch's residual blocks; those of
/// the shortcut have its name behind it (`downsample`).
///
/// ```
/// use gradus::layers::{BatchNorm, Conv2d, Residual};
/// use gradus::{Sequential, activations::Relu};
///
/// let block = Residual::new(
///     Sequential::block()
///         .named("conv1", Conv2d::new(16, 3).padding(1).bias(false))
///         .named("bn1", BatchNorm::new().activation(Relu))
///         .named("conv2", Conv2d::new(16, 3).padding(1).bias(false))
///         .named("bn2", BatchNorm::new()),
/// )
/// .activation(Relu);
/// let model = Sequential::images([8, 8, 16]).named("layer1", block);
/// ```
#[derive(Clone)]
pub struct Residual {
    inner: Arc<dyn Layer>,
    shortcut: Option<NamedLayer>,
    activation: Option<Arc<dyn Activation>>,
}

impl Residual {
    /// Adds the input of a layer to its output, which must have its shape.
    pub fn new(inner: impl Layer) -> Self {
        Residual { inner: Arc::new(inner), shortcut: None, activation: None }
    }

    /// A layer on the input before it is added, for an inner layer that changes the shape.
    pub fn shortcut(mut self, name: &str, layer: impl Layer) -> Self {
        self.shortcut = Some(NamedLayer { name: Some(name.into()), layer: Arc::new(layer) });
        self
    }

    /// An activation of the sum (default: none).
    pub fn activation(mut self, activation: impl Activation + 'static) -> Self {
        self.activation = Some(Arc::new(activation));
        self
    }

    pub(crate) fn of_parts(
        inner: Arc<dyn Layer>,
        shortcut: Option<NamedLayer>,
        activation: Option<Arc<dyn Activation>>,
    ) -> Self {
        Residual { inner, shortcut, activation }
    }
}

impl Layer for Residual {
    fn name(&self) -> &str {
        "residual"
    }

    fn options(&self) -> Json {
        let inner = NamedLayer { name: None, layer: self.inner.clone() };
        json!({
            "inner": LayerForm::of(&inner),
            "shortcut": self.shortcut.as_ref().map(LayerForm::of),
            "activation": self.activation.as_deref().map(activations::described),
        })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let y = builder.layer("", &*self.inner, x)?;
        let short = match &self.shortcut {
            Some(NamedLayer { name, layer }) => {
                builder.layer(name.as_deref().unwrap_or("shortcut"), &**layer, x)?
            }
            None => x,
        };
        // Relu runs in the kernel of the sum.
        let relu = self.activation.as_ref().is_some_and(|of| of.name() == Relu.name());
        let sum = builder.op_at("add", Add { relu }, &[y, short])?;
        match &self.activation {
            Some(activation) if !relu => activate(builder, "activation", activation, sum),
            _ => Ok(sum),
        }
    }
}
