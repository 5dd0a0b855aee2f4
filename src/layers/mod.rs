//! Layers and how their parameters begin.

pub mod initializer;

pub use initializer::Initializer;
