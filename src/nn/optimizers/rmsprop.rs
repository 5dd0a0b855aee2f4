//! RMSprop: the gradient divided by its running root mean square.

use crate::catalogue;
use crate::catalogue::{Entry, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;

options! {
    /// RMSprop: v ← αv + (1 − α)g², w ← w − lr g/(√v + ε); with momentum u ← μu + g/(√v + ε),
    /// w ← w − lr u.
    ///
    /// ε is outside the root. With `centered`, the root is of v − m², m ← αm + (1 − α)g. As
    /// `torch.optim.RMSprop`; Keras has α 0.9 and ε 1e-7 inside the root.
    /// Source: T. Tieleman, G. Hinton, Lecture 6.5, 2012.
    pub struct RmsProp of "rmsprop" {
        /// The step size.
        learning_rate: f64 = 0.01, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Decay rate of the running mean of the square, α.
        alpha: f64 = 0.99, "in [0, 1)" if |alpha| (0.0..1.0).contains(&alpha);
        /// Added to the denominator for numerical stability, ε.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Momentum coefficient, μ.
        momentum: f64 = 0.0, "finite and >= 0" if |momentum| momentum.is_finite() && momentum >= 0.0;
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// True to divide g by its standard deviation, √(v − m²) with m the running mean of g,
        /// instead of its root mean square.
        centered: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "rmsprop",
    summary: "the gradient in units of its own recent size",
    formula: "v ← αv + (1 − α)g²; u ← μu + g/(√v + ε); w ← w − lr u",
    options: RmsProp::OPTIONS,
    torch: "torch.optim.RMSprop",
    keras: "keras.optimizers.RMSprop (rho 0.9, epsilon inside the root)",
    optax: "optax.rmsprop(eps_in_sqrt=False)",
    source: "T. Tieleman, G. Hinton, Lecture 6.5, 2012",
    variants: &[
        r#"{"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1, "epsilon": 1e-3}"#,
        r#"{"alpha": 0.9, "momentum": 0.5, "centered": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/rmsprop.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<RmsProp>("rmsprop", RmsProp::OPTIONS, options)?)),
};

impl Rule for RmsProp {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("ALPHA", self.alpha),
            ("ONE_MINUS_ALPHA", 1.0 - self.alpha),
            ("EPSILON", self.epsilon),
            ("MOMENTUM", self.momentum),
            ("WEIGHT_DECAY", self.weight_decay),
            ("CENTERED", f64::from(u8::from(self.centered))),
        ]
    }

    fn states(&self) -> usize {
        match (self.centered, self.momentum == 0.0) {
            (true, _) => 3,
            (false, true) => 1,
            (false, false) => 2,
        }
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
        let g = gradient + R::new(self.weight_decay) * parameter;
        let v = R::new(self.alpha) * state.first + R::new(1.0 - self.alpha) * g * g;
        let m = R::new(self.alpha) * state.third + R::new(1.0 - self.alpha) * g;
        // A variance is below 0 only by rounding.
        let spread = R::select(self.centered, (v - m * m).max(R::ZERO), v);
        let scaled = g / (Real::sqrt(spread) + R::new(self.epsilon));
        // Without momentum there is no second state; it reads as 0.
        let velocity = R::new(self.momentum) * state.second + scaled;
        let state = State { first: v, second: velocity, third: m, ..state };
        Update { parameter: parameter - step.learning_rate * velocity, state }
    }
}
