//! Dense: a linear layer with an activation.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::nn::activations;
use crate::nn::activations::Identity;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;
use crate::nn::ops::activation::Activate;
use crate::{Error, Result};

/// A dense layer: y = activation(x W + b), W of shape [inputs, units], b of shape `[units]`.
///
/// Keras `Dense`, PyTorch `Linear` (whose weight is Wᵀ) followed by an activation.
///
/// ```
/// use gradus::{Dense, activations::Relu};
/// let layer = Dense::new(128).activation(Relu).l2(1e-4);
/// assert_eq!(layer.units(), 128);
/// ```
#[derive(Clone, Debug)]
pub struct Dense {
    pub(crate) units: usize,
    pub(crate) activation: Arc<dyn Activation>,
    pub(crate) bias: bool,
    pub(crate) initializer: Initializer,
    pub(crate) l1: Option<f64>,
    pub(crate) l2: Option<f64>,
    pub(crate) proximal_l1: Option<f64>,
}

impl Dense {
    /// A layer of `units` outputs with a bias and no activation; weights from
    /// [`Initializer::GlorotUniform`], bias 0.
    pub fn new(units: usize) -> Self {
        let (activation, initializer) = (Arc::new(Identity), Initializer::default());
        Dense { units, activation, bias: true, initializer, l1: None, l2: None, proximal_l1: None }
    }

    /// Activation of the output (default: none).
    pub fn activation(self, activation: impl Activation + 'static) -> Self {
        self.boxed_activation(Box::new(activation))
    }

    /// As [`Dense::activation`], for one created by name.
    pub fn boxed_activation(mut self, activation: Box<dyn Activation>) -> Self {
        self.activation = Arc::from(activation);
        self
    }

    /// Adds a bias if true (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Initializer of the weights (default [`Initializer::GlorotUniform`]).
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Adds l1 Σ|w| over the weights to the training loss (default: the model's). The bias is
    /// excluded.
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Adds l2 Σw² over the weights, without a ½, as Keras (default: the model's). The bias is
    /// excluded.
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = Some(l2);
        self
    }

    /// Both penalties: λ(ρ Σ|w| + (1 − ρ) Σw²), with λ ≥ 0 and the l1 ratio ρ in [0, 1].
    ///
    /// Source: H. Zou, T. Hastie, Regularization and variable selection via the elastic net, 2005
    /// (with Σw² as here; scikit-learn halves it).
    pub fn elastic_net(self, factor: f64, l1_ratio: f64) -> Self {
        self.l1(factor * l1_ratio).l2(factor * (1.0 - l1_ratio))
    }

    /// l1 Σ|w| as a proximal step after each update: w ← sign(w) max(|w| − lr l1, 0), which gives
    /// exact zeros where the derivative of `l1` oscillates around them (default: the model's). lr
    /// is the optimizer's rate, without any adaptive scaling.
    ///
    /// Source: N. Parikh, S. Boyd, Proximal Algorithms, 2014.
    pub fn proximal_l1(mut self, l1: f64) -> Self {
        self.proximal_l1 = Some(l1);
        self
    }

    /// The length of the output's last axis.
    pub fn units(&self) -> usize {
        self.units
    }
}

impl Layer for Dense {
    fn name(&self) -> &str {
        "dense"
    }

    fn options(&self) -> Json {
        json!({
            "units": self.units,
            "activation": activations::described(&*self.activation),
            "bias": self.bias,
            "initializer": self.initializer,
            "l1": self.l1,
            "l2": self.l2,
            "proximal_l1": self.proximal_l1,
        })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let (owner, penalties) = (builder.owner(), builder.penalties);
        let inputs = builder.shape(x).last().copied().unwrap_or(0);
        self.check_sizes(&owner, inputs, builder.graph.length)?;
        self.activation.check()?;
        let own = [self.l1, self.l2, self.proximal_l1];
        let penalties = penalties.of_layer(&owner, own)?;
        let (initializer, op) = (self.initializer, ops::dense::Dense::new(self.units, self.bias));
        let sums = builder.op(ops::dense::Dense { initializer, penalties, ..op }, &[x])?;
        activate(builder, "activation", &self.activation, sums)
    }
}

/// Adds an activation at a path below the builder's; the identity adds nothing.
pub(crate) fn activate(
    builder: &mut Builder,
    name: &str,
    activation: &Arc<dyn Activation>,
    x: Value,
) -> Result<Value> {
    match &**activation {
        softmax if softmax.rowwise() => {
            let width = builder.shape(x).last().copied().unwrap_or(0);
            builder.op_at(name, ops::softmax::Softmax { width }, &[x])
        }
        identity if identity.name() == Identity.name() => Ok(x),
        _ => builder.op_at(name, Activate { activation: activation.clone() }, &[x]),
    }
}

impl Dense {
    fn check_sizes(&self, owner: &str, inputs: usize, offset: usize) -> Result<()> {
        for (name, size) in [("inputs", inputs), ("units", self.units)] {
            if size == 0 || size > 1 << 24 {
                return Err(Error::option(owner, name, size, "from 1 to 16777216"));
            }
        }
        // Kernels count elements in 32 bits.
        let elements =
            (inputs as u64 + 1).saturating_mul(self.units as u64).saturating_add(offset as u64);
        if elements > u64::from(u32::MAX) {
            return Err(Error::TooLarge {
                name: format!("{owner} with {inputs} inputs and {} units", self.units),
                bytes: elements.saturating_mul(4),
                limit: 4 * u64::from(u32::MAX),
                advice: "use fewer units".into(),
            });
        }
        Ok(())
    }
}
