//! The losses: their numbers against the peers, the reference, each other, and at the edges; the judges themselves.

mod answers;
mod comparer;
mod drawn;
mod edges;
mod edges_embeddings;
mod edges_several;
mod golden;
mod half;
mod hessian;
mod judges;
mod linear;
mod lists;
mod properties;
mod properties_several;
mod ranges;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod variants;
