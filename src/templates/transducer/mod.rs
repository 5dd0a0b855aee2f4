//! Kernel template of transducers: a lattice of rows over time and labels given out, whose nodes have
//! logits of their own (RNN-T).

use crate::Result;

pub mod cpu;
pub(crate) mod gpu;

/// The lattice of one item of a batch as passed to a loss. A node (t, u) has seen t rows and given
/// out u labels.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    /// [time, labels + 1, classes]: the log-probabilities of the classes at each node.
    pub logs: Vec<f64>,
    /// Number of classes.
    pub classes: usize,
    /// The labels up to the target length, each of them a class other than the blank.
    pub labels: &'a [i32],
}

/// CPU implementation of a shader over transducers.
pub trait Transducer: Send + Sync {
    /// The class that gives out no label and goes on to the next row.
    fn blank(&self) -> usize;

    /// The value of one item. Writes its derivative by the logits, of the shape of `logs`. In f64 for
    /// both precisions: a path has hundreds of steps.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for a lattice without nodes.
    fn item(&self, nodes: &Nodes<'_>, gradient: &mut [f64]) -> Result<f64>;
}
