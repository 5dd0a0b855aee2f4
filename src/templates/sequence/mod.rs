//! Kernel template of alignment losses: rows of logits over time against labels whose positions are unknown (CTC).

use crate::Result;
use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// One item of a batch as a loss sees it.
#[derive(Clone, Debug)]
pub struct Item<'a, R> {
    /// [time, classes]: the item's own rows.
    pub logits: Vec<R>,
    /// How many classes there are.
    pub classes: usize,
    /// The labels that count, each a class.
    pub labels: &'a [i32],
}

/// CPU implementation of a shader over sequences.
pub trait Sequence: Send + Sync {
    /// The class that stands for no label.
    fn blank(&self) -> usize;

    /// Refuses labels that the loss does not take; those that are no class were refused before.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the first item, [`crate::Error::Option`].
    fn check_sequence(
        &self,
        targets: &[i32],
        lengths: &[i32],
        length: usize,
        classes: usize,
    ) -> Result<()>;

    /// The value of one item; writes its derivative, [time, classes].
    fn item<R: Real>(&self, item: &Item<'_, R>, gradient: &mut [R]) -> R;
}
