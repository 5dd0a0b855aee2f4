//! The logistic function.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// The logistic function: y = 1/(1 + e⁻ˣ), dy/dx = y(1 − y).
///
/// Equivalents: `torch.nn.Sigmoid`, `keras.activations.sigmoid`, `jax.nn.sigmoid`.
///
/// ```
/// use gradus::activations::{Activation, Sigmoid};
/// let mut output = [0.0_f64];
/// (&Sigmoid as &dyn Activation).forward(1, &[0.0], &mut output)?;
/// assert!((output[0] - 0.5).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sigmoid;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "sigmoid",
    summary: "into (0, 1): a probability of two classes",
    formula: "y = 1/(1 + e⁻ˣ), dy/dx = y(1 − y)",
    options: &[],
    torch: "torch.nn.Sigmoid",
    keras: "keras.activations.sigmoid",
    optax: "jax.nn.sigmoid",
    source: "",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/sigmoid.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Sigmoid>("sigmoid", &[], options)?)),
};

impl Pointwise for Sigmoid {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        x.sigmoid()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        y * (R::ONE - y)
    }
}
