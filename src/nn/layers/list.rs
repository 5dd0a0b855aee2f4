//! The list of layers, and a layer in a file.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::activate::Activate;
use crate::nn::layers::attention::SelfAttention;
use crate::nn::layers::conv2d::Conv2d;
use crate::nn::layers::dense::{Dense, activate};
use crate::nn::layers::dropout::Dropout;
use crate::nn::layers::flatten::Flatten;
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::layers::lengths::MaskedMean;
use crate::nn::layers::normalization::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
use crate::nn::layers::pooling::{AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d};
use crate::nn::layers::residual::Residual;
use crate::nn::layers::sequential::{NamedLayer, Sequential};
use crate::nn::layers::tokens::{PositionEmbedding, TiedDense, TokenEmbedding, TokenTypeEmbedding};
use crate::{Error, Result};

/// A layer of the list.
#[non_exhaustive]
pub struct LayerEntry {
    /// Its name in files: `conv2d`.
    pub name: &'static str,
    /// What it computes, in one line.
    pub summary: &'static str,
    /// Its equivalent in PyTorch.
    pub torch: &'static str,
    /// Its equivalent in Keras.
    pub keras: &'static str,
    make: fn(Json) -> Result<Arc<dyn Layer>>,
}

impl fmt::Debug for LayerEntry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("LayerEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every layer, by name.
pub static LAYERS: &[LayerEntry] = &[
    LayerEntry {
        name: "activation",
        summary: "an activation of any shape",
        torch: "nn.ReLU and so on",
        keras: "Activation",
        make: |options| {
            let of: ActivationOnly = parse("activation", options)?;
            Ok(Arc::new(Activate::boxed(of.activation.activation()?)))
        },
    },
    of_options::<AdaptiveAvgPool2d>(
        "adaptive_avg_pool2d",
        "means over a grid of cells",
        "nn.AdaptiveAvgPool2d",
        "",
    ),
    of_options::<AvgPool2d>("avg_pool2d", "means of windows", "nn.AvgPool2d", "AveragePooling2D"),
    of_options::<BatchNorm>(
        "batch_norm",
        "normalization by the batch's mean and variance per channel",
        "nn.BatchNorm2d, nn.BatchNorm1d",
        "BatchNormalization",
    ),
    of_options::<Conv2d>(
        "conv2d",
        "a convolution of images",
        "nn.Conv2d",
        "Conv2D, DepthwiseConv2D",
    ),
    LayerEntry {
        name: "dense",
        summary: "y = activation(x W + b) over the last axis",
        torch: "nn.Linear",
        keras: "Dense",
        make: |options| Ok(Arc::new(parse::<DenseForm>("dense", options)?.dense()?)),
    },
    of_options::<Dropout>(
        "dropout",
        "zeros at random places while training",
        "nn.Dropout",
        "Dropout",
    ),
    of_options::<Flatten>("flatten", "all axes as one", "nn.Flatten", "Flatten"),
    of_options::<GlobalAvgPool2d>(
        "global_avg_pool2d",
        "the mean of each channel",
        "nn.AdaptiveAvgPool2d(1), nn.Flatten",
        "GlobalAveragePooling2D",
    ),
    of_options::<GroupNorm>(
        "group_norm",
        "normalization by mean and variance of groups of channels",
        "nn.GroupNorm",
        "GroupNormalization",
    ),
    of_options::<LayerNorm>(
        "layer_norm",
        "normalization by mean and variance of each row",
        "nn.LayerNorm",
        "LayerNormalization",
    ),
    of_options::<MaskedMean>(
        "masked_mean",
        "the mean of a row's tokens without its padding",
        "(x * mask).sum(1) / mask.sum(1)",
        "GlobalAveragePooling1D with a mask",
    ),
    of_options::<MaxPool2d>("max_pool2d", "maxima of windows", "nn.MaxPool2d", "MaxPooling2D"),
    of_options::<PositionEmbedding>(
        "position_embedding",
        "a learned vector for each position",
        "nn.Embedding of positions, added",
        "",
    ),
    LayerEntry {
        name: "residual",
        summary: "y = activation(f(x) + x)",
        torch: "y + x in a forward method",
        keras: "Add",
        make: |options| {
            let of: ResidualForm = parse("residual", options)?;
            let activation = of.activation.map(|named| named.activation()).transpose()?;
            let shortcut = of.shortcut.map(LayerForm::layer).transpose()?;
            Ok(Arc::new(Residual::of_parts(of.inner.layer()?.layer, shortcut, activation)))
        },
    },
    of_options::<RmsNorm>(
        "rms_norm",
        "normalization by the root mean square of each row",
        "nn.RMSNorm",
        "RMSNormalization",
    ),
    of_options::<SelfAttention>(
        "self_attention",
        "multi-head self-attention with its projections",
        "nn.MultiheadAttention",
        "MultiHeadAttention",
    ),
    LayerEntry {
        name: "sequential",
        summary: "layers one behind the other",
        torch: "nn.Sequential",
        keras: "Sequential",
        make: |options| {
            let of: SequentialForm = parse("sequential", options)?;
            let layers = of.layers.into_iter().map(LayerForm::layer).collect::<Result<_>>()?;
            Ok(Arc::new(Sequential { layers, ..Sequential::block() }))
        },
    },
    of_options::<TiedDense>(
        "tied_dense",
        "logits by the table of a token embedding",
        "F.linear(x, embedding.weight)",
        "",
    ),
    of_options::<TokenEmbedding>("token_embedding", "vectors of ids", "nn.Embedding", "Embedding"),
    of_options::<TokenTypeEmbedding>(
        "token_type_embedding",
        "a learned vector for the tokens of a single sentence",
        "nn.Embedding of types 0, added",
        "",
    ),
];

/// The entry of a layer whose options are its fields.
const fn of_options<T: Layer + for<'de> Deserialize<'de>>(
    name: &'static str,
    summary: &'static str,
    torch: &'static str,
    keras: &'static str,
) -> LayerEntry {
    LayerEntry {
        name,
        summary,
        torch,
        keras,
        make: |options| Ok(Arc::new(parse::<T>("layer", options)?)),
    }
}

/// The layer of that name with its options.
///
/// # Errors
/// [`Error::Unknown`] for a name that is not in [`LAYERS`], [`Error::Option`] for options that are
/// not those of the layer.
pub fn from_name(name: &str, options: Json) -> Result<Arc<dyn Layer>> {
    let entry = LAYERS.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| Error::Unknown {
        kind: "layer".into(),
        found: name.into(),
        known: LAYERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })?;
    (entry.make)(options)
}

