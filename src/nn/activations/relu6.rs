//! ReLU6: ReLU of at most 6.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// ReLU6: y = min(max(x, 0), 6); dy/dx = 1 between 0 and 6, else 0, also at both ends.
///
/// Equivalents: `torch.nn.ReLU6`, `keras.activations.relu6`, `jax.nn.relu6`.
/// Source: A. Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010.
///
/// ```
/// use gradus::activations::{Activation, Relu6};
/// let mut output = [0.0_f64];
/// (&Relu6 as &dyn Activation).forward(1, &[7.5], &mut output)?;
/// assert_eq!(output, [6.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu6;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "relu6",
    summary: "relu of at most 6",
    formula: "y = min(max(x, 0), 6)",
    options: &[],
    torch: "torch.nn.ReLU6",
    keras: "keras.activations.relu6",
    optax: "jax.nn.relu6",
    source: "A. Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/relu6.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Relu6>("relu6", &[], options)?)),
};

impl Pointwise for Relu6 {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        Real::clamp(x, R::ZERO, R::new(6.0))
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        let below = R::select(y < R::new(6.0), R::ONE, R::ZERO);
        R::select(y.is_nan(), y, R::select(y > R::ZERO, below, R::ZERO))
    }
}
