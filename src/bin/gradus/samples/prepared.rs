//! Data that is ready to train on.

use std::path::Path;

use gradus::data::{Blocks, Dataset, Encoding, KeptBlocks, TableBlocks, TargetKind};
use gradus::{HeldOut, Model};
use ndarray::Array1;

/// Requirements of a training run.
pub struct Asked<'a> {
    /// Kind of target that the loss takes.
    pub kind: TargetKind,
    /// The model to resume.
    pub known: Option<&'a Model>,
    /// Selection of the validation rows.
    pub held_out: HeldOut,
    pub test: Option<&'a Path>,
    pub standardize: bool,
    /// The column with the weight of each row.
    pub sample_weight: Option<&'a str>,
    /// Read a table in chunks even if it may fit into memory.
    pub stream: bool,
}

/// The encoded rows of a training run.
pub struct Prepared {
    /// Training rows; a sample of them if they come in blocks.
    pub train: Dataset,
    pub validation: Option<Dataset>,
    pub test: Option<Dataset>,
    pub encoding: Encoding,
    /// Weights of the training rows and of the validation rows.
    pub train_weights: Option<Array1<f64>>,
    pub validation_weights: Option<Array1<f64>>,
    /// Rows that do not fit into memory.
    pub large: Option<Large>,
}

impl Prepared {
    /// Number of training rows.
    pub fn rows(&self) -> usize {
        self.large.as_ref().map_or(self.train.rows(), |large| large.training.rows())
    }
}

impl<'a> Asked<'a> {
    /// The resumed model if it has no encoding: it then transforms its features itself.
    pub(super) fn unencoded(&self) -> Option<&'a Model> {
        self.known.filter(|model| model.encoding().is_none())
    }
}

/// Rows delivered in blocks.
pub struct Large {
    pub training: TableBlocks,
    pub validation: Option<KeptBlocks>,
    pub test: Option<TableBlocks>,
}
