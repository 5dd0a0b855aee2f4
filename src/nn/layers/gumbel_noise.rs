//! Gumbel noise on scores while training.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;

/// Adds `scale` times a number of the Gumbel distribution to each number while training; changes
/// nothing when evaluating and predicting.
///
/// Behind the scores of a network it makes any loss of lists a loss of sampled orders, one for each
/// step: at scale 1 the order of the noisy scores is drawn from the Plackett-Luce distribution of the
/// scores. TF-Ranking's `GumbelApproxNDCGLoss` with `sample_size=1` and `gumbel_temperature=1` is
/// `approx_ndcg` behind it; its default are 8 draws a step. Its temperature divides scores and noise
/// together: multiply that of `approx_ndcg`.
///
/// The noise follows from the model's seed, the epoch, the batch and the layer: the same on every
/// device, to the rounding of its logarithm, and in a resumed training.
///
/// Source: S. Bruch, S. Han, M. Bendersky and M. Najork at WSDM 2020.
///
/// ```
/// use gradus::{Dense, Device, Fit, Sequential, layers::GumbelNoise, losses::ApproxNdcg, optimizers::Adam};
/// use gradus::Targets;
/// use ndarray::array;
/// let mut model = Sequential::new(2)
///     .then(Dense::new(1))
///     .then(GumbelNoise::new(1.0))
///     .on(&Device::cpu())?
///     .compile(ApproxNdcg::new(), Adam::new())?;
/// let (x, relevance) = (array![[0.1_f32, 1.0], [0.5, 0.2], [0.9, 0.4]], array![2.0_f32, 0.0, 1.0]);
/// let before = model.predict(&x)?;
/// assert_eq!(model.predict(&x)?, before); // no noise
/// model.fit(&x, Targets::grouped(&relevance, &[3]), Fit::new().epochs(2))?;
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct GumbelNoise {
    scale: f64,
}

impl GumbelNoise {
    /// `scale` of the noise, finite and 0 or more; 1 for Plackett-Luce.
    pub fn new(scale: f64) -> Self {
        GumbelNoise { scale }
    }
}

impl Layer for GumbelNoise {
    fn name(&self) -> &str {
        "gumbel_noise"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        if !(self.scale >= 0.0 && self.scale.is_finite()) {
            let allowed = "finite and 0 or more";
            return Err(crate::Error::option(&builder.owner(), "scale", self.scale, allowed));
        }
        builder.op(ops::gumbel_noise::GumbelNoise { scale: self.scale }, &[x])
    }
}
