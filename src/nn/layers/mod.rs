//! Layers: what models are built from.
//!
//! A new layer is one file here, with its options, its documentation and `impl Layer`, and one line
//! in the list of `list.rs`. What it computes is an op (`nn::ops`).

mod activate;
mod attention;
mod closure;
mod conv2d;
pub(crate) mod dense;
mod dropout;
pub(crate) mod embedding;
mod flatten;
pub(crate) mod form;
mod gumbel_noise;
pub mod initializer;
pub(crate) mod layer;
pub(crate) mod lengths;
pub(crate) mod list;
mod normalization;
mod parallel;
mod pooling;
mod residual;
pub(crate) mod sequential;
mod size;
mod tokens;

pub(crate) use embedding::Embedding;

pub use crate::nn::ops::custom::{CustomOp, OpGradients, OpKernels, OpParameter, OpPass};
pub use activate::Activate;
pub use attention::SelfAttention;
pub use closure::{Closure, closure};
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use gumbel_noise::GumbelNoise;
pub use initializer::Initializer;
pub use layer::{Builder, Layer, Value};
pub use lengths::MaskedMean;
pub use list::{LAYERS, LayerEntry, from_name};
pub use normalization::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
pub use parallel::Parallel;
pub use pooling::{AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d};
pub use residual::Residual;
pub use size::{Padding, Size};
pub use tokens::{PositionEmbedding, TiedDense, TokenEmbedding, TokenTypeEmbedding};
