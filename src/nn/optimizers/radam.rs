//! RAdam: Adam that ignores its second moment until its variance is tractable.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// RAdam: while ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ) ≤ 5, with ρ∞ = 2/(1 − β₂) − 1, w ← w − lr m̂; from
    /// then on w ← w − lr r m̂ √(1 − β₂ᵗ)/(√v + ε) with
    /// r² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).
    ///
    /// As `torch.optim.RAdam`.
    /// Source: L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020.
    pub struct RAdam of "radam" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of its square, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// True to apply `weight_decay` to w (w ← w (1 − lr λ)) instead of adding it to the
        /// gradient.
        decoupled_weight_decay: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "radam",
    summary: "Adam that warms itself up",
    formula: "w ← w − lr r m̂ √(1 − β₂ᵗ)/(√v + ε), or w ← w − lr m̂ while v has seen too little",
    options: RAdam::OPTIONS,
    torch: "torch.optim.RAdam",
    keras: "",
    optax: "optax.radam",
    source: "L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020",
    variants: &[
        r#"{"beta1": 0.8, "beta2": 0.5, "epsilon": 1e-3, "weight_decay": 0.1}"#,
        r#"{"beta2": 0.9, "weight_decay": 0.1, "decoupled_weight_decay": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/radam.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<RAdam>("radam", RAdam::OPTIONS, options)?)),
};

impl Rule for RAdam {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
            ("DECOUPLED", f64::from(u8::from(self.decoupled_weight_decay))),
        ]
    }

    fn states(&self) -> usize {
        2
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, self.beta2)
    }

    /// r √(1 − β₂ᵗ), and 1 once the second moment is used.
    fn own_numbers(&self, t: u64, _: f64) -> [f64; 3] {
        let (t, last) = (t as f64, 2.0 / (1.0 - self.beta2) - 1.0);
        let (power, correction) = (self.beta2.powf(t), 1.0 - self.beta2.powf(t));
        let now = last - 2.0 * t * power / correction;
        if now <= 5.0 {
            return [0.0; 3];
        }
        let rectified = (now - 4.0) * (now - 2.0) * last / ((last - 4.0) * (last - 2.0) * now);
        [(rectified * correction).sqrt(), 1.0, 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let decay = R::new(self.weight_decay);
        let kept = R::select(
            self.decoupled_weight_decay,
            parameter * (R::ONE - step.learning_rate * decay),
            parameter,
        );
        let g = R::select(self.decoupled_weight_decay, gradient, gradient + decay * parameter);
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * g;
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * g * g;
        let adapted = step.own[0] / (Real::sqrt(v) + R::new(self.epsilon));
        let scale = R::select(step.own[1] > R::ZERO, adapted, R::ONE);
        let rate = step.learning_rate / step.correction_first;
        Update { parameter: kept - rate * m * scale, state: State { first: m, second: v, ..state } }
    }
}
