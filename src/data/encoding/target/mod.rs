//! Encoding of targets: named classes, numbers in a unit, binary labels.

mod classes;
mod fit;
mod flags;
pub(crate) mod kind;

use crate::Result;
use crate::data::dataset::{Dataset, Target};
use crate::data::table::Column;
use crate::data::table::table::Table;

pub use crate::data::encoding::target::kind::TargetEncoding;
pub(super) use fit::TargetFit;

/// Targets given as arrays, as a table.
pub(super) fn as_table(dataset: &Dataset) -> Result<Table> {
    match &dataset.target {
        Target::None => Table::new(Vec::new()),
        Target::Labels { labels, classes } => {
            let name = |&label: &i64| {
                usize::try_from(label)
                    .ok()
                    .and_then(|label| classes.get(label))
                    .map_or("", |name| name)
            };
            Table::new(vec![Column::words("target", labels.iter().map(name))])
        }
        Target::Values(values) => {
            let name = |place: usize| {
                if values.ncols() == 1 { "target".into() } else { place.to_string() }
            };
            let column = |(place, column): (usize, ndarray::ArrayView1<f32>)| {
                Column::numbers(
                    name(place),
                    column.iter().map(|&number| f64::from(number)).collect(),
                )
            };
            Table::new(values.columns().into_iter().enumerate().map(column).collect())
        }
    }
}
