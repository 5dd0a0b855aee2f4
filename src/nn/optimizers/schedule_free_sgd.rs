//! Schedule-free SGD: averaging of the iterates instead of a schedule.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// Schedule-free SGD: z ← z − lr (g + λy), x ← (1 − c)x + cz, y = (1 − β)z + βx, with z = x = y
    /// initially. The parameters are y, where the gradient is evaluated; x holds the weights to
    /// predict with ([`crate::Model::averaged`]).
    ///
    /// c = γₜ²/Σγᵢ², where γ is the warm-up alone, min(1, t/`warmup_steps`); 1/t without a warm-up.
    /// The learning rate is meant to stay constant: an additional schedule changes the steps but
    /// not c. As `optax.contrib.schedule_free_sgd` without a warm-up.
    /// Source: A. Defazio et al., The Road Less Scheduled, 2024.
    pub struct ScheduleFreeSgd of "schedule_free_sgd" {
        /// The step size.
        learning_rate: f64 = 1.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Interpolation of y between z (0) and the average x (1), β.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Steps over which the learning rate grows from 0.
        warmup_steps: u32 = 0u32, "a whole number from 0 to 4294967295" if |_| true;
        /// Weight decay λ: λy is added to the gradient.
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "schedule_free_sgd",
    summary: "SGD with a mean of its steps in the place of a schedule",
    formula: "z ← z − lr (g + λy); x ← (1 − c)x + cz; y = (1 − β)z + βx",
    options: ScheduleFreeSgd::OPTIONS,
    torch: "",
    keras: "",
    optax: "optax.contrib.schedule_free_sgd",
    source: "A. Defazio et al., The Road Less Scheduled, 2024",
    variants: &[r#"{"beta1": 0.8, "warmup_steps": 3, "weight_decay": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("optimizers/schedule_free_sgd.wgsl"),
    make: |options| {
        Ok(Box::new(catalogue::read::<ScheduleFreeSgd>(
            "schedule_free_sgd",
            ScheduleFreeSgd::OPTIONS,
            options,
        )?))
    },
};

impl Rule for ScheduleFreeSgd {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("WEIGHT_DECAY", self.weight_decay),
        ]
    }

    fn states(&self) -> usize {
        2
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
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
        let z = z - step.learning_rate * (gradient + R::new(self.weight_decay) * parameter);
        let x = x + step.own[0] * (z - x);
        let y = R::new(1.0 - self.beta1) * z + R::new(self.beta1) * x;
        Update { parameter: y, state: State { first: z, second: x, ..state } }
    }
}

/// Warm-up factor, min(1, t/`steps`).
pub(crate) fn warmth(t: u64, steps: u32) -> f64 {
    if t >= u64::from(steps) { 1.0 } else { t as f64 / f64::from(steps) }
}

/// γₜ²/Σγᵢ² over the steps so far, γ the warm-up factor: the sum of the first squares in closed
/// form.
pub(crate) fn weight(t: u64, steps: u32) -> f64 {
    let (t_all, w) = (t as f64, f64::from(steps));
    let warm = t_all.min(w);
    let squares =
        if steps == 0 { 0.0 } else { warm * (warm + 1.0) * (2.0 * warm + 1.0) / (6.0 * w * w) };
    let gamma = warmth(t, steps);
    gamma * gamma / (squares + (t_all - w).max(0.0))
}
