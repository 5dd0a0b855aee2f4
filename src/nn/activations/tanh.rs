//! The hyperbolic tangent.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// The hyperbolic tangent: y = tanh x, dy/dx = (1 − y)(1 + y).
///
/// Equivalents: `torch.nn.Tanh`, `keras.activations.tanh`, `jax.numpy.tanh`.
///
/// ```
/// use gradus::activations::{Activation, Tanh};
/// let mut output = [0.0_f64];
/// (&Tanh as &dyn Activation).forward(1, &[1.0], &mut output)?;
/// assert!((output[0] - 0.7615941559557649).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tanh;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "tanh",
    summary: "into (−1, 1), odd",
    formula: "y = tanh x, dy/dx = (1 − y)(1 + y)",
    options: &[],
    torch: "torch.nn.Tanh",
    keras: "keras.activations.tanh",
    optax: "jax.numpy.tanh",
    source: "",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/tanh.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Tanh>("tanh", &[], options)?)),
};

impl Pointwise for Tanh {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        Real::tanh(x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        (R::ONE - y) * (R::ONE + y)
    }
}
