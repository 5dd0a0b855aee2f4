//! Hard swish: SiLU with a sigmoid of three straight lines.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Hard swish: y = x min(max(x + 3, 0), 6)/6; dy/dx = 0 up to −3, x/3 + ½ between, 1 from 3 on.
///
/// Equivalents: `torch.nn.Hardswish`, `keras.activations.hard_silu`, `jax.nn.hard_swish`.
/// Source: A. Howard and others, Searching for MobileNetV3, 2019.
///
/// ```
/// use gradus::activations::{Activation, HardSwish};
/// let mut output = [0.0_f64];
/// (&HardSwish as &dyn Activation).forward(1, &[1.0], &mut output)?;
/// assert!((output[0] - 0.6666666666666666).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardSwish;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "hard_swish",
    summary: "silu with a sigmoid of three straight lines",
    formula: "y = x min(max(x + 3, 0), 6)/6",
    options: &[],
    torch: "torch.nn.Hardswish",
    keras: "keras.activations.hard_silu",
    optax: "jax.nn.hard_swish",
    source: "A. Howard and others, Searching for MobileNetV3, 2019",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/hard_swish.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<HardSwish>("hard_swish", &[], options)?)),
};

impl Pointwise for HardSwish {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let (three, six) = (R::new(3.0), R::new(6.0));
        // −∞ · 0 would be NaN: below −3 the factor is 0 with any finite number.
        Real::max(x, -three) * (Real::clamp(x + three, R::ZERO, six) / six)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let (three, half) = (R::new(3.0), R::new(0.5));
        let inside = R::select(x >= three, R::ONE, x / three + half);
        R::select(x <= -three, R::ZERO, inside)
    }
}
