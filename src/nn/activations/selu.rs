//! SELU: an ELU scaled so that layers keep mean 0 and variance 1.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// λ.
const LAMBDA: f64 = 1.050_700_987_355_480_5;

/// λα.
const LIMIT: f64 = 1.758_099_340_847_376_6;

/// Scaled exponential linear unit: y = λ x above 0, λα (eˣ − 1) below; dy/dx = λ above, y + λα
/// below and at 0, with α = 1.6732632423543772 and λ = 1.0507009873554805.
///
/// Equivalents: `torch.nn.SELU`, `keras.activations.selu`, `jax.nn.selu`.
/// Source: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-Normalizing Neural Networks,
/// 2017.
///
/// ```
/// use gradus::activations::{Activation, Selu};
/// let mut output = [0.0_f64];
/// (&Selu as &dyn Activation).forward(1, &[-1.0], &mut output)?;
/// assert!((output[0] + 1.1113307378125625).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selu;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "selu",
    summary: "an elu scaled so that layers keep mean 0 and variance 1",
    formula: "y = λ x if x > 0 else λα (exp(x) − 1), λ = 1.0507, α = 1.6733",
    options: &[],
    torch: "torch.nn.SELU",
    keras: "keras.activations.selu",
    optax: "jax.nn.selu",
    source: "G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-Normalizing Neural Networks, 2017",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/selu.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Selu>("selu", &[], options)?)),
};

impl Pointwise for Selu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let below = R::new(LIMIT) * Real::exp_m1(Real::min(x, R::ZERO));
        R::select(x > R::ZERO, R::new(LAMBDA) * x, below)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        R::select(y > R::ZERO, R::new(LAMBDA), y + R::new(LIMIT))
    }
}
