//! Hard sigmoid: a sigmoid of three straight lines.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Hard sigmoid: y = min(max(x + 3, 0), 6)/6; dy/dx = 1/6 between −3 and 3, else 0.
///
/// Equivalents: `torch.nn.Hardsigmoid`, `keras.activations.hard_sigmoid`, `jax.nn.hard_sigmoid`.
/// Source: A. Howard and others, Searching for MobileNetV3, 2019.
///
/// ```
/// use gradus::activations::{Activation, HardSigmoid};
/// let mut output = [0.0_f64];
/// (&HardSigmoid as &dyn Activation).forward(1, &[1.5], &mut output)?;
/// assert_eq!(output, [0.75]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardSigmoid;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "hard_sigmoid",
    summary: "a sigmoid of three straight lines",
    formula: "y = min(max(x + 3, 0), 6)/6",
    options: &[],
    torch: "torch.nn.Hardsigmoid",
    keras: "keras.activations.hard_sigmoid",
    optax: "jax.nn.hard_sigmoid",
    source: "A. Howard and others, Searching for MobileNetV3, 2019",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/hard_sigmoid.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<HardSigmoid>("hard_sigmoid", &[], options)?)),
};

impl Pointwise for HardSigmoid {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let six = R::new(6.0);
        Real::clamp(x + R::new(3.0), R::ZERO, six) / six
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        let below = R::select(y < R::ONE, R::ONE / R::new(6.0), R::ZERO);
        R::select(y.is_nan(), y, R::select(y > R::ZERO, below, R::ZERO))
    }
}
