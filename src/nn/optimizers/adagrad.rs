//! Adagrad: steps that shrink with the sum of all squared gradients so far.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::slices::MOST_STATES;
use crate::nn::optimizers::step::Step;

options! {
    /// Adagrad: s ← s + g², w ← w − lr/(1 + (t − 1)η) · g/(√s + ε), s from
    /// `initial_accumulator_value`.
    ///
    /// ε is outside the root. As `torch.optim.Adagrad`; Keras and optax start s at 0.1, with ε 1e-7
    /// inside the root.
    /// Source: J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online
    /// Learning, 2011.
    pub struct Adagrad of "adagrad" {
        /// The step size.
        learning_rate: f64 = 0.01, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay of the learning rate from step to step, η.
        lr_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// Initial value of the sum of squares.
        initial_accumulator_value: f64 = 0.0, "finite and >= 0" if |value| value.is_finite() && value >= 0.0;
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-10, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// True to add g² to the sum after the step, so that the root covers previous steps only:
        /// LightFM's rule, with `initial_accumulator_value` 1 and `epsilon` 0.
        delayed: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "adagrad",
    summary: "steps that shrink with all the gradients seen so far: rare features learn fast",
    formula: "s ← s + g²; w ← w − lr/(1 + (t − 1)η) g/(√s + ε)",
    options: Adagrad::OPTIONS,
    torch: "torch.optim.Adagrad",
    keras: "keras.optimizers.Adagrad (epsilon inside the root)",
    optax: "optax.adagrad (epsilon inside the root)",
    source: "J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning, 2011",
    variants: &[
        r#"{"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-3}"#,
        r#"{"initial_accumulator_value": 1.0, "epsilon": 0.0, "delayed": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/adagrad.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Adagrad>("adagrad", Adagrad::OPTIONS, options)?)),
};

impl Rule for Adagrad {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let delayed = f64::from(u8::from(self.delayed));
        vec![("EPSILON", self.epsilon), ("WEIGHT_DECAY", self.weight_decay), ("DELAYED", delayed)]
    }

    fn states(&self) -> usize {
        1
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn initial_states(&self) -> [f64; MOST_STATES] {
        [self.initial_accumulator_value, 0.0, 0.0, 0.0]
    }

    fn learning_rate_at(&self, t: u64, learning_rate: f64) -> f64 {
        learning_rate / (1.0 + (t as f64 - 1.0) * self.lr_decay)
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
        let s = state.first + g * g;
        let scale = Real::sqrt(R::select(self.delayed, state.first, s)) + R::new(self.epsilon);
        Update {
            parameter: parameter - step.learning_rate * g / scale,
            state: State { first: s, ..state },
        }
    }
}
