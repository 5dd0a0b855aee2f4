//! Flatten: all axes of a sample as one.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;

/// All axes of a sample as one: [height, width, channels] → [height · width · channels]. PyTorch
/// `nn.Flatten`, Keras `Flatten`.
///
/// Channels are innermost here and outermost in PyTorch; a dense layer behind a flatten of images
/// has its weights in PyTorch's order in PyTorch's files:
/// [`Model::load_weights`](crate::Model::load_weights) and
/// [`Model::save_weights`](crate::Model::save_weights) reorder them.
///
/// ```
/// use gradus::{Device, Sequential, layers::Flatten};
/// let model = Sequential::images([2, 3, 4]).then(Flatten::new()).on(&Device::cpu())?;
/// assert_eq!(model.outputs(), 24);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Flatten {}

impl Flatten {
    /// The layer, which has no options.
    pub fn new() -> Self {
        Flatten {}
    }
}

impl Layer for Flatten {
    fn name(&self) -> &str {
        "flatten"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        builder.op(ops::flatten::Flatten, &[x])
    }
}
