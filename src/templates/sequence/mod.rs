//! Kernel template of alignment losses: rows of logits over time against labels with unknown
//! positions (CTC).

use crate::Result;
use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// One item of a batch as passed to a loss.
#[derive(Clone, Debug)]
pub struct Item<'a, R> {
    /// [time, classes]: the rows of the item.
    pub logits: Vec<R>,
    /// Number of classes.
    pub classes: usize,
    /// The labels up to the target length, each of them a class.
    pub labels: &'a [i32],
}

/// CPU implementation of a shader over sequences.
pub trait Sequence: Send + Sync {
    /// The class that represents no label.
    fn blank(&self) -> usize;

    /// Validates the labels. Labels that are not a class have already been rejected.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the first invalid item, [`crate::Error::Option`].
    fn check_sequence(
        &self,
        targets: &[i32],
        lengths: &[i32],
        length: usize,
        classes: usize,
    ) -> Result<()>;

    /// The value of one item. Writes its derivative, [time, classes].
    fn item<R: Real>(&self, item: &Item<'_, R>, gradient: &mut [R]) -> R;
}
