//! Muon: orthogonalised momentum for matrices.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Layer, Rule, State, Update};
use crate::nn::optimizers::step::{NewtonSchulz, PerTensor, Step};

options! {
    /// Muon: for a matrix, m ← μm + (1 − μ)g, d = (1 − μ)g + μm with `nesterov`, else m; d is
    /// orthogonalised by Newton–Schulz iteration (all singular values towards 1); w ← w (1 − lr
    /// λ) − lr √max(1, columns/rows) d. A vector (a bias) is updated by Adam with β₁, β₂ and the
    /// same rate.
    ///
    /// `torch.optim.Muon` runs the iteration in bf16 and accepts matrices only; columns here are
    /// the outputs of a layer, rows there. The coefficients are 3.4445, −4.775, 2.0315. On a GPU a
    /// step takes about thirty dispatches per matrix and is not supported by the fused small-model
    /// kernel.
    /// Source: K. Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    pub struct Muon of "muon" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Momentum coefficient, μ.
        momentum: f64 = 0.95, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// True for Nesterov momentum.
        nesterov: bool = true, "true or false" if |_| true;
        /// Number of Newton–Schulz iterations.
        ns_steps: u32 = 5u32, "a whole number from 1 to 99" if |steps| (1..100).contains(&steps);
        /// Smallest norm that a matrix is divided by; also Adam's ε.
        epsilon: f64 = 1e-7, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Decoupled weight decay, λ.
        weight_decay: f64 = 0.1, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// Adam's β₁, for vectors.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Adam's β₂, for vectors.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "muon",
    summary: "a matrix moves along its momentum made orthogonal; vectors by Adam",
    formula: "m ← μm + (1 − μ)g; w ← w (1 − lr λ) − lr √max(1, columns/rows) orthogonal((1 − μ)g + μm)",
    options: Muon::OPTIONS,
    torch: "torch.optim.Muon (in bf16)",
    keras: "keras.optimizers.Muon",
    optax: "optax.contrib.muon (momentum corrected for its start)",
    source: "K. Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024",
    variants: &[
        r#"{"momentum": 0.8, "nesterov": false, "ns_steps": 3, "epsilon": 1e-3, "weight_decay": 0.0, "beta1": 0.8, "beta2": 0.95}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/muon.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Muon>("muon", Muon::OPTIONS, options)?)),
};

impl Rule for Muon {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("MOMENTUM", self.momentum),
            ("ONE_MINUS_MOMENTUM", 1.0 - self.momentum),
            ("NESTEROV", f64::from(u8::from(self.nesterov))),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
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
        let newton_schulz = NewtonSchulz {
            steps: self.ns_steps,
            coefficients: [3.4445, -4.775, 2.0315],
            epsilon: self.epsilon,
        };
        Some(PerTensor { factored: false, orthogonal: Some(newton_schulz) })
    }

    #[inline(always)]
    fn update<R: Real>(&self, _: R, gradient: R, state: State<R>, step: &Step<R>) -> Update<R> {
        let is_matrix = step.is_matrix > R::ZERO;
        let kept = R::select(is_matrix, R::new(self.momentum), R::new(self.beta1));
        let taken = R::select(is_matrix, R::new(1.0 - self.momentum), R::new(1.0 - self.beta1));
        let m = kept * state.first + taken * gradient;
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * gradient * gradient;
        let of_vector = m
            / step.correction_first
            / (Real::sqrt(v / step.correction_second) + R::new(self.epsilon));
        let of_matrix = R::select(self.nesterov, taken * gradient + kept * m, m);
        let direction = R::select(is_matrix, of_matrix, of_vector);
        Update {
            parameter: direction,
            state: State { first: m, second: R::select(is_matrix, R::ZERO, v), ..state },
        }
    }

    fn apply_update<R: Real>(
        &self,
        parameter: R,
        direction: R,
        layer: &Layer<R>,
        step: &Step<R>,
    ) -> R {
        let is_matrix = step.is_matrix > R::ZERO;
        let wide = Real::sqrt((layer.columns / layer.rows).max(R::ONE));
        let rate = step.learning_rate * R::select(is_matrix, wide, R::ONE);
        let decay = R::select(is_matrix, R::new(self.weight_decay), R::ZERO);
        parameter * (R::ONE - step.learning_rate * decay) - rate * direction
    }
}
