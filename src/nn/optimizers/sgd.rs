//! SGD: mini-batch gradient descent with momentum.

use crate::catalogue::{Entry, Options, options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::step::Step;
use crate::{Error, Result, catalogue};

options! {
    /// Stochastic gradient descent: v ← μv + (1 − d)g, v = g in the first step; w ← w − lr·v, with
    /// Nesterov momentum w ← w − lr (g + μv).
    ///
    /// `weight_decay` λ first replaces g by g + λw. Without `momentum` there is no v and no
    /// `dampening`. As `torch.optim.SGD`.
    /// Keras stores lr·v as its velocity, which differs once the learning rate changes.
    pub struct Sgd of "sgd" {
        /// The step size.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Momentum coefficient, μ.
        momentum: f64 = 0.0, "finite and >= 0" if |momentum| momentum.is_finite() && momentum >= 0.0;
        /// Dampening of the gradient in the momentum, d.
        dampening: f64 = 0.0, "finite" if |dampening| dampening.is_finite();
        /// Weight decay λ: λw is added to the gradient (L2).
        weight_decay: f64 = 0.0, "finite and >= 0" if |decay| decay.is_finite() && decay >= 0.0;
        /// True for Nesterov momentum.
        nesterov: bool = false, "true or false; true needs momentum > 0 and dampening 0" if |_| true;
    }
}

pub(crate) static ENTRY: Entry<dyn Optimizer> = Entry {
    name: "sgd",
    summary: "gradient descent on batches, with momentum",
    formula: "v ← μv + (1 − d)g (first step: v = g); w ← w − lr v, with Nesterov w ← w − lr (g + μv)",
    options: Sgd::OPTIONS,
    torch: "torch.optim.SGD",
    keras: "keras.optimizers.SGD (velocity holds lr v)",
    optax: "optax.sgd",
    source: "I. Sutskever, J. Martens, G. Dahl, G. Hinton, On the importance of initialization and momentum, 2013",
    variants: &[
        r#"{"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}"#,
        r#"{"momentum": 0.8, "nesterov": true}"#,
    ],
    shader: crate::runtime::wgsl::shader!("optimizers/sgd.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Sgd>("sgd", Sgd::OPTIONS, options)?)),
};

/// Rounding error of a constant. The velocity amplifies each such error up to 1/(1 − μ) times,
/// always in the same direction; with this correction a weight is off by a third less after fifty
/// steps.
fn rest<R: Real>(constant: f64) -> R {
    R::new(constant - R::new(constant).to_f64())
}

impl Rule for Sgd {
    const ENTRY: &'static Entry<dyn Optimizer> = &ENTRY;

    fn check_options(&self) -> Result<()> {
        self.check_domains()?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            let found =
                format!("true with momentum {} and dampening {}", self.momentum, self.dampening);
            return Err(Error::option(
                "sgd",
                "nesterov",
                found,
                "false unless momentum > 0 and dampening is 0",
            ));
        }
        Ok(())
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("MOMENTUM", self.momentum),
            ("NESTEROV", f64::from(u8::from(self.nesterov))),
            ("ONE_MINUS_DAMPENING", 1.0 - self.dampening),
            ("WEIGHT_DECAY", self.weight_decay),
            ("MOMENTUM_REST", rest::<f32>(self.momentum).into()),
            ("ONE_MINUS_DAMPENING_REST", rest::<f32>(1.0 - self.dampening).into()),
            ("WEIGHT_DECAY_REST", rest::<f32>(self.weight_decay).into()),
        ]
    }

    fn states(&self) -> usize {
        usize::from(self.momentum != 0.0)
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
        let g = gradient
            + (R::new(self.weight_decay) * parameter + rest::<R>(self.weight_decay) * parameter);
        if self.momentum == 0.0 {
            return Update { parameter: parameter - step.learning_rate * g, state };
        }
        let momentum = R::new(self.momentum);
        let kept = 1.0 - self.dampening;
        let rests = rest::<R>(self.momentum) * state.first + rest::<R>(kept) * g;
        let moved = momentum * state.first + (R::new(kept) * g + rests);
        let velocity = R::select(step.is_first > R::ZERO, g, moved);
        let direction = R::select(self.nesterov, g + momentum * velocity, velocity);
        Update {
            parameter: parameter - step.learning_rate * direction,
            state: State { first: velocity, ..state },
        }
    }
}
