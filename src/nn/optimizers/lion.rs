//! Lion: the sign of an interpolated momentum.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Lion: w ← w − lr (sign(β₁m + (1 − β₁)g) + λw), m ← β₂m + (1 − β₂)g.
    ///
    /// As `optax.lion` (including its λ of 1e-3) and `keras.optimizers.Lion`. Needs a learning rate
    /// 3 to 10 times smaller than Adam's.
    /// Source: X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.
    pub struct Lion of "lion" {
        /// The step size.
        learning_rate: f64 = 1e-4, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Weight of the momentum in a step, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the momentum, β₂.
        beta2: f64 = 0.99, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decoupled weight decay, λ.
        weight_decay: f64 = 1e-3, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "lion",
    summary: "the sign of a momentum: one state, steps of one size",
    formula: "w ← w − lr (sign(β₁m + (1 − β₁)g) + λw); m ← β₂m + (1 − β₂)g",
    options: Lion::OPTIONS,
    torch: "",
    keras: "keras.optimizers.Lion",
    optax: "optax.lion",
    source: "X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023",
    variants: &[r#"{"beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("optimizers/lion.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Lion>("lion", Lion::OPTIONS, options)?)),
};

impl Rule for Lion {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        1
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
        let mixed = R::new(1.0 - self.beta1) * gradient + R::new(self.beta1) * state.first;
        let m = R::new(1.0 - self.beta2) * gradient + R::new(self.beta2) * state.first;
        let direction = mixed.sign() + R::new(self.weight_decay) * parameter;
        Update {
            parameter: parameter - step.learning_rate * direction,
            state: State { first: m, ..state },
        }
    }
}
