//! Layers, what nodes of a graph they become, and how their parameters begin.

pub(crate) mod embedding;
pub mod initializer;

use std::sync::Arc;

pub(crate) use embedding::Embedding;
pub use initializer::Initializer;

use crate::nn::activations::{Activation, Identity};
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::Penalties;
use crate::nn::ops;
use crate::nn::ops::activation::Activate;
use crate::{Error, Result};

/// A dense layer: y = activation(x W + b), W of shape [inputs, units], b of shape `[units]`.
///
/// Keras `Dense`, PyTorch `Linear` (whose weight is Wᵀ) with an activation behind it.
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
    /// So many units with a bias and no activation; the weights begin as
    /// [`Initializer::GlorotUniform`], the bias at 0.
    pub fn new(units: usize) -> Self {
        let (activation, initializer) = (Arc::new(Identity), Initializer::default());
        Dense { units, activation, bias: true, initializer, l1: None, l2: None, proximal_l1: None }
    }

    /// What is done to the sums (default nothing).
    pub fn activation(self, activation: impl Activation + 'static) -> Self {
        self.boxed_activation(Box::new(activation))
    }

    /// As [`Dense::activation`], of one that was made from its name.
    pub fn boxed_activation(mut self, activation: Box<dyn Activation>) -> Self {
        self.activation = Arc::from(activation);
        self
    }

    /// Whether a bias is added (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// How the weights begin.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Adds l1 Σ|w| over the weights to what is minimised (default: the model's). The bias is left
    /// alone.
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Adds l2 Σw² over the weights, without a ½, as Keras (default: the model's). The bias is left
    /// alone.
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = Some(l2);
        self
    }

    /// Both at once: λ(ρ Σ|w| + (1 − ρ) Σw²), with λ ≥ 0 and the share ρ of l1 in [0, 1].
    ///
    /// Source: H. Zou, T. Hastie, Regularization and variable selection via the elastic net, 2005
    /// (whose Σw² this has; scikit-learn halves it).
    pub fn elastic_net(self, factor: f64, l1_ratio: f64) -> Self {
        self.l1(factor * l1_ratio).l2(factor * (1.0 - l1_ratio))
    }

    /// l1 Σ|w| as a proximal step behind each update: w ← sign(w) max(|w| − lr l1, 0), which leaves
    /// exact zeros where the derivative of `l1` goes back and forth around them (default: the
    /// model's). The rate is the optimizer's, whatever it divides its gradients by.
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

/// A building block of models: it adds nodes to a graph.
pub(crate) trait Layer {
    /// Adds the layer's nodes after a value and returns their output. The given penalties are the
    /// defaults of the layer's own.
    ///
    /// # Errors
    /// An option or a size outside its domain.
    fn build(&self, graph: &mut Graph, path: &str, x: Value, penalties: Penalties)
    -> Result<Value>;
}

impl Layer for Embedding {
    fn build(&self, graph: &mut Graph, path: &str, x: Value, _: Penalties) -> Result<Value> {
        self.check()?;
        graph.add(path, ops::embedding::Embedding { rows: self.rows, width: self.width }, &[x])
    }
}

impl Layer for Dense {
    fn build(
        &self,
        graph: &mut Graph,
        path: &str,
        x: Value,
        penalties: Penalties,
    ) -> Result<Value> {
        let (owner, inputs) = (path.replacen("layers.", "layer ", 1), graph.width(x));
        self.check_sizes(&owner, inputs, graph.length)?;
        self.activation.check()?;
        let penalties = Penalties {
            l1: self.l1.unwrap_or(penalties.l1),
            l2: self.l2.unwrap_or(penalties.l2),
            proximal_l1: self.proximal_l1.unwrap_or(penalties.proximal_l1),
        };
        let Penalties { l1, l2, proximal_l1 } = penalties;
        for (name, value) in [("l1", l1), ("l2", l2), ("proximal_l1", proximal_l1)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option(&owner, name, value, ">= 0"));
            }
        }
        let (initializer, op) = (self.initializer, ops::dense::Dense::new(self.units, self.bias));
        let sums = graph.add(path, ops::dense::Dense { initializer, penalties, ..op }, &[x])?;
        let (path, activation) = (format!("{path}.activation"), self.activation.clone());
        match &*activation {
            softmax if softmax.rowwise() => graph.add(&path, ops::softmax::Softmax, &[sums]),
            identity if identity.name() == Identity.name() => Ok(sums),
            _ => graph.add(&path, Activate { activation }, &[sums]),
        }
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
