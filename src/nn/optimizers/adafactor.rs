//! Adafactor: Adam with a second moment factored into row and column means.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Layer, Rule, State, Update};
use crate::nn::optimizers::step::{PerTensor, Step};

options! {
    /// Adafactor: for a matrix, running means of g² by row (r) and by column (c), the new ones with
    /// weight tᵝ; v = r cᵀ/mean(r). For a vector, v itself. d = g/√max(v, ε₁²), with its root mean
    /// square clipped to `d`; w ← w (1 − lr λ) − α d with α = max(ε₂, rms w) · min(lr, 1/√t).
    ///
    /// As `torch.optim.Adafactor`, whose ε₁ is that of the dtype; here it is that of f64 on every
    /// device. optax and Keras factor large matrices only. On a GPU a step takes six dispatches and
    /// is not supported by the fused small-model kernel; the means are stored in buffers of the
    /// length of the parameters.
    /// Source: N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory
    /// Cost, 2018.
    pub struct Adafactor of "adafactor" {
        /// The step size.
        learning_rate: f64 = 0.01, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Exponent β: the squares of step t enter the means with weight tᵝ.
        beta2_decay: f64 = -0.8, "finite and <= 0" if |decay| decay.is_finite() && decay <= 0.0;
        /// Smallest mean of the rows; its square is the smallest v, ε₁.
        epsilon1: f64 = 2.220446049250313e-16, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Smallest root mean square of a tensor in the step size, ε₂.
        epsilon2: f64 = 1e-3, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Clipping threshold of the direction's root mean square.
        d: f64 = 1.0, "finite and > 0" if |d| d.is_finite() && d > 0.0;
        /// Decoupled weight decay, λ.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adafactor",
    summary: "Adam's second moment by row and by column: for matrices too large for a state of their own",
    formula: "v = r cᵀ/mean(r); d = g/√max(v, ε₁²); w ← w − max(ε₂, rms w) min(lr, 1/√t) d/max(1, rms d / d_max)",
    options: Adafactor::OPTIONS,
    torch: "torch.optim.Adafactor",
    keras: "",
    optax: "",
    source: "N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018",
    variants: &[
        r#"{"beta2_decay": -0.5, "epsilon1": 1e-3, "epsilon2": 0.1, "d": 0.5, "weight_decay": 0.1}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/adafactor.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<Adafactor>("adafactor", Adafactor::OPTIONS, options)?))
    },
};

impl Rule for Adafactor {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("EPSILON1", self.epsilon1),
            ("EPSILON2", self.epsilon2),
            ("LARGEST", self.d),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        3
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn per_tensor(&self) -> Option<PerTensor> {
        Some(PerTensor { factored: true, orthogonal: None })
    }

    /// The weight of the new squares, and min(lr, 1/√t).
    fn own_numbers(&self, t: u64, learning_rate: f64) -> [f64; 3] {
        [(t as f64).powf(self.beta2_decay), learning_rate.min(1.0 / (t as f64).sqrt()), 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(&self, _: R, gradient: R, state: State<R>, step: &Step<R>) -> Update<R> {
        let least = R::new(self.epsilon1);
        // For a matrix the kernel template passes the row mean, the column mean and the mean of the
        // row means.
        let of_matrix = state.first * state.second / state.third.max(least);
        let of_vector = state.first + step.own[0] * (gradient * gradient - state.first);
        let v = R::select(step.is_matrix > R::ZERO, of_matrix, of_vector);
        let direction = gradient / Real::sqrt(v.max(least * least));
        Update { parameter: direction, state: State { first: v, ..state } }
    }

    fn apply_update<R: Real>(
        &self,
        parameter: R,
        direction: R,
        layer: &Layer<R>,
        step: &Step<R>,
    ) -> R {
        let size = Real::sqrt(layer.rows * layer.columns);
        let alpha = (layer.parameter_norm / size).max(R::new(self.epsilon2)) * step.own[1];
        let held = (layer.direction_norm / (size * R::new(self.d))).max(R::ONE);
        parameter * (R::ONE - step.learning_rate * R::new(self.weight_decay))
            - alpha / held * direction
    }
}
