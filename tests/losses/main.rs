//! The losses: their numbers against the peers, the reference, each other, and at the edges; the judges themselves.

mod checks;
mod comparer;
mod completions;
mod edges;
mod edges_embeddings;
mod edges_several;
mod half;
mod hessian;
mod linear;
mod lists;
mod ranges;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod variants;
