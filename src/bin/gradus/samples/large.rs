//! Tables larger than memory: the same rows and encoding, read in chunks.

use std::path::Path;

use gradus::data::{
    Blocks, Encoding, KeptBlocks, LargeSplit, LargeTable, TableBlocks, TableOptions,
};
use gradus::{Error, data, memory, text};

use crate::output;
use crate::output::{Failure, Outcome};
use crate::samples::prepare::{other_form, too_few};
use crate::samples::prepared::{Asked, Large, Prepared};
use crate::samples::source::{Known, Source};

/// Number of rows sampled by checks that otherwise see all rows.
const LOOKED_AT: usize = 10_000;

impl Source {
    /// Reason for reading a table in chunks; none if it is read whole.
    pub(super) fn why_in_pieces(&self, asked: &Asked, known: &Known) -> Outcome<Option<String>> {
        let path = self.path();
        let refuse =
            |what: &str| Err(Failure::Failed(format!("--stream: {}: {what}", path.display())));
        if self.images.is_some() || !data::is_table(path) {
            return if asked.stream {
                refuse("tables alone are read in pieces; leave it out")
            } else {
                Ok(None)
            };
        }
        if path == Path::new("-") {
            let what = "standard input can be read only once: save it as a file";
            return if asked.stream { refuse(what) } else { Ok(None) };
        }
        if asked.unencoded().is_some() {
            let what = "the saved model says nothing of the columns that it takes: it goes on with tables that fit into memory";
            return if asked.stream { refuse(what) } else { Ok(None) };
        }
        if asked.stream {
            return Ok(Some("as --stream asks".into()));
        }
        if asked.known.is_some_and(gradus::Model::takes_blocks) {
            return Ok(Some("as the saved training did".into()));
        }
        Ok(self.does_not_fit(path, &self.table_options(known)))
    }

    /// Message if a table would not fit into memory.
    fn does_not_fit(&self, path: &Path, options: &TableOptions) -> Option<String> {
        let (needed, free) = (data::table_bytes(path, options).ok()??, memory::free()?);
        // A quarter is reserved for everything else that training allocates.
        (needed + needed / 4 > free).then(|| {
            format!(
                "its numbers would take about {} and {} of memory are free",
                text::bytes(needed as f64),
                text::bytes(free as f64)
            )
        })
    }

    /// As [`Source::prepare`], for a table read in chunks.
    pub(super) fn prepare_large(
        &self,
        asked: &Asked,
        known: &Known,
        why: &str,
    ) -> Outcome<Prepared> {
        let failed = |error: Error| Failure::from(error).of("--data");
        let table_options = self.table_options(known);
        self.refuse_options_of_arrays()?;
        let head = data::table_head(self.path(), &table_options).map_err(failed)?;
        let options = self.encoding_options(&head, asked)?;
        let saved = asked.known.and_then(gradus::Model::encoding);
        if let Some(encoding) = saved {
            if !encoding.takes_tables() {
                return Err(other_form("arrays", "a table", self.path()));
            }
            self.refuse_other_columns(&head, &options, encoding)?;
        }
        let targets = saved.map_or(&options.targets[..], |encoding| encoding.target().columns());
        let large = LargeTable::open(self.path(), &table_options, targets).map_err(failed)?;
        report_left_out(&large)?;
        let (seed, share) = (asked.held_out.seed, asked.held_out.share);
        let split = LargeSplit::new(large, seed, share).map_err(|error| too_few(error, share))?;
        let encoding = match saved {
            Some(encoding) => encoding.clone(),
            None => split.fit(&options).map_err(failed)?,
        };
        let (test, large_test) = match asked.test {
            Some(path) => self.large_test(path, &encoding)?,
            None => (None, None),
        };
        let mut training = split.training(&encoding);
        let first = training.epoch(0)?.next().transpose().map_err(failed)?;
        let first = first
            .ok_or_else(|| Failure::Failed(format!("{} has no rows", self.path().display())))?;
        let validation = split.validation(&encoding).map_err(failed)?;
        split.table().notes().iter().for_each(|note| report(self.path(), note));
        report(self.path(), &in_words(why, &split, validation.as_ref()));
        let large = Some(Large { training, validation, test: large_test });
        Ok(Prepared {
            train: first.take(LOOKED_AT),
            validation: None,
            test,
            encoding,
            large,
            train_weights: None,
            validation_weights: None,
        })
    }

    /// The test rows, in blocks if they do not fit into memory.
    fn large_test(
        &self,
        path: &Path,
        encoding: &Encoding,
    ) -> Outcome<(Option<data::Dataset>, Option<TableBlocks>)> {
        let failed = |error: Error| Failure::from(error).of("--test");
        let options = self.table_options(&Known::of_encoding(encoding));
        let is_large = path != Path::new("-")
            && data::is_table(path)
            && self.does_not_fit(path, &options).is_some();
        if !is_large {
            return Ok((Some(self.test_rows(path, encoding)?), None));
        }
        let large =
            LargeTable::open(path, &options, encoding.target().columns()).map_err(failed)?;
        let split = LargeSplit::new(large, 0, 0.0).map_err(failed)?;
        Ok((None, Some(split.all(encoding))))
    }
}

fn report(path: &Path, note: &str) {
    output::note(&format!("note: {}: {note}", path.display()));
}

fn report_left_out(table: &LargeTable) -> Outcome {
    let missing = table.rows() - table.rows_with_targets();
    if let (1.., Some(line)) = (missing, table.first_blank()?) {
        output::note(&format!(
            "note: {missing} row(s) have no target and are left out, the first in {line}"
        ));
    }
    Ok(())
}

/// Describes how a large table is read.
fn in_words(why: &str, split: &LargeSplit, validation: Option<&KeptBlocks>) -> String {
    let order = if split.table().is_seekable() {
        "blocks of pieces from all over it, shuffled by the seed"
    } else {
        "blocks in its own order, since it is compressed, each shuffled by the seed"
    };
    let kept = validation.map_or(String::new(), |rows| {
        format!(
            "; the rows to validate on are in a temporary file ({})",
            text::bytes(rows.bytes() as f64)
        )
    });
    format!(
        "read in pieces, anew in each epoch, {why}: {order}; medians, and words of more than 65,536, are close, not exact{kept}"
    )
}
