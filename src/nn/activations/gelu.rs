//! GELU: the input times the standard normal distribution function of the input.

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::catalogue::{Entry, Options, options};
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

/// Variant of GELU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approximate {
    /// The exact definition, x Φ(x).
    #[default]
    None,
    /// ½x (1 + tanh(√(2/π) (x + 0.044715 x³))), within 5e-4 of the exact definition.
    Tanh,
}

options! {
    /// Gaussian error linear unit: y = x Φ(x), dy/dx = Φ(x) + x φ(x), with Φ and φ the distribution
    /// and density of the standard normal.
    ///
    /// Equivalents: `torch.nn.GELU`, `keras.activations.gelu` (`approximate=False` there),
    /// `jax.nn.gelu` (whose default is tanh).
    /// Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016.
    ///
    /// ```
    /// use gradus::activations::{Activation, Gelu};
    /// let mut output = [0.0_f64];
    /// (&Gelu::new() as &dyn Activation).forward(1, &[1.0], &mut output)?;
    /// assert!((output[0] - 0.8413447460685429).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Gelu of "gelu" {
        /// The variant.
        approximate: Approximate = Approximate::None, "one of \"none\", \"tanh\"" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "gelu",
    summary: "a smooth relu, the choice of most transformers",
    formula: "y = x Φ(x); with approximate \"tanh\": x (1 + tanh(√(2/π) (x + 0.044715 x³)))/2",
    options: Gelu::OPTIONS,
    torch: "torch.nn.GELU",
    keras: "keras.activations.gelu(approximate=False)",
    optax: "jax.nn.gelu(approximate=False)",
    source: "D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016",
    variants: &[r#"{"approximate": "tanh"}"#],
    shader: crate::runtime::wgsl::shader!("activations/gelu.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Gelu>("gelu", Gelu::OPTIONS, options)?)),
};

/// 2u, u = √(2/π) (x + 0.044715 x³): (1 + tanh u)/2 = σ(2u) and (1 − tanh² u)/2 = 2σ(2u)σ(−2u),
/// which are accurate in the tails.
#[inline(always)]
fn inner<R: Real>(x: R) -> R {
    R::new(1.595_769_121_605_730_8) * (x + R::new(0.044715) * x * x * x)
}

impl Pointwise for Gelu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;
    const NEEDS_INPUT: bool = true;

    fn check_options(&self) -> crate::Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("APPROXIMATE", f64::from(u8::from(self.approximate == Approximate::Tanh)))]
    }

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        // Beyond 40 both variants are 0 or x; the clamps avoid 0 · ∞ and keep x³ finite.
        let z = Real::clamp(x, R::new(-40.0), R::new(40.0));
        let distribution = match self.approximate {
            Approximate::None => z.normal_cdf(),
            Approximate::Tanh => Real::sigmoid(inner(z)),
        };
        Real::max(x, R::LOWEST) * distribution
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let half = R::new(0.5);
        let z = Real::clamp(x, R::new(-40.0), R::new(40.0));
        match self.approximate {
            Approximate::None => {
                z.normal_cdf() + z * R::new(0.398_942_280_401_432_7) * Real::exp(-half * z * z)
            }
            Approximate::Tanh => {
                let inner = inner(z);
                let partial = R::new(1.595_769_121_605_730_8) * (R::ONE + R::new(0.134145) * z * z);
                Real::sigmoid(inner) * (R::ONE + z * partial * Real::sigmoid(-inner))
            }
        }
    }
}
