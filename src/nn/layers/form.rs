//! Layers in a file: their names and options, and how a nested layer is written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::dense::{Dense, activate};
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::{Builder, Layer};

/// A layer of a sequence, and its name if it has one.
#[derive(Clone)]
pub(crate) struct NamedLayer {
    pub name: Option<String>,
    pub layer: Arc<dyn Layer>,
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
    pub fn dense(self) -> Result<Dense> {
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
}
