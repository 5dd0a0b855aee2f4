//! Yogi: Adam with additive updates of the second moment.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::slices::MOST_STATES;
use crate::nn::optimizers::step::Step;

options! {
    /// Yogi: m ← β₁m + (1 − β₁)g, v ← v − (1 − β₂) sign(v − g²) g², w ← w − lr m̂/(√v̂ + ε), both
    /// means starting at `initial_accumulator_value`.
    ///
    /// As `optax.yogi`.
    /// Source: M. Zaheer et al., Adaptive Methods for Nonconvex Optimization, 2018.
    pub struct Yogi of "yogi" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the second moment, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-3, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Initial value of both means.
        initial_accumulator_value: f64 = 1e-6, "finite and >= 0" if |value| value.is_finite() && value >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "yogi",
    summary: "Adam whose second moment moves by steps: no sudden growth of the rate",
    formula: "v ← v − (1 − β₂) sign(v − g²) g²; w ← w − lr (m/(1 − β₁ᵗ))/(√(v/(1 − β₂ᵗ)) + ε)",
    options: Yogi::OPTIONS,
    torch: "",
    keras: "",
    optax: "optax.yogi",
    source: "M. Zaheer et al., Adaptive Methods for Nonconvex Optimization, 2018",
    variants: &[
        r#"{"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-2, "initial_accumulator_value": 0.1}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/yogi.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Yogi>("yogi", Yogi::OPTIONS, options)?)),
};

impl Rule for Yogi {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
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

    fn initial_states(&self) -> [f64; MOST_STATES] {
        [self.initial_accumulator_value, self.initial_accumulator_value, 0.0, 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let square = gradient * gradient;
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * gradient;
        let v = state.second - R::new(1.0 - self.beta2) * (state.second - square).sign() * square;
        let scale = Real::sqrt(v / step.correction_second) + R::new(self.epsilon);
        let rate = step.learning_rate / step.correction_first;
        Update {
            parameter: parameter - rate * m / scale,
            state: State { first: m, second: v, ..state },
        }
    }
}
