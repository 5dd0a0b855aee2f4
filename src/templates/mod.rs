//! Kernel templates: loops, weights, masks and reductions, written once per data layout. A template
//! calls one function per loss.
//!
//! Each folder holds the trait that the losses of the template implement (`mod.rs`), its loops on
//! the CPU and its commands on the GPU.

pub(crate) mod adaptor;
pub(crate) mod argument;
pub(crate) mod boxes;
pub(crate) mod completions;
pub(crate) mod covariance;
pub(crate) mod definition;
pub(crate) mod distance;
pub(crate) mod job;
pub(crate) mod launch;
pub(crate) mod linear;
pub(crate) mod listwise;
pub(crate) mod multi_input;
pub(crate) mod normalizer;
pub(crate) mod on_device;
pub(crate) mod parts;
pub(crate) mod pointwise;
pub(crate) mod policy;
pub(crate) mod precision;
pub(crate) mod preference;
pub(crate) mod program;
pub(crate) mod programs;
pub(crate) mod proxies;
pub(crate) mod regions;
pub(crate) mod rowwise;
pub(crate) mod sequence;
pub(crate) mod similarity;
pub(crate) mod sum;
pub(crate) mod survival;
pub(crate) mod transducer;
pub(crate) mod two_input;
pub(crate) mod variant;

#[cfg(test)]
mod tests;
