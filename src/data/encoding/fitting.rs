//! An encoding in the making: what is learned of a table, piece by piece.

use rayon::prelude::*;

use super::super::table::{Column, Table};
use super::feature::FeatureFit;
use super::numbers::Memory;
use super::{Encoding, EncodingOptions, TargetFit};
use crate::{Error, Result};

/// What was learned so far.
#[derive(Debug)]
pub(super) struct Fitting<'o> {
    options: &'o EncodingOptions,
    /// Columns that are features, by their place in the table.
    features: Vec<(usize, FeatureFit)>,
    target: TargetFit,
    has_header: bool,
    rows: usize,
}

impl<'o> Fitting<'o> {
    /// Of a table that begins so.
    pub(super) fn new(table: &Table, options: &'o EncodingOptions, memory: Memory) -> Result<Self> {
        let targets = targets(table, options)?;
        for name in &options.left_out {
            table.position(name)?;
        }
        let is_feature = |column: &Column| {
            ![&options.targets, &options.left_out].iter().any(|names| names.iter().any(|name| name == column.name()))
        };
        let columns = table.columns().iter().enumerate().filter(|(_, column)| is_feature(column));
        Ok(Fitting {
            features: columns.map(|(place, column)| (place, FeatureFit::new(place, column, memory))).collect(),
            target: TargetFit::new(table, &targets, options.kind, memory)?,
            has_header: table.has_header(),
            rows: 0,
            options,
        })
    }

    /// Adds a piece of the table, in which these are the rows to train on, ascending.
    pub(super) fn add(&mut self, table: &Table, rows: &[usize]) -> Result<()> {
        let add = |(place, feature): &mut (usize, FeatureFit)| feature.add(table, &table.columns()[*place], rows);
        let added: Vec<Result<()>> = self.features.par_iter_mut().map(add).collect();
        // The first in the order of the columns, whatever the threads do.
        added.into_iter().collect::<Result<()>>()?;
        self.rows += rows.len();
        self.target.add(table, &targets(table, self.options)?, rows)
    }

    pub(super) fn finish(self) -> Result<Encoding> {
        if self.rows == 0 {
            return Err(no_rows());
        }
        let features = self.features.into_iter().map(|(_, feature)| feature.finish(self.options));
        let features = Some(features.collect::<Result<_>>()?);
        let encoding = Encoding { features, has_header: self.has_header, target: self.target.finish()? };
        if encoding.width() == 0 {
            let told = encoding.in_words();
            return Err(Error::Input {
                operation: "encoding".into(),
                name: "the table".into(),
                found: "has no column left to learn from".into(),
                allowed: format!("at least one besides the target must hold more than one value: {told}"),
            });
        }
        Ok(encoding)
    }
}

fn targets<'t>(table: &'t Table, options: &EncodingOptions) -> Result<Vec<&'t Column>> {
    options.targets.iter().map(|name| table.column(name)).collect()
}

/// There is nothing to learn from.
pub(super) fn no_rows() -> Error {
    Error::Empty { operation: "encoding".into(), name: "the rows to train on".into() }
}
