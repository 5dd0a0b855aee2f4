//! Item titles: a file of ids and titles that accompanies one of ratings.

use std::collections::HashMap;
use std::path::Path;

use crate::data::ratings::ids::plain_name;
use crate::data::source::Source;
use crate::data::table::{Records, TableOptions};
use crate::{Error, Result};

/// Recognized names of the title column, in lower case and without `_`, `-` and spaces.
const TITLE: &[&str] =
    &["title", "name", "booktitle", "movietitle", "itemname", "productname", "artistname"];

/// Reads item titles by id: the title column (`title`, `name` …) by the first column; without a
/// header the second column by the first (MovieLens' `movies.csv`, `movies.dat`, `u.item`,
/// Book-Crossing).
///
/// # Errors
/// [`Error::Data`] if there is no title column or a line has another number of fields;
/// [`Error::Io`] if the file cannot be read.
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
