//! The list of layers, and a layer in a file.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::layers::activate::Activate;
use crate::nn::layers::dense::Dense;
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::Layer;
use crate::nn::layers::sequential::{NamedLayer, Sequential};
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
    LayerEntry {
        name: "dense",
        summary: "y = activation(x W + b) over the last axis",
        torch: "nn.Linear",
        keras: "Dense",
        make: |options| Ok(Arc::new(parse::<DenseForm>("dense", options)?.dense()?)),
    },
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
];

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
    pub fn activation(&self) -> Result<Arc<dyn Activation>> {
        activations::from_name(&self.name, &self.options).map(Arc::from)
    }
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
