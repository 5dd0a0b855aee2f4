//! An activation as a layer of its own.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::Result;
use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::dense::activate;
use crate::nn::layers::layer::{Builder, Layer};

/// An activation on a layer's output, of any shape. PyTorch's `nn.ReLU()` and so on, Keras
/// `Activation`. [`Dense::activation`](crate::Dense::activation) and that of other layers is the
/// same without a layer of its own; softmax is over the last axis.
///
/// ```
/// use gradus::{Dense, Sequential, activations::Relu, layers::Activate};
/// let model = Sequential::new(4).then(Dense::new(8)).then(Activate::new(Relu));
/// ```
#[derive(Clone, Debug)]
pub struct Activate {
    activation: Arc<dyn Activation>,
}

impl Activate {
    /// The layer of an activation.
    pub fn new(activation: impl Activation + 'static) -> Self {
        Activate { activation: Arc::new(activation) }
    }

    pub(crate) fn boxed(activation: Arc<dyn Activation>) -> Self {
        Activate { activation }
    }
}

impl Layer for Activate {
    fn name(&self) -> &str {
        "activation"
    }

    fn options(&self) -> Json {
        json!({ "activation": activations::described(&*self.activation) })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        self.activation.check()?;
        activate(builder, "", &self.activation, x)
    }
}
