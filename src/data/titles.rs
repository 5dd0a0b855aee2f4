//! What items are called: a file of ids and titles beside one of ratings.

use std::collections::HashMap;
use std::path::Path;

use super::ratings::plain_name;
use super::source::Source;
use super::table::{Records, TableOptions};
use crate::{Error, Result};

/// Names that a column of titles goes by, in lower case and without `_`, `-` and spaces.
const TITLE: &[&str] =
    &["title", "name", "booktitle", "movietitle", "itemname", "productname", "artistname"];

/// Reads the titles of items by their ids: the column that is called so (`title`, `name` …) by the first column; without a header the second by
/// the first (MovieLens' `movies.csv`, `movies.dat`, `u.item`, Book-Crossing).
///
/// # Errors
/// [`Error::Data`] if there is no such column or a line is of another length; [`Error::Io`] if the file cannot be read.
pub fn read_titles(path: impl AsRef<Path>) -> Result<HashMap<String, String>> {
    let path = path.as_ref();
    let mut records = Records::open(Source::open(path)?, &TableOptions::default())?;
    let named = records.names.iter().position(|name| TITLE.contains(&&*plain_name(name)));
    let by_order = (!records.has_header && records.names.len() > 1).then_some(1);
    let title = named.or(by_order).ok_or_else(|| Error::Data {
        path: path.into(),
        position: "line 1".into(),
        found: format!("no column of titles among {}", records.names.join(", ")),
        expected: format!("a column {}", TITLE.join(" or ")),
    })?;
    let mut titles = HashMap::new();
    while let Some((_, cells)) = records.next()? {
        titles.insert(cells[0].clone(), cells[title].replace(char::is_control, " "));
    }
    Ok(titles)
}
