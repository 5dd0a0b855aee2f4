//! AdaBelief: step size from the deviation of the gradient from its running mean.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// AdaBelief: m ← β₁m + (1 − β₁)g, s ← β₂s + (1 − β₂)(g − m)² + ε_root, w ← w − lr m̂/(√ŝ + ε)
    /// with m̂ = m/(1 − β₁ᵗ), ŝ = s/(1 − β₂ᵗ).
    ///
    /// With `nesterov`, m̂ = β₁m/(1 − β₁ᵗ⁺¹) + (1 − β₁)g/(1 − β₁ᵗ). As `optax.adabelief`, including
    /// its ε of 1e-16; the authors use 1e-8.
    /// Source: J. Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed
    /// Gradients, 2020.
    pub struct AdaBelief of "adabelief" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of (g − m)², β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-16, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Added to s in each step, ε_root.
        epsilon_root: f64 = 1e-16, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// True for Nesterov momentum.
        nesterov: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adabelief",
    summary: "steps by how far the gradient is from what was expected of it",
    formula: "s ← β₂s + (1 − β₂)(g − m)² + ε_root; w ← w − lr (m/(1 − β₁ᵗ))/(√(s/(1 − β₂ᵗ)) + ε)",
    options: AdaBelief::OPTIONS,
    torch: "",
    keras: "",
    optax: "optax.adabelief",
    source: "J. Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients, 2020",
    variants: &[
        r#"{"nesterov": true, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "epsilon_root": 1e-6}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/adabelief.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<AdaBelief>("adabelief", AdaBelief::OPTIONS, options)?))
    },
};

impl Rule for AdaBelief {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("EPSILON_ROOT", self.epsilon_root),
            ("NESTEROV", f64::from(u8::from(self.nesterov))),
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

    /// 1 − β₁ᵗ⁺¹, for Nesterov momentum.
    fn own_numbers(&self, t: u64, _: f64) -> [f64; 3] {
        [1.0 - self.beta1.powf(t as f64 + 1.0), 0.0, 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * gradient;
        let surprise = gradient - m;
        let kept =
            R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * surprise * surprise;
        let s = kept + R::new(self.epsilon_root);
        let ahead = R::new(self.beta1) * m / step.own[0]
            + R::new(1.0 - self.beta1) * gradient / step.correction_first;
        let mean = R::select(self.nesterov, ahead, m / step.correction_first);
        let scale = Real::sqrt(s / step.correction_second) + R::new(self.epsilon);
        Update {
            parameter: parameter - step.learning_rate * mean / scale,
            state: State { first: m, second: s, ..state },
        }
    }
}
