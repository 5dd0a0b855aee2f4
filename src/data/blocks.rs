//! Rows in blocks, for training on more of them than fit into memory.

use crate::Result;
use crate::data::dataset::Dataset;

/// A block and the weight of each of its rows; no weights if all rows count equally.
pub type WeighedBlock = (Dataset, Option<Vec<f64>>);

/// Rows with targets in blocks, anew in each epoch: the input of [`crate::Model::fit_blocks`].
///
/// Blocks may have any number of rows; batches of `Fit::batch_size` are cut from them, across block
/// boundaries. Only one or two blocks are in memory at a time.
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
    /// Number of rows in each epoch.
    fn rows(&self) -> usize;

    /// The blocks of an epoch; the first epoch is number 0. Their order may depend on that number
    /// and nothing else: resumed training must receive the same blocks.
    ///
    /// # Errors
    /// Any failure to read the rows.
    fn epoch(&mut self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Dataset>> + '_>>;

    /// As [`Blocks::epoch`], with a weight for each row, from 0 to 1e30:
    /// [`crate::Model::fit_blocks`] uses them as [`crate::Model::fit`] does those of
    /// [`crate::Fit::sample_weight`]. By default all rows count equally.
    ///
    /// # Errors
    /// As [`Blocks::epoch`].
    fn weighed_epoch(
        &mut self,
        epoch: u32,
    ) -> Result<Box<dyn Iterator<Item = Result<WeighedBlock>> + '_>> {
        Ok(Box::new(self.epoch(epoch)?.map(|block| Ok((block?, None)))))
    }

    /// True if [`Blocks::weighed_epoch`] gives weights.
    fn weighs(&self) -> bool {
        false
    }

    /// Fingerprint of the rows: training resumes ([`crate::Fit::resume`]) only if it is unchanged.
    fn fingerprint(&self) -> u64 {
        self.rows() as u64
    }
}
