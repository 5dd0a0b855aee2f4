//! Full-batch gradient descent.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Gradient descent: w ← w − α ∂L/∂w with L the loss over all rows, α the `learning_rate`; one
    /// step per epoch.
    ///
    /// Equivalents: `torch.optim.SGD` on one full batch, `keras.optimizers.SGD` with
    /// `batch_size` = rows, `optax.sgd`.
    pub struct GradientDescent of "gradient_descent" {
        /// The step size α.
        learning_rate: f64 = 0.01, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "gradient_descent",
    summary: "the plain rule, on the gradient of the whole data set",
    formula: "w ← w − α ∂L/∂w",
    options: GradientDescent::OPTIONS,
    torch: "torch.optim.SGD on one batch of all rows",
    keras: "keras.optimizers.SGD, batch_size = rows",
    optax: "optax.sgd",
    source: "",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("optimizers/gradient_descent.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<GradientDescent>(
            "gradient_descent",
            GradientDescent::OPTIONS,
            options,
        )?))
    },
};

impl Rule for GradientDescent {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;
    const WHOLE_BATCH: bool = true;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn states(&self) -> usize {
        0
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        Update { parameter: parameter - step.learning_rate * gradient, state }
    }
}
