//! LAMB: Adam's direction, scaled per tensor by the trust ratio.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Layer, Rule, State, Update};
use crate::nn::optimizers::step::{PerTensor, Step};

options! {
    /// LAMB: d = m̂/(√(v̂ + ε_root) + ε) + λw with Adam's means; per tensor w ← w − lr (‖w‖/‖d‖) d,
    /// with ratio 1 if a norm is 0.
    ///
    /// As `optax.lamb`. On a GPU a step takes four dispatches and is not supported by the fused
    /// small-model kernel.
    /// Source: Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76
    /// minutes, 2020.
    pub struct Lamb of "lamb" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of its square, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-6, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Added inside the square root, ε_root.
        epsilon_root: f64 = 0.0, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the direction.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "lamb",
    summary: "Adam's direction, each tensor by a step in proportion to its own size: large batches",
    formula: "d = m̂/(√(v̂ + ε_root) + ε) + λw; w ← w − lr (‖w‖/‖d‖) d for each tensor",
    options: Lamb::OPTIONS,
    torch: "",
    keras: "keras.optimizers.Lamb",
    optax: "optax.lamb",
    source: "Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2020",
    variants: &[
        r#"{"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "epsilon_root": 1e-4, "weight_decay": 0.1}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/lamb.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Lamb>("lamb", Lamb::OPTIONS, options)?)),
};

impl Rule for Lamb {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("EPSILON_ROOT", self.epsilon_root),
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
        (self.beta1, self.beta2)
    }

    fn per_tensor(&self) -> Option<PerTensor> {
        Some(PerTensor::default())
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
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * gradient * gradient;
        let scale = Real::sqrt(v / step.correction_second + R::new(self.epsilon_root))
            + R::new(self.epsilon);
        let direction = m / step.correction_first / scale + R::new(self.weight_decay) * parameter;
        Update { parameter: direction, state: State { first: m, second: v, ..state } }
    }

    fn apply_update<R: Real>(
        &self,
        parameter: R,
        direction: R,
        layer: &Layer<R>,
        step: &Step<R>,
    ) -> R {
        let is_zero = layer.parameter_norm == R::ZERO || layer.direction_norm == R::ZERO;
        let ratio = R::select(is_zero, R::ONE, layer.parameter_norm / layer.direction_norm);
        parameter - step.learning_rate * ratio * direction
    }
}
