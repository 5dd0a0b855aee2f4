//! The network as a static graph: ops as nodes, planned once and run many times.
//!
//! | file | contents |
//! |---|---|
//! | `op.rs` | the op of a node: shape rule, parameters, forward and backward on each device |
//! | `nodes.rs` | the graph: nodes in topological order, parameters by path |
//! | `fuse.rs` | rewrites that fuse ops into one kernel |
//! | `plan.rs` | the order of forward, loss and backward, and memory sharing between values |
//! | `cpu.rs`, `gpu.rs` | execution on each device |
//! | `decode.rs` | a graph over a sequence as one over its next tokens, for generation |
//! | `chain.rs` | chains of dense layers, for the fused small-model kernel |
//!
//! There is no tape: the walk of a batch depends only on its size, not on its contents. A
//! derivative is a method of its op and not a rewrite of the graph, since ops are as coarse as
//! kernels.

pub(crate) mod chain;
pub(crate) mod cpu;
pub(crate) mod decode;
pub(crate) mod fuse;
pub(crate) mod gpu;
pub(crate) mod nodes;
pub(crate) mod op;
pub(crate) mod plan;
mod queries;

#[cfg(test)]
mod tests;
