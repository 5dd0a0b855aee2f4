//! Neural networks and their training: layers, activations, optimizers, schedules, models.

pub mod activations;
pub mod embedding;
pub(crate) mod generate;
pub(crate) mod graph;
pub mod layers;
pub(crate) mod loss_scale;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod onnx;
pub(crate) mod ops;
pub mod optimizers;
pub(crate) mod plan;
pub(crate) mod population;
pub mod rates;
pub mod schedules;
pub(crate) mod train;
pub(crate) mod weight_file;
pub mod zoo;
