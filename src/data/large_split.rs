//! Split of a table larger than memory into training and validation rows, encoded in blocks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::cpu::random::Permutation;
use crate::data::blocks::{Blocks, WeighedBlock};
use crate::data::dataset::{Dataset, Target};
use crate::data::encoding::fitted::Encoding;
use crate::data::encoding::options::EncodingOptions;
use crate::data::rows::RowSet;
use crate::data::shuffle::most_rows;
use crate::data::table::LargeTable;
use crate::data::table::table::Table;
use crate::{Error, Result};

/// Chunks of the file per block, drawn from all of it; their rows are shuffled together.
const PIECES: usize = 12;

/// Approximate bytes of features per block; text may become many columns. Several blocks and their
/// copies are in memory at a time, beside the address space that the allocator reserves per thread:
/// with 16 MiB per block a limit of 256 MiB was not enough.
const BLOCK: usize = 6 << 20;

/// A [`LargeTable`] with a fraction of the rows held out for validation: the rows that
/// [`super::shuffled_rows`] puts last, as for a table in memory.
#[derive(Debug, Clone)]
pub struct LargeSplit {
    table: Arc<LargeTable>,
    /// Held-out rows, by their index among the rows with targets.
    held: Arc<RowSet>,
    seed: u64,
    rows: usize,
    held_out: usize,
}

impl LargeSplit {
    /// Holds out a fraction of the rows with targets, rounded to whole rows.
    ///
    /// # Errors
    /// [`Error::Option`] for a nonzero fraction that leaves one side of the split empty;
    /// [`Error::TooLarge`] beyond 2³² rows.
    pub fn new(table: LargeTable, seed: u64, share: f64) -> Result<Self> {
        let rows = table.rows_with_targets();
        let held_out = ((rows as f64 * share).round() as usize).min(rows);
        if rows == held_out || share > 0.0 && held_out == 0 {
            let allowed = format!("in (0, 1) and leave rows in both parts; there are {rows}");
            return Err(Error::option("split", "fraction", share, &allowed));
        }
        let length = most_rows(rows)?;
        let order = Permutation::new(length, seed, 0);
        let mut held = RowSet::default();
        (length - held_out as u32..length).for_each(|at| held.insert(order.at(at) as usize));
        Ok(LargeSplit { table: Arc::new(table), held: Arc::new(held), seed, rows, held_out })
    }

    /// The table.
    pub fn table(&self) -> &LargeTable {
        &self.table
    }

    /// Fits an encoding on the training rows in one pass over the file ([`Encoding::fit_pieces`]).
    /// Rows of weight 0 ([`EncodingOptions::weight`]) are ignored.
    ///
    /// # Errors
    /// As [`Encoding::fit`].
    pub fn fit(&self, options: &EncodingOptions) -> Result<Encoding> {
        let pieces = self.table.pieces()?.zip(self.table.piece_list());
        let training = pieces.map(|(found, piece)| {
            let (_, table) = found?;
            let rows = self
                .table
                .known(piece)
                .filter(|(_, known)| !self.held.contains(*known))
                .map(|(row, _)| row);
            let mut rows: Vec<usize> = rows.collect();
            if let Some(name) = &options.weight {
                let mut weights = weights(&table, name, &rows)?.into_iter();
                rows.retain(|_| weights.next().is_some_and(|weight| weight > 0.0));
            }
            Ok((table, rows))
        });
        Encoding::fit_pieces(training, options)
    }

    /// The training rows.
    pub fn training(&self, encoding: &Encoding) -> TableBlocks {
        TableBlocks::new(self.clone(), encoding, Part::Training)
    }

    /// All rows with targets, in file order.
    pub fn all(&self, encoding: &Encoding) -> TableBlocks {
        TableBlocks::new(self.clone(), encoding, Part::All)
    }

    /// The validation rows, if any. They are scattered over the table and needed in each epoch, so
    /// they are read once and kept as numbers in an unnamed temporary file that the system removes.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full; errors of the encoding.
    pub fn validation(&self, encoding: &Encoding) -> Result<Option<KeptBlocks>> {
        if self.held_out == 0 {
            return Ok(None);
        }
        let mut kept = KeptBlocks::new(encoding, self.table.fingerprint())?;
        for block in TableBlocks::new(self.clone(), encoding, Part::Validation).weighed_epoch(0)? {
            let (block, weights) = block?;
            kept.add(&block, weights.as_deref())?;
        }
        Ok(Some(kept))
    }
}

/// Selection of the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Training,
    Validation,
    All,
}

/// Encoded rows of a [`LargeTable`], read from the file in each epoch while the previous ones are
/// trained on.
///
/// The training rows come in a different order in each epoch: the chunks of a seekable
/// (uncompressed) file are shuffled by seed and epoch, and a block combines chunks from all over
/// the file, whose rows [`crate::Model::fit_blocks`] shuffles. Blocks of a compressed file stay in
/// order.
#[derive(Debug, Clone)]
pub struct TableBlocks {
    split: LargeSplit,
    encoding: Arc<Encoding>,
    part: Part,
}

