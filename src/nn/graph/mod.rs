//! The network as a static graph: ops as nodes, planned once and run many times.
//!
//! | file | what it holds |
//! |---|---|
//! | `op.rs` | what a node is: shape rule, parameters, forward and backward of each device |
//! | `nodes.rs` | the graph: nodes in topological order, parameters by path |
//! | `fuse.rs` | rewrites that join ops where one kernel does both |
//! | `plan.rs` | the walk forward, through the loss and backward, and which values share memory |
//! | `cpu.rs`, `gpu.rs` | the walk on each device |
//! | `chain.rs` | chains of dense layers, for the kernel that takes a small model whole |
//!
//! There is no tape: the walk of a batch depends on its size and on nothing in it. A derivative is
//! a method of its op and not a rewrite of the graph, since ops are as coarse as kernels.

pub(crate) mod chain;
pub(crate) mod cpu;
pub(crate) mod fuse;
pub(crate) mod gpu;
pub(crate) mod nodes;
pub(crate) mod op;
pub(crate) mod plan;

#[cfg(test)]
mod tests;
