//! Fits an encoding to a table, chunk by chunk.

use rayon::prelude::*;

use crate::data::encoding::feature::{Feature, FeatureFit};
use crate::data::encoding::fitted::Encoding;
use crate::data::encoding::numbers::Memory;
use crate::data::encoding::options::EncodingOptions;
use crate::data::encoding::target::TargetFit;
use crate::data::table::Column;
use crate::data::table::table::Table;
use crate::{Error, Result};

/// State of a fit to a table that comes in chunks.
#[derive(Debug)]
pub(super) struct Fitting<'o> {
    options: &'o EncodingOptions,
    /// Feature columns with their indices in the table.
    features: Vec<(usize, FeatureFit)>,
    target: TargetFit,
    has_header: bool,
    rows: usize,
}

/// Fits a table in memory: one column at a time per thread, since the numbers of a column are kept
/// for its median.
pub(super) fn of_table(
    table: &Table,
    rows: &[usize],
    options: &EncodingOptions,
) -> Result<Encoding> {
    if rows.is_empty() {
        return Err(no_rows());
    }
    let targets = targets(table, options)?;
    let fit = |(place, column): (usize, &Column)| {
        let mut feature = FeatureFit::new(place, column, Memory::All);
        feature.add(table, column, rows)?;
        feature.finish(options)
    };
    let features: Vec<Result<Feature>> =
        features(table, options)?.into_par_iter().map(fit).collect();
    // Report the first error in column order, independent of thread scheduling.
    let features = features.into_iter().collect::<Result<_>>()?;
    let mut target = TargetFit::new(table, &targets, options.kind, Memory::All)?;
    target.add(table, &targets, rows)?;
    made(features, table.has_header(), target, options)
}

impl<'o> Fitting<'o> {
    /// Starts with the first chunk of a table.
    pub(super) fn new(table: &Table, options: &'o EncodingOptions) -> Result<Self> {
        let memory = Memory::Bounded;
        let targets = targets(table, options)?;
        let columns = features(table, options)?.into_iter();
        Ok(Fitting {
            features: columns
                .map(|(place, column)| (place, FeatureFit::new(place, column, memory)))
                .collect(),
            target: TargetFit::new(table, &targets, options.kind, memory)?,
            has_header: table.has_header(),
            rows: 0,
            options,
        })
    }

    /// Adds a chunk of the table; `rows` are its training rows, ascending.
    pub(super) fn add(&mut self, table: &Table, rows: &[usize]) -> Result<()> {
        let add = |(place, feature): &mut (usize, FeatureFit)| {
            feature.add(table, &table.columns()[*place], rows)
        };
        let added: Vec<Result<()>> = self.features.par_iter_mut().map(add).collect();
        // The first error in column order, independent of thread scheduling.
        added.into_iter().collect::<Result<()>>()?;
        self.rows += rows.len();
        self.target.add(table, &targets(table, self.options)?, rows)
    }

    pub(super) fn finish(self) -> Result<Encoding> {
        if self.rows == 0 {
            return Err(no_rows());
        }
        let features = self.features.into_iter().map(|(_, feature)| feature.finish(self.options));
        made(features.collect::<Result<_>>()?, self.has_header, self.target, self.options)
    }
}

/// Builds the encoding; at least one feature must remain.
fn made(
    features: Vec<Feature>,
    has_header: bool,
    target: TargetFit,
    options: &EncodingOptions,
) -> Result<Encoding> {
    let weight = options.weight.clone();
    let encoding =
        Encoding { features: Some(features), has_header, target: target.finish()?, weight };
    if encoding.width() > 0 {
        return Ok(encoding);
    }
    let columns = encoding.in_words();
    Err(Error::Input {
        operation: "encoding".into(),
        name: "the table".into(),
        found: "has no column left to learn from".into(),
        allowed: match columns.is_empty() {
            true => "at least one besides the target is needed".into(),
            false => {
                format!("at least one besides the target must hold more than one value: {columns}")
            }
        },
    })
}

/// The feature columns with their indices.
fn features<'t>(table: &'t Table, options: &EncodingOptions) -> Result<Vec<(usize, &'t Column)>> {
    for name in options.left_out.iter().chain(&options.weight) {
        table.position(name)?;
    }
    let is_feature = |column: &Column| {
        let mut others = options.targets.iter().chain(&options.left_out).chain(&options.weight);
        !others.any(|name| name == column.name())
    };
    Ok(table.columns().iter().enumerate().filter(|(_, column)| is_feature(column)).collect())
}

fn targets<'t>(table: &'t Table, options: &EncodingOptions) -> Result<Vec<&'t Column>> {
    options.targets.iter().map(|name| table.column(name)).collect()
}

/// Error: no rows to fit on.
pub(super) fn no_rows() -> Error {
    Error::Empty { operation: "encoding".into(), name: "the rows to train on".into() }
}
