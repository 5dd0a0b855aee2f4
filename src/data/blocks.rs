//! Rows that come in blocks, for trainings on more of them than memory holds.

use crate::Result;
use crate::data::dataset::Dataset;

/// A block, and how much each of its rows counts; no weights where all count alike.
pub type WeighedBlock = (Dataset, Option<Vec<f64>>);

/// Rows with their targets that come in blocks, anew in each epoch: what [`crate::Model::fit_blocks`] trains on.
///
/// Blocks may have any number of rows; batches of `Fit::batch_size` are cut out of them, across their ends. Only a block or two are in
/// memory at a time.
///
/// ```
/// use gradus::data::{Blocks, Dataset, Target};
/// use gradus::{Dense, Device, Fit, Sequential, optimizers::Adam, losses::Mse};
/// use ndarray::Array2;
///
/// /// y = 2 x on rows that are made when they are asked for.
/// struct Made;
///
/// impl Blocks for Made {
///     fn rows(&self) -> usize {
///         4000
///     }
///
///     fn epoch(&mut self, _epoch: u32) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<Dataset>> + '_>> {
///         Ok(Box::new((0..4).map(|block| {
///             let x = Array2::from_shape_fn((1000, 1), |(row, _)| (1000 * block + row) as f32 / 4000.0);
///             let y = x.mapv(|x| 2.0 * x);
///             Dataset::new(x, Target::Values(y))
///         })))
///     }
/// }
///
/// let mut model = Sequential::new(1).then(Dense::new(1)).on(&Device::Cpu)?.compile(Mse::new(), Adam::new().learning_rate(0.05))?;
/// let history = model.fit_blocks(&mut Made, None, Fit::new().epochs(5).batch_size(64))?;
/// assert!(history.epochs[4].loss < 1e-3, "{}", history.epochs[4].loss);
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait Blocks: Send {
    /// How many rows come in each epoch.
    fn rows(&self) -> usize;

    /// The blocks of an epoch, the first of which has number 0. Their order may depend on the number, and on nothing else: a training that
    /// goes on is given the same blocks again.
    ///
    /// # Errors
    /// Whatever keeps the rows from being read.
    fn epoch(&mut self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Dataset>> + '_>>;

    /// As [`Blocks::epoch`], with a weight for each row, from 0 to 1e30: [`crate::Model::fit_blocks`] trains with them as
    /// [`crate::Model::fit`] does with those of [`crate::Fit::sample_weight`]. Without a method of its own all rows count alike.
    ///
    /// # Errors
    /// As [`Blocks::epoch`].
    fn weighed_epoch(
        &mut self,
        epoch: u32,
    ) -> Result<Box<dyn Iterator<Item = Result<WeighedBlock>> + '_>> {
        Ok(Box::new(self.epoch(epoch)?.map(|block| Ok((block?, None)))))
    }

    /// Whether [`Blocks::weighed_epoch`] gives weights.
    fn weighs(&self) -> bool {
        false
    }

    /// A number that other rows have only by chance: a training goes on ([`crate::Fit::resume`]) where it is that of before.
    fn fingerprint(&self) -> u64 {
        self.rows() as u64
    }
}
