//! Layers: what models are built from.
//!
//! A new layer is one file here, with its options, its documentation and `impl Layer`, and one line
//! in the list below. What it computes is an op (`nn::ops`).

mod activate;
mod closure;
mod dense;
pub(crate) mod embedding;
pub mod initializer;
pub(crate) mod layer;
pub(crate) mod list;
pub(crate) mod sequential;

pub(crate) use embedding::Embedding;

pub use activate::Activate;
pub use closure::{Closure, closure};
pub use dense::Dense;
pub use initializer::Initializer;
pub use layer::{Builder, Layer, Value};
pub use list::{LAYERS, LayerEntry, from_name};
