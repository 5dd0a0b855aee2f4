//! A table from a file.

use std::path::Path;

use super::super::source::Source;
use super::column::Builder;
use super::{Place, Records, Table, TableOptions};
use crate::Result;

impl Table {
    /// Reads a table: a file of separated fields, plain or gzip; `-` is standard input.
    ///
    /// All that people's files are is read where it can be told from the file, and what was told stands in [`Table::notes`]:
    ///
    /// | | |
    /// |---|---|
    /// | text | UTF-8, UTF-16 with a byte order mark or without, else Latin-1; line ends of any system |
    /// | fields | parted by `,`, `;`, tab, `\|`, `::` or spaces, whichever parts all lines evenly; a line `sep=;` says it; quotes as in RFC 4180 |
    /// | above the rows | lines of comments (`#`), the last of which may name the columns |
    /// | header | the first row, unless a number stands in it above a column of numbers, or a cell of it again in its column; also `0,1,2` as pandas writes it |
    /// | numbers | a decimal point, or a comma where no point contradicts; marks of thousands; one unit in all of a column (`$`, `€`, `£`, `¥`, `%`) |
    /// | blanks | empty cells, `NA`, `N/A`, `NaN`, `null` …; among numbers also `?`, `-`, `None` |
    ///
    /// A column is of numbers if each cell of it that is not blank is one, else of words. The whole file decides, not its first row.
    ///
    /// # Errors
    /// [`crate::Error::Data`] with the line for a row of another length, for a file without rows, for decimal marks that contradict each
    /// other; [`crate::Error::Io`] if it cannot be read.
    ///
    /// ```
    /// use gradus::data::{Table, TableOptions};
    ///
    /// # let folder = tempfile::tempdir().map_err(|source| gradus::Error::Io { path: "".into(), source })?;
    /// # let path = folder.path().join("prices.csv");
    /// std::fs::write(&path, "city;price\nBonn;1.234,50\nUlm;\n").unwrap();
    /// let table = Table::read(&path, &TableOptions::default())?;
    /// assert_eq!(table.column("price")?.text(0).unwrap(), "1234.5");
    /// assert!(table.column("price")?.is_blank(1));
    /// assert_eq!(table.notes()[0], "the decimal mark is a comma");
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>, options: &TableOptions) -> Result<Table> {
        let records = Records::open(Source::open(path.as_ref())?, options)?;
        Ok(Self::from_records(path.as_ref(), records, None)?.0)
    }

    /// The rows of a file; the cells of the column `key` stand beside the table as they are written, and their lines.
    pub(in crate::data) fn from_records(
        path: &Path,
        mut records: Records,
        key: Option<usize>,
    ) -> Result<(Table, Vec<(u64, String)>)> {
        let mut place = Place { path: path.into(), lines: Vec::new() };
        let mut builders: Vec<Builder> = records.names.iter().map(|_| Builder::new(records.decimal)).collect();
        let (mut rows, mut keys) = (0, Vec::new());
        while let Some((line, cells)) = records.next()? {
            place.add(rows, line);
            for (at, (builder, cell)) in builders.iter_mut().zip(cells).enumerate() {
                match key {
                    Some(key) if key == at => keys.push((line, cell.clone())),
                    _ => builder.add(cell),
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Err(records.nothing("a header and at least one row, or rows of numbers"));
        }
        let mut notes = std::mem::take(&mut records.notes);
        let mut columns = Vec::with_capacity(builders.len());
        let named = builders.into_iter().zip(std::mem::take(&mut records.names)).enumerate();
        for (_, (builder, name)) in named.filter(|(at, _)| Some(*at) != key) {
            let (column, note) = builder.finish(name);
            columns.push(column);
            notes.extend(note);
        }
        let table = Table { columns, rows, has_header: records.has_header, place, notes };
        table.check_names()?;
        Ok((table, keys))
    }
}
