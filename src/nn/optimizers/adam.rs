//! Adam: bias-corrected running means of the gradient and of its square.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Adam: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − lr m̂/(√v̂ + ε) with
    /// m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
    ///
    /// ε is outside the corrected root. As `torch.optim.Adam`; Keras has ε 1e-7.
    /// Source: D. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, 2015.
    pub struct Adam of "adam" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of its square, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2); see `adamw` for decoupled decay.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// True to use the largest v so far instead of v.
        amsgrad: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adam",
    summary: "running means of gradient and square; the usual first choice",
    formula: "m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w − lr (m/(1 − β₁ᵗ))/(√(v/(1 − β₂ᵗ)) + ε)",
    options: Adam::OPTIONS,
    torch: "torch.optim.Adam",
    keras: "keras.optimizers.Adam(epsilon=1e-8)",
    optax: "optax.adam",
    source: "D. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, 2015",
    variants: &[
        r#"{"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}"#,
        r#"{"amsgrad": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/adam.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Adam>("adam", Adam::OPTIONS, options)?)),
};

impl Rule for Adam {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
            ("AMSGRAD", f64::from(u8::from(self.amsgrad))),
        ]
    }

    fn states(&self) -> usize {
        if self.amsgrad { 3 } else { 2 }
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, self.beta2)
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
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * g * g;
        let largest = v.max(state.third);
        let scale = Real::sqrt(R::select(self.amsgrad, largest, v) / step.correction_second)
            + R::new(self.epsilon);
        let rate = step.learning_rate / step.correction_first;
        Update {
            parameter: parameter - rate * m / scale,
            state: State { first: m, second: v, third: largest, ..state },
        }
    }
}
