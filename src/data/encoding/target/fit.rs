//! Fits the encoding of the targets, row by row.

use crate::Result;
use crate::data::encoding::categories::AmongNumbers;
use crate::data::encoding::feature::changed;
use crate::data::encoding::numbers::{LARGEST, Memory, Moments, Quantiles};
use crate::data::encoding::options::TargetKind;
use crate::data::encoding::target::classes::ClassesFit;
use crate::data::encoding::target::flags::{check_flags, one_hot};
use crate::data::encoding::target::kind::{TargetEncoding, finite};
use crate::data::table::table::Table;
use crate::data::table::{Cells, Column};

/// Distance of the quartiles of a normal distribution, in standard deviations.
const NORMAL_QUARTILES: f64 = 1.349;

/// State of a fit to targets that come in chunks.
#[derive(Debug)]
pub(in crate::data::encoding) struct TargetFit {
    columns: Vec<String>,
    kind: TargetKind,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Nothing,
    Flags,
    OneHot,
    Classes(ClassesFit),
    /// Words in place of expected numbers: classes, unless they are mistakes among numbers.
    Words(ClassesFit, AmongNumbers),
    Numbers(Vec<(Moments, Quantiles)>),
}

impl TargetFit {
    pub(in crate::data::encoding) fn new(
        table: &Table,
        targets: &[&Column],
        kind: TargetKind,
        memory: Memory,
    ) -> Result<Self> {
        let columns: Vec<String> = targets.iter().map(|column| column.name().to_string()).collect();
        let are_numbers = targets.iter().all(|column| matches!(column.cells(), Cells::Numbers(_)));
        let found = match (targets, kind) {
            ([], _) => Found::Nothing,
            ([_, _, ..], TargetKind::Flags | TargetKind::Signs) => Found::Flags,
            ([_, _, ..], TargetKind::Classes) => Found::OneHot,
            (_, TargetKind::Classes | TargetKind::Flags | TargetKind::Signs) => {
                Found::Classes(ClassesFit::default())
            }
            _ if are_numbers => Found::Numbers(
                columns.iter().map(|_| (Moments::default(), Quantiles::new(memory))).collect(),
            ),
            ([_], _) => Found::Words(ClassesFit::default(), AmongNumbers::default()),
            ([_, second, ..], _) => {
                for column in targets {
                    let mut among_numbers = AmongNumbers::default();
                    among_numbers.add(table, column);
                    among_numbers.check()?;
                }
                let found = format!(
                    "several targets, of which not all are numbers (`{}` …)",
                    second.name()
                );
                return Err(table.wrong(
                    "the header",
                    found,
                    "numbers in each of them, or one target of classes",
                ));
            }
        };
        Ok(TargetFit { columns, kind, found })
    }

    /// Adds a chunk of the table; `rows` are its training rows. Classes are collected from all
    /// rows, so that rare ones are known.
    pub(in crate::data::encoding) fn add(
        &mut self,
        table: &Table,
        targets: &[&Column],
        rows: &[usize],
    ) -> Result<()> {
        match &mut self.found {
            Found::Nothing => {}
            Found::Flags => targets.iter().try_for_each(|column| check_flags(table, column))?,
            Found::OneHot => {
                one_hot(table, targets, &known_rows(targets))?;
            }
            Found::Classes(classes) => classes.add(table, targets[0])?,
            Found::Words(classes, among_numbers) => {
                classes.add(table, targets[0])?;
                among_numbers.add(table, targets[0]);
            }
            Found::Numbers(all) => {
                for (column, (moments, quantiles)) in targets.iter().zip(all) {
                    if !matches!(column.cells(), Cells::Numbers(_)) {
                        return Err(changed(table, column));
                    }
                    for &row in rows.iter().filter(|&&row| !column.is_blank(row)) {
                        let number = finite(table, column, row)?;
                        if number.abs() > LARGEST {
                            let expected = "a target up to 1e150; clean or drop such rows, or take another unit";
                            return Err(table.wrong_cell(
                                row,
                                column.name(),
                                table.shown(column, row),
                                expected,
                            ));
                        }
                        moments.add(number);
                        quantiles.add(number);
                    }
                }
            }
        }
        Ok(())
    }

    pub(in crate::data::encoding) fn finish(self) -> Result<TargetEncoding> {
        let TargetFit { columns, kind, found } = self;
        Ok(match found {
            Found::Nothing => TargetEncoding::Nothing,
            Found::Flags => TargetEncoding::Flags { columns, signs: kind == TargetKind::Signs },
            Found::OneHot => TargetEncoding::Classes { classes: columns.clone(), columns },
            Found::Classes(classes) => {
                TargetEncoding::Classes { classes: classes.finish(&columns[0])?, columns }
            }
            Found::Words(classes, among_numbers) => {
                among_numbers.check()?;
                TargetEncoding::Classes { classes: classes.finish(&columns[0])?, columns }
            }
            Found::Numbers(all) => {
                let places = all.into_iter().map(|(moments, quantiles)| match kind {
                    TargetKind::Standardized => moments.mean_and_deviation(),
                    TargetKind::MedianStandardized => median_and_spread(&moments, quantiles),
                    _ => (0.0, 1.0),
                });
                let (center, scale): (Vec<f64>, Vec<f64>) = places.unzip();
                let scale =
                    scale.into_iter().map(|scale| if scale > 0.0 { scale } else { 1.0 }).collect();
                TargetEncoding::Numbers { columns, center, scale }
            }
        })
    }
}

fn known_rows(columns: &[&Column]) -> Vec<usize> {
    let rows = columns.first().map_or(0, |column| column.len());
    (0..rows).filter(|&row| !columns.iter().any(|column| column.is_blank(row))).collect()
}

/// Median, and standard deviation estimated from the quartile distance; the actual deviation if
/// half of the numbers are equal.
fn median_and_spread(moments: &Moments, quantiles: Quantiles) -> (f64, f64) {
    let [first, median, third] = quantiles.at([0.25, 0.5, 0.75]);
    let spread = (third - first) / NORMAL_QUARTILES;
    (median, if spread > 0.0 { spread } else { moments.mean_and_deviation().1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Encoding, EncodingOptions};

    #[test]
    fn a_target_whose_square_overflows_is_refused() {
        let columns = vec![
            Column::numbers("x", vec![0.0, 1.0, 2.0]),
            Column::numbers("price", vec![1.0, 1e300, -1e300]),
        ];
        let table = Table::new(columns).unwrap();
        for kind in [TargetKind::Standardized, TargetKind::MedianStandardized] {
            let targets = vec!["price".into()];
            let options = EncodingOptions { targets, kind, ..EncodingOptions::default() };
            let message = Encoding::fit(&table, &[0, 1, 2], &options).unwrap_err().to_string();
            assert!(message.contains("price") && message.contains("up to 1e150"), "{message}");
        }
    }
}
