//! Leaky ReLU: ReLU with a small slope below 0 so that no unit dies.

use crate::catalogue;
use crate::catalogue::{Entry, Options, options};
use crate::cpu::real::Real;
use crate::nn::activations::activation::{Activation, Pointwise};

options! {
    /// Leaky ReLU: y = x above 0, `negative_slope`·x below; the derivative at 0 is
    /// `negative_slope`.
    ///
    /// Equivalents: `torch.nn.LeakyReLU`, `keras.layers.LeakyReLU` (whose default slope is 0.3),
    /// `jax.nn.leaky_relu`.
    ///
    /// ```
    /// use gradus::activations::{Activation, LeakyRelu};
    /// let mut output = [0.0_f64];
    /// (&LeakyRelu::new().negative_slope(0.25) as &dyn Activation).forward(1, &[-2.0], &mut output)?;
    /// assert_eq!(output, [-0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LeakyRelu of "leaky_relu" {
        /// The slope below 0.
        negative_slope: f64 = 0.01, "finite and >= 0" if |slope| slope.is_finite() && slope >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "leaky_relu",
    summary: "relu with a small slope below 0, so that no unit dies",
    formula: "y = x if x > 0 else negative_slope x",
    options: LeakyRelu::OPTIONS,
    torch: "torch.nn.LeakyReLU",
    keras: "keras.layers.LeakyReLU (default slope 0.3)",
    optax: "jax.nn.leaky_relu",
    source: "A. Maas, A. Hannun, A. Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013",
    variants: &[r#"{"negative_slope": 0.3}"#],
    shader: crate::runtime::wgsl::shader!("activations/leaky_relu.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<LeakyRelu>("leaky_relu", LeakyRelu::OPTIONS, options)?))
    },
};

impl Pointwise for LeakyRelu {
    const ENTRY: &'static Entry<dyn Activation> = &ENTRY;

    fn check_options(&self) -> crate::Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("NEGATIVE_SLOPE", self.negative_slope)]
    }

    #[inline(always)]
    fn activate<R: Real>(&self, x: R) -> R {
        R::select(x > R::ZERO, x, R::new(self.negative_slope) * x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        // `negative_slope` is not negative, so y is positive exactly where x is.
        let slope = R::select(y > R::ZERO, R::ONE, R::new(self.negative_slope));
        R::select(y.is_nan(), y, slope)
    }
}
