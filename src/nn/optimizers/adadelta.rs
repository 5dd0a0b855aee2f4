//! Adadelta: steps in the unit of the parameter; a learning rate of 1 needs no tuning.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Adadelta: v ← ρv + (1 − ρ)g², d = g √(u + ε)/√(v + ε), u ← ρu + (1 − ρ)d², w ← w − lr d.
    ///
    /// As `torch.optim.Adadelta`; Keras has ε 1e-7, ρ 0.95 and lr 1e-3.
    /// Source: M. Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012.
    pub struct Adadelta of "adadelta" {
        /// The step size.
        learning_rate: f64 = 1.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running means, ρ.
        rho: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added inside both square roots for numerical stability; sets the size of the first
        /// steps, ε.
        epsilon: f64 = 1e-6, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adadelta",
    summary: "steps in the parameter's own unit; the learning rate is 1",
    formula: "v ← ρv + (1 − ρ)g²; d = g √(u + ε)/√(v + ε); u ← ρu + (1 − ρ)d²; w ← w − lr d",
    options: Adadelta::OPTIONS,
    torch: "torch.optim.Adadelta",
    keras: "keras.optimizers.Adadelta(1.0, rho=0.9, epsilon=1e-6)",
    optax: "optax.adadelta(1.0)",
    source: "M. Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012",
    variants: &[r#"{"rho": 0.8, "epsilon": 1e-3, "weight_decay": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("optimizers/adadelta.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<Adadelta>("adadelta", Adadelta::OPTIONS, options)?))
    },
};

impl Rule for Adadelta {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("RHO", self.rho),
            ("ONE_MINUS_RHO", 1.0 - self.rho),
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

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let (rho, rest, epsilon) = (R::new(self.rho), R::new(1.0 - self.rho), R::new(self.epsilon));
        let g = gradient + R::new(self.weight_decay) * parameter;
        let v = rho * state.first + rest * g * g;
        let d = Real::sqrt(state.second + epsilon) / Real::sqrt(v + epsilon) * g;
        let u = rho * state.second + rest * d * d;
        Update {
            parameter: parameter - step.learning_rate * d,
            state: State { first: v, second: u, ..state },
        }
    }
}
