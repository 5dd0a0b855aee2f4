//! Rectified linear unit.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Rectified linear unit: y = max(x, 0), dy/dx = 1 above 0, 0 at and below 0.
///
/// Equivalents: `torch.nn.ReLU`, `keras.activations.relu`, `jax.nn.relu`.
///
/// ```
/// use gradus::activations::{Activation, Relu};
/// let mut output = [0.0_f64];
/// (&Relu as &dyn Activation).forward(1, &[2.5], &mut output)?;
/// assert!((output[0] - 2.5).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "relu",
    summary: "cuts below 0; the usual choice of hidden layers",
    formula: "y = max(x, 0), dy/dx = [y > 0], 0 at the kink",
    options: &[],
    torch: "torch.nn.ReLU",
    keras: "keras.activations.relu",
    optax: "jax.nn.relu",
    source: "V. Nair, G. Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, 2010",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/relu.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Relu>("relu", &[], options)?)),
};

impl Pointwise for Relu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        Real::max(x, R::ZERO)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        let partial = R::select(y > R::ZERO, R::ONE, R::ZERO);
        R::select(y.is_nan(), y, partial)
    }
}
