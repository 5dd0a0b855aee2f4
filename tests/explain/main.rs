//! Explanations: results of rows, label noise, attributions and influences.

mod attributions;
mod label_noise;
mod landscape;
mod rows;
mod tokens;
#[path = "../support/mod.rs"]
mod support;
