//! NAdam: Adam with Nesterov momentum.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// NAdam: μₜ = β₁(1 − ½ 0.96^(tψ)), w ← w − lr
    /// ((1 − μₜ)g/(1 − Πμ) + μₜ₊₁m/(1 − μₜ₊₁Πμ))/(√v̂ + ε) with Adam's m and v, Πμ = μ₁…μₜ.
    ///
    /// As `torch.optim.NAdam`; optax has no momentum schedule.
    /// Source: T. Dozat, Incorporating Nesterov Momentum into Adam, 2016.
    pub struct NAdam of "nadam" {
        /// The step size.
        learning_rate: f64 = 2e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the gradient, β₁.
        beta1: f64 = 0.9, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Decay rate of the running mean of its square, β₂.
        beta2: f64 = 0.999, "in [0, 1)" if |beta| (0.0..1.0).contains(&beta);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// Growth of the momentum from step to step, ψ.
        momentum_decay: f64 = 4e-3, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// True to apply `weight_decay` to w (w ← w (1 − lr λ)) instead of adding it to the
        /// gradient.
        decoupled_weight_decay: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "nadam",
    summary: "Adam with Nesterov's momentum",
    formula: "w ← w − lr ((1 − μₜ)g/(1 − Πμ) + μₜ₊₁m/(1 − μₜ₊₁Πμ))/(√v̂ + ε), μₜ = β₁(1 − ½ 0.96^(tψ))",
    options: NAdam::OPTIONS,
    torch: "torch.optim.NAdam",
    keras: "keras.optimizers.Nadam",
    optax: "optax.nadam (no schedule of the momentum)",
    source: "T. Dozat, Incorporating Nesterov Momentum into Adam, 2016",
    variants: &[
        r#"{"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1}"#,
        r#"{"weight_decay": 0.1, "decoupled_weight_decay": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/nadam.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<NAdam>("nadam", NAdam::OPTIONS, options)?)),
};

impl Rule for NAdam {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("BETA1", self.beta1),
            ("BETA2", self.beta2),
            ("ONE_MINUS_BETA1", 1.0 - self.beta1),
            ("ONE_MINUS_BETA2", 1.0 - self.beta2),
            ("EPSILON", self.epsilon),
            ("WEIGHT_DECAY", self.weight_decay),
            ("DECOUPLED", f64::from(u8::from(self.decoupled_weight_decay))),
        ]
    }

    fn states(&self) -> usize {
        2
    }

    fn initial_learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn betas(&self) -> (f64, f64) {
        (0.0, self.beta2)
    }

    /// (1 − μₜ)/(1 − Πμ) and μₜ₊₁/(1 − μₜ₊₁Πμ).
    fn own_numbers(&self, t: u64, _: f64) -> [f64; 3] {
        let mu = |t: u64| self.beta1 * (1.0 - 0.5 * 0.96_f64.powf(t as f64 * self.momentum_decay));
        // PyTorch keeps the product in f32, which is visible in the ninth digit of a trajectory.
        let mut product = 1.0_f32;
        for step in 1..=t {
            product *= mu(step) as f32;
            // From here on 1 − Πμ is 1 for all further steps.
            if product < 1e-18 {
                break;
            }
        }
        let (product, next) = (f64::from(product), mu(t + 1));
        [(1.0 - mu(t)) / (1.0 - product), next / (1.0 - product * next), 0.0]
    }

    #[inline(always)]
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R> {
        let decay = R::new(self.weight_decay);
        let kept = R::select(
            self.decoupled_weight_decay,
            parameter * (R::ONE - step.learning_rate * decay),
            parameter,
        );
        let g = R::select(self.decoupled_weight_decay, gradient, gradient + decay * parameter);
        let m = R::new(self.beta1) * state.first + R::new(1.0 - self.beta1) * g;
        let v = R::new(self.beta2) * state.second + R::new(1.0 - self.beta2) * g * g;
        let scale = Real::sqrt(v / step.correction_second) + R::new(self.epsilon);
        let direction = (step.own[0] * g + step.own[1] * m) / scale;
        Update {
            parameter: kept - step.learning_rate * direction,
            state: State { first: m, second: v, ..state },
        }
    }
}
