//! Mish: the input times the tanh of its softplus.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// t = tanh(ln(1 + eˣ)) and dt/dx = (1 − t²) σ(x), from one exponential that is at most 1. With e =
/// eˣ, t = (e² + 2e)/(e² + 2e + 2) and dt/dx = 4e (1 + e)/(e² + 2e + 2)²; above 0 both are written
/// in e⁻ˣ.
#[inline(always)]
fn factors<R: Real>(x: R) -> (R, R) {
    let (one, two) = (R::ONE, R::new(2.0));
    let e = Real::exp(-Real::abs(x));
    let is_above = x > R::ZERO;
    let numerator = R::select(is_above, one + two * e, e * (e + two));
    let divisor = numerator + R::select(is_above, two * e * e, two);
    let top = R::new(4.0) * e * (one + e) * R::select(is_above, e, one);
    (numerator / divisor, top / (divisor * divisor))
}

/// Mish: y = x t, t = tanh(ln(1 + eˣ)); dy/dx = t + x (1 − t²) σ(x).
///
/// Equivalents: `torch.nn.Mish`, `keras.activations.mish`, `jax.nn.mish`.
/// Source: D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019.
///
/// ```
/// use gradus::activations::{Activation, Mish};
/// let mut output = [0.0_f64];
/// (&Mish as &dyn Activation).forward(1, &[1.0], &mut output)?;
/// assert!((output[0] - 0.8650983882673103).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mish;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "mish",
    summary: "a smooth relu that dips below 0, as silu",
    formula: "y = x tanh(ln(1 + exp(x)))",
    options: &[],
    torch: "torch.nn.Mish",
    keras: "keras.activations.mish",
    optax: "jax.nn.mish",
    source: "D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/mish.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Mish>("mish", &[], options)?)),
};

impl Pointwise for Mish {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let (factor, _) = factors(x);
        // −∞ is clamped to the lowest finite number: −∞ · 0 would be NaN, the limit is 0.
        Real::max(x, R::LOWEST) * factor
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let (factor, partial) = factors(x);
        factor + Real::clamp(x, R::LOWEST, -R::LOWEST) * partial
    }
}
