//! The list of layers, and a layer in a file.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::nn::layers::activate::Activate;
use crate::nn::layers::attention::SelfAttention;
use crate::nn::layers::conv2d::Conv2d;
use crate::nn::layers::dropout::Dropout;
use crate::nn::layers::flatten::Flatten;
use crate::nn::layers::form::{DenseForm, LayerForm, NamedActivation, NamedLayer};
use crate::nn::layers::gumbel_noise::GumbelNoise;
use crate::nn::layers::layer::Layer;
use crate::nn::layers::lengths::MaskedMean;
use crate::nn::layers::normalization::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
use crate::nn::layers::parallel::{Join, Parallel};
use crate::nn::layers::pooling::{AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d};
use crate::nn::layers::residual::Residual;
use crate::nn::layers::sequential::Sequential;
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
    of_options::<GumbelNoise>(
        "gumbel_noise",
        "noise on scores while training, for losses of sampled orders",
        "x - scale * torch.log(-torch.log(torch.rand_like(x))) while training",
        "TF-Ranking GumbelSampler",
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
    LayerEntry {
        name: "parallel",
        summary: "branches on one input, added or concatenated",
        torch: "f(x) + g(x) or torch.cat in a forward method",
        keras: "Add, Concatenate",
        make: |options| {
            let of: ParallelForm = parse("parallel", options)?;
            let branches = of.branches.into_iter().map(layer_of).collect::<Result<_>>()?;
            Ok(Arc::new(Parallel::of_parts(of.join, branches)))
        },
    },
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
            let shortcut = of.shortcut.map(layer_of).transpose()?;
            Ok(Arc::new(Residual::of_parts(layer_of(of.inner)?.layer, shortcut, activation)))
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
            let layers = of.layers.into_iter().map(layer_of).collect::<Result<_>>()?;
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

#[derive(Deserialize)]
struct ActivationOnly {
    activation: NamedActivation,
}

#[derive(Deserialize)]
struct SequentialForm {
    layers: Vec<LayerForm>,
}

#[derive(Deserialize)]
struct ParallelForm {
    join: Join,
    branches: Vec<LayerForm>,
}

#[derive(Deserialize)]
struct ResidualForm {
    inner: LayerForm,
    shortcut: Option<LayerForm>,
    activation: Option<NamedActivation>,
}

/// The layer of a form.
pub(crate) fn layer_of(form: LayerForm) -> Result<NamedLayer> {
    Ok(match form {
        LayerForm::Dense(dense) => NamedLayer { name: None, layer: Arc::new(dense.dense()?) },
        LayerForm::Any { layer, name, options } => {
            NamedLayer { name, layer: from_name(&layer, options)? }
        }
    })
}
