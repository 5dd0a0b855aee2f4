//! ELU: exponential below 0, the identity above.

use crate::catalogue;
use crate::catalogue::{Entry, Options, options};
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

options! {
    /// Exponential linear unit: y = x above 0, `alpha` (eˣ − 1) below; dy/dx = 1 above, y + `alpha`
    /// below and at 0.
    ///
    /// Equivalents: `torch.nn.ELU`, `keras.activations.elu`, `jax.nn.elu`.
    /// Source: D. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning
    /// by Exponential Linear Units (ELUs), 2015.
    ///
    /// ```
    /// use gradus::activations::{Activation, Elu};
    /// let mut output = [0.0_f64];
    /// (&Elu::new().alpha(0.5) as &dyn Activation).forward(1, &[-1.0], &mut output)?;
    /// assert!((output[0] + 0.31606027941427883).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Elu of "elu" {
        /// The limit below is its negative.
        alpha: f64 = 1.0, "finite and >= 0" if |alpha| alpha.is_finite() && alpha >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "elu",
    summary: "a relu that falls smoothly to -alpha",
    formula: "y = x if x > 0 else alpha (exp(x) − 1)",
    options: Elu::OPTIONS,
    torch: "torch.nn.ELU",
    keras: "keras.activations.elu",
    optax: "jax.nn.elu",
    source: "D. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning by Exponential Linear Units (ELUs), 2015",
    variants: &[r#"{"alpha": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("activations/elu.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Elu>("elu", Elu::OPTIONS, options)?)),
};

impl Pointwise for Elu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    fn check_options(&self) -> crate::Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("ALPHA", self.alpha)]
    }

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let below = R::new(self.alpha) * Real::exp_m1(Real::min(x, R::ZERO));
        R::select(x > R::ZERO, x, below)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        // `alpha` is not negative, so y is positive exactly where x is.
        R::select(y > R::ZERO, R::ONE, y + R::new(self.alpha))
    }
}
