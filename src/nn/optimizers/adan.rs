//! Adan: Nesterov momentum from the differences of successive gradients.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Adan: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)Δ with Δ = g − g₋₁,
    /// n ← β₃n + (1 − β₃)(g + (1 − β₂)Δ)², w ← w − lr
    /// ((m̂ + (1 − β₂)v̂)/(√(n̂ + ε_root) + ε) + λw), each mean divided by 1 − βᵗ; Δ is 0 in the
    /// first step.
    ///
    /// As `optax.adan`. The authors' code weights v by β₂ in their notation, 1 − β here, and decays
    /// w by 1/(1 + lr λ).
    /// Source: X. Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep
    /// Models, 2022.
    pub struct Adan of "adan" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.98, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of the differences, β₂.
        beta2: f64 = 0.92, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of the squares, β₃.
        beta3: f64 = 0.99, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Added inside the square root, ε_root.
        epsilon_root: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Decoupled weight decay, λ.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adan",
    summary: "Nesterov's momentum from the differences of gradients; four states",
    formula: "w ← w − lr ((m̂ + (1 − β₂)v̂)/(√(n̂ + ε_root) + ε) + λw)",
    options: Adan::OPTIONS,
    torch: "",
    keras: "",
    optax: "optax.adan",
    source: "X. Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, 2022",
    variants: &[
        r#"{"beta1": 0.9, "beta2": 0.8, "beta3": 0.95, "epsilon": 1e-3, "epsilon_root": 1e-4, "weight_decay": 0.1}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/adan.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Adan>("adan", Adan::OPTIONS, options)?)),
};

impl Rule for Adan {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("BETA3", self.beta3),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("ONE_MINUS_BETA3", 1.0 - self.beta3),
            ("EPSILON", self.epsilon),
            ("EPSILON_ROOT", self.epsilon_root),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        4
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (self.beta1, self.beta2)
    }

    /// 1 − β₃ᵗ.
    fn own_numbers(&self, t: u64, _: f64) -> [f64; 3] {
        [1.0 - self.beta3.powf(t as f64), 0.0, 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let difference = R::select(step.is_first > R::ZERO, R::ZERO, gradient - state.fourth);
        let ahead = gradient + R::new(1.0 - self.beta2) * difference;
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * gradient;
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * difference;
        let n = R::new(self.beta3) * state.third + R::new(1.0 - self.beta3) * ahead * ahead;
        let mean =
            m / step.correction_first + R::new(1.0 - self.beta2) * v / step.correction_second;
        let scale = Real::sqrt(n / step.own[0] + R::new(self.epsilon_root)) + R::new(self.epsilon);
        let direction = mean / scale + R::new(self.weight_decay) * parameter;
        let state = State { first: m, second: v, third: n, fourth: gradient };
        Update { parameter: parameter - step.learning_rate * direction, state }
    }
}