/// Options of a layer from JSON.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(name: &str, options: Json) -> Result<T> {
    serde_json::from_value(options.clone())
        .map_err(|error| Error::option(name, "options", options, &error.to_string()))
}

/// An activation in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NamedActivation {
    name: String,
    options: Json,
}

impl NamedActivation {
    pub fn of(activation: &dyn Activation) -> Self {
        NamedActivation { name: activation.name().into(), options: activation.options() }
    }

    pub fn is_relu(&self) -> bool {
        self.name == "relu"
    }

    pub fn activation(&self) -> Result<Arc<dyn Activation>> {
        activations::from_name(&self.name, &self.options).map(Arc::from)
    }
}

/// Adds an activation at a path below the builder's, if there is one.
pub(crate) fn activate_named(
    builder: &mut Builder,
    named: Option<&NamedActivation>,
    x: Value,
) -> Result<Value> {
    match named {
        Some(named) => activate(builder, "activation", &named.activation()?, x),
        None => Ok(x),
    }
}

/// The options of a layer as JSON; a layer of numbers and names always has them.
pub(crate) fn to_json<T: Serialize>(layer: &T) -> Json {
    serde_json::to_value(layer).unwrap_or(Json::Null)
}

#[derive(Deserialize)]
struct ActivationOnly {
    activation: NamedActivation,
}

#[derive(Deserialize)]
struct SequentialForm {
    layers: Vec<LayerForm>,
}

#[derive(Deserialize)]
struct ResidualForm {
    inner: LayerForm,
    shortcut: Option<LayerForm>,
    activation: Option<NamedActivation>,
}

/// A dense layer in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DenseForm {
    units: usize,
    activation: NamedActivation,
    bias: bool,
    initializer: Initializer,
    l1: Option<f64>,
    l2: Option<f64>,
    #[serde(default)]
    proximal_l1: Option<f64>,
}

impl DenseForm {
    fn dense(self) -> Result<Dense> {
        let activation = self.activation.activation()?;
        let dense = Dense::new(self.units).bias(self.bias).initializer(self.initializer);
        let (l1, l2, proximal_l1) = (self.l1, self.l2, self.proximal_l1);
        Ok(Dense { activation, l1, l2, proximal_l1, ..dense })
    }
}

/// A layer in a file. A dense layer without a name is written without its kind, as in files of
/// version 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum LayerForm {
    Any {
        layer: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default)]
        options: Json,
    },
    Dense(DenseForm),
}

impl LayerForm {
    pub fn of(of: &NamedLayer) -> Self {
        let options = of.layer.options();
        if let ("dense", None) = (of.layer.name(), &of.name)
            && let Ok(dense) = serde_json::from_value(options.clone())
        {
            return LayerForm::Dense(dense);
        }
        LayerForm::Any { layer: of.layer.name().into(), name: of.name.clone(), options }
    }

    /// True for a layer that files of version 1 and 2 have.
    pub fn is_dense(&self) -> bool {
        matches!(self, LayerForm::Dense(_))
    }

    pub fn layer(self) -> Result<NamedLayer> {
        Ok(match self {
            LayerForm::Dense(dense) => NamedLayer { name: None, layer: Arc::new(dense.dense()?) },
            LayerForm::Any { layer, name, options } => {
                NamedLayer { name, layer: from_name(&layer, options)? }
            }
        })
    }
}
