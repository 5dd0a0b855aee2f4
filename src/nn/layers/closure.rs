//! A function as a layer.

use crate::Result;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::layer::{Builder, Layer};

/// A function as a layer: [`closure`].
#[derive(Clone, Copy, Debug)]
pub struct Closure<F> {
    build: F,
}

/// The layer of a function that adds other layers.
///
/// A file of a model with such a layer holds weights but not the function: build the model again and
/// call [`Model::load_weights`](crate::Model::load_weights) instead of
/// [`Model::load`](crate::Model::load).
///
/// ```
/// use gradus::layers::{Builder, Value, closure};
/// use gradus::{Dense, Sequential, activations::Relu};
///
/// let bottleneck = closure(|builder: &mut Builder, x: Value| {
///     let units = builder.shape(x)[0];
///     let y = builder.layer("down", &Dense::new(units / 4).activation(Relu), x)?;
///     builder.layer("up", &Dense::new(units), y)
/// });
/// let model = Sequential::new(16).then(bottleneck).then(Dense::new(2));
/// ```
pub fn closure<F>(build: F) -> Closure<F>
where
    F: Fn(&mut Builder, Value) -> Result<Value> + Send + Sync + 'static,
{
    Closure { build }
}

impl<F> Layer for Closure<F>
where
    F: Fn(&mut Builder, Value) -> Result<Value> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        "closure"
    }

    fn options(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        (self.build)(builder, x)
    }
}
