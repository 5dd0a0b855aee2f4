//! Layers, how their parameters begin, and where they lie.

pub mod initializer;
mod lookup;

use std::sync::Arc;

pub use initializer::Initializer;
pub(crate) use lookup::Lookup;

use crate::nn::activations::{Activation, Identity};
use crate::nn::optimizers::{Clip, Optimizer, ParameterSpan};
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
    /// So many units with a bias and no activation; the weights begin as [`Initializer::GlorotUniform`], the bias at 0.
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

    /// Adds l1 Σ|w| over the weights to what is minimised (default: the model's). The bias is left alone.
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Adds l2 Σw² over the weights, without a ½, as Keras (default: the model's). The bias is left alone.
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = Some(l2);
        self
    }

    /// Both at once: λ(ρ Σ|w| + (1 − ρ) Σw²), with λ ≥ 0 and the share ρ of l1 in [0, 1].
    ///
    /// Source: H. Zou, T. Hastie, Regularization and variable selection via the elastic net, 2005 (whose Σw² this has; scikit-learn halves it).
    pub fn elastic_net(self, factor: f64, l1_ratio: f64) -> Self {
        self.l1(factor * l1_ratio).l2(factor * (1.0 - l1_ratio))
    }

    /// l1 Σ|w| as a proximal step behind each update: w ← sign(w) max(|w| − lr l1, 0), which leaves exact zeros where the
    /// derivative of `l1` goes back and forth around them (default: the model's). The rate is the optimizer's, whatever it
    /// divides its gradients by.
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

/// Factors of what is added to the loss, for every layer that has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Penalties {
    pub l1: f64,
    pub l2: f64,
    pub proximal_l1: f64,
}

/// A layer in its place: its sizes, and where its parameters begin in the one flat buffer of the model.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub inputs: usize,
    pub units: usize,
    pub bias: bool,
    pub activation: Arc<dyn Activation>,
    /// W begins here, row-major, and b follows at once: the gradient of both is one matrix product.
    pub offset: usize,
}

impl Placed {
    pub fn weights(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.inputs * self.units
    }

    pub fn biases(&self) -> std::ops::Range<usize> {
        let start = self.weights().end;
        start..start + if self.bias { self.units } else { 0 }
    }

    /// Elements of W and b.
    pub fn parameters(&self) -> usize {
        self.weights().len() + self.biases().len()
    }
}

/// All layers of a model in their places.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub inputs: usize,
    /// The table that the inputs are ids of, if they are. It lies in a buffer of its own, and behind the flat buffer where both are written
    /// down in a row.
    pub lookup: Option<Lookup>,
    pub layers: Vec<Placed>,
    /// Elements of the flat buffer. Each layer begins at a multiple of four, so that kernels may read vectors; the
    /// gaps are 0 and stay so, since their gradient is.
    pub length: usize,
    /// Its tensors: the weights and the biases of each layer in turn.
    pub spans: Vec<ParameterSpan>,
}

impl Network {
    /// Places layers behind each other. The penalties hold where a layer has none of its own.
    pub fn new(inputs: usize, layers: &[Dense], penalties: Penalties) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::Empty { operation: "a model".into(), name: "its layers".into() });
        }
        let (mut width, mut offset) = (inputs, 0);
        let mut network =
            Network { inputs, lookup: None, layers: Vec::new(), length: 0, spans: Vec::new() };
        for (index, layer) in layers.iter().enumerate() {
            let owner = format!("layer {index}");
            for (name, size) in [("inputs", width), ("units", layer.units)] {
                if size == 0 || size > 1 << 24 {
                    return Err(Error::option(&owner, name, size, "from 1 to 16777216"));
                }
            }
            // Kernels count elements in 32 bits.
            let elements =
                (width as u64 + 1).saturating_mul(layer.units as u64).saturating_add(offset as u64);
            if elements > u64::from(u32::MAX) {
                return Err(Error::TooLarge {
                    name: format!("{owner} with {width} inputs and {} units", layer.units),
                    bytes: elements.saturating_mul(4),
                    limit: 4 * u64::from(u32::MAX),
                    advice: "use fewer units".into(),
                });
            }
            layer.activation.check()?;
            let (l1, l2) = (layer.l1.unwrap_or(penalties.l1), layer.l2.unwrap_or(penalties.l2));
            let proximal = layer.proximal_l1.unwrap_or(penalties.proximal_l1);
            for (name, value) in [("l1", l1), ("l2", l2), ("proximal_l1", proximal)] {
                if !(value >= 0.0 && value.is_finite()) {
                    return Err(Error::option(&owner, name, value, ">= 0"));
                }
            }
            let activation = layer.activation.clone();
            let placed =
                Placed { inputs: width, units: layer.units, bias: layer.bias, activation, offset };
            let (columns, end) = (placed.units, placed.weights().end);
            network.spans.push(ParameterSpan { end, l1, l2, proximal, columns, padding: 0 });
            offset = placed.biases().end.next_multiple_of(4);
            network.spans.push(ParameterSpan {
                end: offset,
                padding: offset - placed.biases().end,
                ..ParameterSpan::default()
            });
            width = layer.units;
            network.layers.push(placed);
        }
        network.length = offset;
        Ok(network)
    }

    /// Places layers behind a table that rows of so many ids are looked up in.
    pub fn behind(lookup: Lookup, layers: &[Dense], penalties: Penalties) -> Result<Self> {
        lookup.check()?;
        let network = Network::new(lookup.outputs(), layers, penalties)?;
        Ok(Network { inputs: lookup.ids, lookup: Some(lookup), ..network })
    }

    /// Elements of the flat buffer and of the table behind it.
    pub fn all_length(&self) -> usize {
        self.length + self.lookup.map_or(0, |lookup| lookup.length())
    }

    /// How many rows are predicted at a time: fewer than usual where the ids of a row stand for so many numbers that a batch of them would
    /// pass 32 MiB, or what the kernels of a lookup count.
    pub fn prediction_batch(&self) -> usize {
        const USUAL: usize = 1024;
        const MOST_NUMBERS: usize = 8 << 20;
        self.lookup.map_or(USUAL, |lookup| (MOST_NUMBERS / lookup.outputs()).clamp(1, USUAL))
    }

    /// Whether anything is added to the loss.
    pub fn is_regularized(&self) -> bool {
        self.spans.iter().any(ParameterSpan::is_regularized)
    }

    /// The tensors, where a step depends on them.
    pub fn spans_for(&self, optimizer: &dyn Optimizer, clip: Option<Clip>) -> &[ParameterSpan] {
        let needed = self.is_regularized()
            || optimizer.per_tensor().is_some()
            || matches!(clip, Some(Clip::Norm(_)));
        if needed { &self.spans } else { &[] }
    }

    /// The length of a prediction.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(self.inputs, |layer| layer.units)
    }

    /// Parameters without the gaps.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Placed::parameters).sum::<usize>()
            + self.lookup.map_or(0, |lookup| lookup.length())
    }
}