impl TableBlocks {
    fn new(split: LargeSplit, encoding: &Encoding, part: Part) -> Self {
        TableBlocks { split, encoding: Arc::new(encoding.clone()), part }
    }

    /// Number of chunks per block.
    fn per_block(&self) -> usize {
        let rows = self.split.table.piece_list().iter().map(|piece| piece.rows).max().unwrap_or(1);
        let piece = 4 * rows.max(1) * self.encoding.names().len().max(1);
        (BLOCK / piece).clamp(1, PIECES)
    }

    /// The chunk indices in the order of an epoch.
    fn order(&self, epoch: u32) -> Vec<usize> {
        let count = self.split.table.piece_list().len();
        if self.part != Part::Training {
            return (0..count).collect();
        }
        let order = Permutation::new(count as u32, self.split.seed, epoch);
        (0..count as u32).map(|place| order.at(place) as usize).collect()
    }

    /// Sends the blocks of an epoch until the receiver hangs up.
    fn send(&self, epoch: u32, to: &SyncSender<Result<WeighedBlock>>) -> Result<()> {
        let table = &self.split.table;
        table.check_unchanged()?;
        let size = self.per_block();
        if table.is_seekable() {
            for places in self.order(epoch).chunks(size) {
                let block =
                    places.par_iter().map(|&place| self.numbers(place, &table.piece(place)?));
                if to.send(joined(block.collect())).is_err() {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let mut pieces = table.pieces()?.enumerate().peekable();
        while pieces.peek().is_some() {
            let block = pieces.by_ref().take(size);
            let block: Vec<_> =
                block.map(|(place, found)| Ok((place, found?.1))).collect::<Result<_>>()?;
            let block = block.par_iter().map(|(place, piece)| self.numbers(*place, piece));
            if to.send(joined(block.collect())).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The selected rows of a chunk, encoded.
    fn numbers(&self, place: usize, piece: &Table) -> Result<WeighedBlock> {
        let LargeSplit { table, held, .. } = &self.split;
        let is_wanted = |known: usize| match self.part {
            Part::Training => !held.contains(known),
            Part::Validation => held.contains(known),
            Part::All => true,
        };
        let known = table.known(&table.piece_list()[place]).filter(|(_, known)| is_wanted(*known));
        let rows: Vec<usize> = known.map(|(row, _)| row).collect();
        // Test rows all count equally.
        let name = self.encoding.weight().filter(|_| self.part != Part::All);
        let weights = name.map(|name| weights(piece, name, &rows)).transpose()?;
        Ok((self.encoding.apply_rows(piece, &rows)?, weights))
    }
}

/// Joins chunks into one block.
fn joined(pieces: Vec<Result<WeighedBlock>>) -> Result<WeighedBlock> {
    let (parts, weights): (Vec<Dataset>, Vec<Option<Vec<f64>>>) =
        pieces.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let weights: Option<Vec<Vec<f64>>> = weights.into_iter().collect();
    Ok((Dataset::joined(parts)?, weights.map(|weights| weights.concat())))
}

/// Row weights from a column of a table.
fn weights(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<f64>> {
    let column = table.column(name)?;
    let weight = |&row: &usize| {
        let number = column.number(row).or_else(|| column.text(row)?.parse().ok());
        number.filter(|weight: &f64| *weight >= 0.0 && weight.is_finite()).ok_or_else(|| {
            let expected = "a finite number >= 0, since it says how much the row counts";
            table.wrong_cell(row, name, table.shown(column, row), expected)
        })
    };
    rows.iter().map(weight).collect()
}

impl Blocks for TableBlocks {
    fn rows(&self) -> usize {
        match self.part {
            Part::Training => self.split.rows - self.split.held_out,
            Part::Validation => self.split.held_out,
            Part::All => self.split.rows,
        }
    }

    fn epoch(&mut self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Dataset>> + '_>> {
        Ok(Box::new(self.weighed_epoch(epoch)?.map(|block| Ok(block?.0))))
    }

    fn weighs(&self) -> bool {
        self.part != Part::All && self.encoding.weight().is_some()
    }

    fn weighed_epoch(
        &mut self,
        epoch: u32,
    ) -> Result<Box<dyn Iterator<Item = Result<WeighedBlock>> + '_>> {
        // No buffering between the two threads: one block is trained on while the next is prepared.
        let (to, from) = sync_channel(0);
        let blocks = self.clone();
        let make = move || {
            if let Err(error) = blocks.send(epoch, &to) {
                // The receiver is gone once training is over.
                let _ = to.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("blocks".into()).spawn(make);
        thread.map_err(|source| Error::Io { path: self.split.table.path().into(), source })?;
        Ok(Box::new(
            from.into_iter()
                .filter(|block| !block.as_ref().is_ok_and(|(block, _)| block.rows() == 0)),
        ))
    }

    fn fingerprint(&self) -> u64 {
        self.split.table.fingerprint()
    }
}

/// Encoded rows in a temporary file.
#[derive(Debug)]
pub struct KeptBlocks {
    features: File,
    targets: File,
    /// Row weights, unless all rows count equally.
    weights: Option<File>,
    rows: usize,
    width: usize,
    /// Number of target columns; 0 for classes, which are stored as a single column.
    target_width: usize,
    classes: Option<Vec<String>>,
    names: Vec<String>,
    fingerprint: u64,
}

impl KeptBlocks {
    fn new(encoding: &Encoding, fingerprint: u64) -> Result<Self> {
        let file = || tempfile::tempfile().map_err(io_error);
        let names = encoding.names();
        Ok(KeptBlocks {
            features: file()?,
            targets: file()?,
            weights: encoding.weight().map(|_| file()).transpose()?,
            rows: 0,
            width: names.len(),
            target_width: 0,
            classes: None,
            names,
            fingerprint,
        })
    }

    fn add(&mut self, block: &Dataset, weights: Option<&[f64]>) -> Result<()> {
        if let (Some(file), Some(weights)) = (&mut self.weights, weights) {
            write(file, weights)?;
        }
        let features = block.features.as_standard_layout();
        write(&mut self.features, features.as_slice().unwrap_or_default())?;
        match &block.target {
            Target::None => {}
            Target::Labels { labels, classes } => {
                self.classes = Some(classes.clone());
                write(&mut self.targets, &labels.to_vec())?;
            }
            Target::Values(values) => {
                self.target_width = values.ncols();
                write(
                    &mut self.targets,
                    values.as_standard_layout().as_slice().unwrap_or_default(),
                )?;
            }
        }
        self.rows += block.rows();
        Ok(())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        let target = if self.classes.is_some() { 8 } else { 4 * self.target_width };
        (self.rows * (4 * self.width + target + if self.weights.is_some() { 8 } else { 0 })) as u64
    }

    fn block(&mut self, rows: usize) -> Result<Dataset> {
        let features = shaped(read(&mut self.features, rows * self.width)?, rows, self.width)?;
        let target = match &self.classes {
            Some(classes) => {
                let labels = Array1::from_vec(read(&mut self.targets, rows)?);
                Target::Labels { labels, classes: classes.clone() }
            }
            None => Target::Values(shaped(
                read(&mut self.targets, rows * self.target_width)?,
                rows,
                self.target_width,
            )?),
        };
        Dataset::with_names(features, target, self.names.clone())
    }

    fn weighed_block(&mut self, rows: usize) -> Result<WeighedBlock> {
        let weights = self.weights.as_mut().map(|file| read(file, rows)).transpose()?;
        Ok((self.block(rows)?, weights))
    }
}

impl Blocks for KeptBlocks {
    fn rows(&self) -> usize {
        self.rows
    }

    fn epoch(&mut self, epoch: u32) -> Result<Box<dyn Iterator<Item = Result<Dataset>> + '_>> {
        Ok(Box::new(self.weighed_epoch(epoch)?.map(|block| Ok(block?.0))))
    }

    fn weighs(&self) -> bool {
        self.weights.is_some()
    }

    fn weighed_epoch(
        &mut self,
        _epoch: u32,
    ) -> Result<Box<dyn Iterator<Item = Result<WeighedBlock>> + '_>> {
        for file in [&mut self.features, &mut self.targets].into_iter().chain(&mut self.weights) {
            file.seek(SeekFrom::Start(0)).map_err(io_error)?;
        }
        let size = (BLOCK / (4 * self.width.max(1))).max(1);
        let sizes: Vec<usize> =
            (0..self.rows).step_by(size).map(|first| size.min(self.rows - first)).collect();
        Ok(Box::new(sizes.into_iter().map(|rows| self.weighed_block(rows))))
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn write<T: bytemuck::Pod>(file: &mut File, values: &[T]) -> Result<()> {
    file.write_all(bytemuck::cast_slice(values)).map_err(io_error)
}

fn read<T: bytemuck::Pod>(file: &mut File, count: usize) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); count];
    file.read_exact(bytemuck::cast_slice_mut(&mut values)).map_err(io_error)?;
    Ok(values)
}

fn shaped(values: Vec<f32>, rows: usize, columns: usize) -> Result<Array2<f32>> {
    Array2::from_shape_vec((rows, columns), values)
        .map_err(|error| io_error(std::io::Error::other(error)))
}

fn io_error(source: std::io::Error) -> Error {
    Error::Io { path: std::env::temp_dir(), source }
}
