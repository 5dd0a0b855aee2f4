//! Sigmoid linear unit, also called swish.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Sigmoid linear unit, also called swish: y = x σ(x), dy/dx = σ(x) (1 + x (1 − σ(x))).
///
/// Equivalents: `torch.nn.SiLU`, `keras.activations.silu`, `jax.nn.silu`.
///
/// ```
/// use gradus::activations::{Activation, Silu};
/// let mut output = [0.0_f64];
/// (&Silu as &dyn Activation).forward(1, &[1.0], &mut output)?;
/// assert!((output[0] - 0.7310585786300049).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silu;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "silu",
    summary: "a smooth relu that dips below 0",
    formula: "y = x σ(x), dy/dx = σ(x) (1 + x (1 − σ(x)))",
    options: &[],
    torch: "torch.nn.SiLU",
    keras: "keras.activations.silu",
    optax: "jax.nn.silu",
    source: "S. Elfwing, E. Uchibe, K. Doya, Sigmoid-Weighted Linear Units, 2017",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/silu.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Silu>("silu", &[], options)?)),
};

impl Pointwise for Silu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        // −∞ is clamped to the lowest finite number: −∞ · 0 would be NaN, the limit is 0.
        Real::max(x, R::LOWEST) * x.sigmoid()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        // 1 − σ(x) = σ(−x), which avoids cancellation.
        x.sigmoid() * (R::ONE + Real::clamp(x, R::LOWEST, -R::LOWEST) * (-x).sigmoid())
    }
}
