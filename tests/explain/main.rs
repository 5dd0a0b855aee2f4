//! Explanations: results of rows, label noise, attributions and influences.

mod attributions;
mod label_noise;
mod landscape;
mod rows;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
