//! Schedule-free AdamW: averaging of the iterates instead of a schedule.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::schedule_free_sgd::{warmth, weight};
use crate::nn::optimizers::step::Step;

options! {
    /// Schedule-free AdamW: v ← β₂v + (1 − β₂)g², z ← z − lr (g/(√v̂ + ε) + λy), x ← (1 − c)x + cz,
    /// y = (1 − β₁)z + β₁x, with z = x = y initially. The parameters are y, where the gradient is
    /// evaluated; x holds the weights to predict with ([`crate::Model::averaged`]).
    ///
    /// c and the warm-up are those of [`crate::nn::optimizers::ScheduleFreeSgd`]. As
    /// `optax.contrib.schedule_free_adamw` without a warm-up.
    /// Source: A. Defazio et al., The Road Less Scheduled, 2024.
    pub struct ScheduleFreeAdamW of "schedule_free_adamw" {
        /// The step size.
        learning_rate: f64 = 2.5e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Interpolation of y between z (0) and the average x (1), β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of the squared gradient, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Steps over which the learning rate grows from 0.
        warmup_steps: u32 = 0u32, "a whole number from 0 to 4294967295" if |_| true;
        /// Weight decay λ: λy is added to the direction.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "schedule_free_adamw",
    summary: "AdamW with a mean of its steps in the place of a schedule",
    formula: "z ← z − lr (g/(√v̂ + ε) + λy); x ← (1 − c)x + cz; y = (1 − β₁)z + β₁x",
    options: ScheduleFreeAdamW::OPTIONS,
    torch: "",
    keras: "",
    optax: "optax.contrib.schedule_free_adamw",
    source: "A. Defazio et al., The Road Less Scheduled, 2024",
    variants: &[
        r#"{"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "warmup_steps": 3, "weight_decay": 0.1}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/schedule_free_adamw.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<ScheduleFreeAdamW>(
            "schedule_free_adamw",
            ScheduleFreeAdamW::OPTIONS,
            options,
        )?))
    },
};

impl Rule for ScheduleFreeAdamW {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        3
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (0.0, self.beta2)
    }

    fn averaged_state(&self) -> Option<usize> {
        Some(1)
    }

    fn learning_rate_at(&self, t: u64, learning_rate: f64) -> f64 {
        learning_rate * warmth(t, self.warmup_steps)
    }

    /// Weight of the newest z in the average.
    fn own_numbers(&self, t: u64, _: f64) -> [f64; 3] {
        [weight(t, self.warmup_steps), 0.0, 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let is_first = step.is_first > R::ZERO;
        let (z, x) = (
            R::select(is_first, parameter, state.first),
            R::select(is_first, parameter, state.second),
        );
        let v = R::new(self.beta2) * state.third + R::new(1.0 - self.beta2) * gradient * gradient;
        let scaled = gradient / (Real::sqrt(v / step.correction_second) + R::new(self.epsilon));
        let z = z - step.learning_rate * (scaled + R::new(self.weight_decay) * parameter);
        let x = x + step.own[0] * (z - x);
        let y = R::new(1.0 - self.beta1) * z + R::new(self.beta1) * x;
        Update { parameter: y, state: State { first: z, second: x, third: v, ..state } }
    }
}
