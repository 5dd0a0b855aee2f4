//! Side features of users or items: a file of ids and features.

use std::collections::HashMap;
use std::path::Path;

use crate::data::ratings::ids::{id, plain_name};
use crate::data::ratings::{ITEM, USER};
use crate::data::source::Source;
use crate::data::table::table::Table;
use crate::data::table::{Records, TableOptions};
use crate::{Error, Result};

/// Kind of entity in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// Users.
    Users,
    /// Items.
    Items,
}

/// Rows of a file of users or items: their ids, and all other columns unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Entities {
    /// Kind of entity.
    pub kind: EntityKind,
    /// The unique id of each row, in the format of [`super::Ratings`].
    pub ids: Vec<String>,
    /// The features.
    pub table: Table,
}

/// Reads side features of users or items: a table whose id column is given (`id`), has a name that
/// [`super::read_ratings`] knows (`movieId`, `user_id` …), or is the first one. Examples are
/// MovieLens' `movies.csv` and `users.dat`.
///
/// # Errors
/// [`Error::Data`] with the line for an empty or repeated id, or for a file without further
/// columns; [`Error::Unknown`] if there is no column `id`; errors of [`Table::read`].
///
/// ```
/// use gradus::data::{EntityKind, TableOptions, read_entities};
///
/// # let folder = tempfile::tempdir().map_err(|source| gradus::Error::Io { path: "".into(), source })?;
/// # let path = folder.path().join("movies.csv");
/// std::fs::write(&path, "movieId,title,genres\n1,Toy Story,Animation|Children\n10,Heat,Crime\n").unwrap();
/// let movies = read_entities(&path, EntityKind::Items, None, &TableOptions::default())?;
/// assert_eq!(movies.ids, ["1", "10"]);
/// assert_eq!(movies.table.names().collect::<Vec<_>>(), ["title", "genres"]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn read_entities(
    path: impl AsRef<Path>,
    kind: EntityKind,
    id: Option<&str>,
    options: &TableOptions,
) -> Result<Entities> {
    let path = path.as_ref();
    let records = Records::open(Source::open(path)?, options)?;
    let key = column_of_ids(path, &records, kind, id)?;
    let name = records.names[key].clone();
    let (table, cells) = Table::from_records(path, records, key)?;
    if table.columns().is_empty() {
        let found = format!("no column besides the ids in `{name}`");
        return Err(table.wrong("line 1", found, "at least one column of features"));
    }
    Ok(Entities { kind, ids: ids(&table, &name, cells)?, table })
}

fn column_of_ids(
    path: &Path,
    records: &Records,
    kind: EntityKind,
    wanted: Option<&str>,
) -> Result<usize> {
    let names = match kind {
        EntityKind::Users => USER,
        EntityKind::Items => ITEM,
    };
    if let Some(wanted) = wanted {
        return records.names.iter().position(|name| name == wanted).ok_or_else(|| {
            let kind = format!("column of {}", path.display());
            Error::unknown(&kind, wanted, records.names.iter().map(String::as_str))
        });
    }
    let known = names
        .iter()
        .find_map(|known| records.names.iter().position(|name| plain_name(name) == *known));
    Ok(known.unwrap_or(0))
}

fn ids(table: &Table, column: &str, cells: Vec<(u64, String)>) -> Result<Vec<String>> {
    let mut lines: HashMap<String, u64> = HashMap::with_capacity(cells.len());
    let mut ids = Vec::with_capacity(cells.len());
    for (line, cell) in cells {
        let position = format!("line {line}, column `{column}`");
        let found =
            id(&cell).ok_or_else(|| table.wrong(&position, "an empty field".into(), "an id"))?;
        if let Some(before) = lines.insert(found.clone(), line) {
            let text = format!("{found} again, as in line {before}");
            return Err(table.wrong(
                &position,
                text,
                "each id once, with several values of a column as `a|b|c`",
            ));
        }
        ids.push(found);
    }
    Ok(ids)
}
