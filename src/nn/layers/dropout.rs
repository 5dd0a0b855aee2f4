//! Dropout: zeros at random places while training.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;

/// Sets each number to 0 with a probability while training and divides the others by the rest of
/// it; changes nothing when evaluating and predicting. PyTorch `nn.Dropout`, Keras `Dropout`.
///
/// The places follow from the model's seed, the epoch, the batch and the layer: the same on every
/// device and in a resumed training. NaN at a place that is dropped becomes 0; PyTorch keeps it.
///
/// Source: N. Srivastava et al., *Dropout: a simple way to prevent neural networks from overfitting*
/// (2014).
///
/// ```
/// use gradus::{Device, Sequential, layers::Dropout};
/// use ndarray::array;
/// let mut model = Sequential::new(2).then(Dropout::new(0.5)).on(&Device::cpu())?;
/// assert_eq!(model.predict(&array![[3.0, 4.0]])?, array![[3.0, 4.0]]); // not in training
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// `rate` of the numbers become 0, from 0 to 1.
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }
}

impl Layer for Dropout {
    fn name(&self) -> &str {
        "dropout"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(crate::Error::option(&builder.owner(), "rate", self.rate, "from 0 to 1"));
        }
        builder.op(ops::dropout::Dropout { rate: self.rate }, &[x])
    }
}
