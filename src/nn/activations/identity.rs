//! Identity activation.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Identity: y = x.
///
/// Equivalents: `torch.nn.Identity`, `keras.activations.linear`, `jax.numpy.asarray`.
///
/// ```
/// use gradus::activations::{Activation, Identity};
/// let mut output = [0.0_f64];
/// (&Identity as &dyn Activation).forward(1, &[2.5], &mut output)?;
/// assert!((output[0] - 2.5).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "identity",
    summary: "leaves its input as it is: a linear layer",
    formula: "y = x",
    options: &[],
    torch: "torch.nn.Identity",
    keras: "keras.activations.linear",
    optax: "jax.numpy.asarray",
    source: "",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/identity.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Identity>("identity", &[], options)?)),
};

impl Pointwise for Identity {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        x
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        R::select(y.is_nan(), y, R::ONE)
    }
}
