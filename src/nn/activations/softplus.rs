//! Softplus: a smooth ReLU, positive everywhere.

use crate::catalogue;
use crate::catalogue::{Entry, Options, options};
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

options! {
    /// Softplus: y = ln(1 + e^(`beta` x))/`beta`, dy/dx = σ(`beta` x); y = x and dy/dx = 1 where
    /// `beta` x is above `threshold`.
    ///
    /// Equivalents: `torch.nn.Softplus`; `keras.activations.softplus` and `jax.nn.softplus`, which
    /// have no options.
    /// Source: C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau, R. Garcia, Incorporating Second-Order
    /// Functional Knowledge for Better Option Pricing, 2000.
    ///
    /// ```
    /// use gradus::activations::{Activation, Softplus};
    /// let mut output = [0.0_f64];
    /// (&Softplus::new() as &dyn Activation).forward(1, &[1.0], &mut output)?;
    /// assert!((output[0] - 1.3132616875182228).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Softplus of "softplus" {
        /// Scale of the input: the larger, the closer to relu.
        beta: f64 = 1.0, "finite and > 0" if |beta| beta.is_finite() && beta > 0.0;
        /// Where `beta` x is above it, y = x.
        threshold: f64 = 20.0, "finite" if |threshold| threshold.is_finite();
    }
}

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "softplus",
    summary: "a smooth relu, positive everywhere",
    formula: "y = ln(1 + exp(beta x))/beta, x where beta x > threshold",
    options: Softplus::OPTIONS,
    torch: "torch.nn.Softplus",
    keras: "keras.activations.softplus (beta 1, no threshold)",
    optax: "jax.nn.softplus",
    source: "C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau, R. Garcia, Incorporating Second-Order Functional Knowledge for Better Option Pricing, 2000",
    variants: &[r#"{"beta": 2.0, "threshold": 5.0}"#],
    shader: crate::runtime::wgsl::shader!("activations/softplus.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<Softplus>("softplus", Softplus::OPTIONS, options)?))
    },
};

impl Pointwise for Softplus {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;
    const NEEDS_INPUT: bool = true;

    fn check_options(&self) -> crate::Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta), ("THRESHOLD", self.threshold)]
    }

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        let z = R::new(self.beta) * x;
        R::select(z > R::new(self.threshold), x, Real::softplus(z) / R::new(self.beta))
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let z = R::new(self.beta) * x;
        R::select(z > R::new(self.threshold), R::ONE, Real::sigmoid(z))
    }
}
