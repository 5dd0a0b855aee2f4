//! Loss tests: against the peers, the reference and each other, at edge cases, and of the
//! comparison itself.

mod checks;
mod class_inputs;
mod comparison;
mod completions;
mod edges;
mod edges_bounds;
mod edges_embeddings;
mod edges_several;
mod edges_tokens;
mod half;
mod hessian;
mod infinities;
mod linear;
mod lists;
mod lists_weighted;
mod ranges;
mod references;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
mod target_gradients;
mod types;
mod variants;
