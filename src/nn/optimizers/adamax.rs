//! Adamax: Adam with a decaying maximum of |g| instead of the root.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Adamax: m ← β₁m + (1 − β₁)g, u ← max(β₂u, |g| + ε), w ← w − lr/(1 − β₁ᵗ) · m/u.
    ///
    /// As `torch.optim.Adamax`; Keras and optax add ε to u instead.
    /// Source: D. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, 2015 (section 7).
    pub struct Adamax of "adamax" {
        /// The step size.
        learning_rate: f64 = 2e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the largest gradient, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to |g|; keeps u above 0, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adamax",
    summary: "Adam with the largest gradient of late in the place of the root",
    formula: "m ← β₁m + (1 − β₁)g; u ← max(β₂u, |g| + ε); w ← w − lr/(1 − β₁ᵗ) m/u",
    options: Adamax::OPTIONS,
    torch: "torch.optim.Adamax",
    keras: "keras.optimizers.Adamax",
    optax: "optax.adamax",
    source: "D. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, 2015 (section 7)",
    variants: &[r#"{"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("optimizers/adamax.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Adamax>("adamax", Adamax::OPTIONS, options)?)),
};

impl Rule for Adamax {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        2
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, 0.0)
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let g = gradient + R::new(self.weight_decay) * parameter;
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * g;
        let u = (g.abs() + R::new(self.epsilon)).max(R::new(self.beta2) * state.second);
        let rate = step.learning_rate / step.correction_first;
        Update {
            parameter: parameter - rate * m / u,
            state: State { first: m, second: u, ..state },
        }
    }
}
