//! Ratings: user, item and stars; or likes: user, item, count and time.

mod columns;
pub(crate) mod ids;
mod joining;
pub(crate) mod options;
pub(crate) mod rated;
mod time;

use std::collections::HashMap;
use std::path::Path;

use crate::Result;
use crate::data::names::compare_ids;
use crate::data::ratings::columns::Places;
use crate::data::ratings::time::Times;
use crate::data::source::Source;
use crate::data::table::Records;

pub use crate::data::ratings::options::{Duplicates, RatingsOptions};
pub use crate::data::ratings::rated::Ratings;
pub(super) use columns::{ITEM, USER};

/// Reads ratings, plain or gzip: [`read_ratings_with`] with default options.
///
/// # Errors
/// As [`read_ratings_with`].
pub fn read_ratings(path: impl AsRef<Path>) -> Result<Ratings> {
    read_ratings_with(path, &RatingsOptions::default())
}

/// Reads ratings, plain or gzip; the format is detected as in [`super::Table::read`].
///
/// The first line determines the columns:
///
/// * Names: a header that names a column of users (`userId`, `user_id`, `reviewerID` …), of items
///   (`movieId`, `item_id`, `asin`, `ISBN` …) and of ratings (`rating`, `stars`, `overall` …);
///   other columns are left out.
/// * No names: user, item, rating (MovieLens 100K, 1M, Amazon).
/// * No column of ratings: each line is a like, with its number in a column of counts (`count`,
///   `plays`, `clicks` …), if present.
///
/// A column of times (`timestamp`, `date` …, the fourth in a file without names) is read if each
/// cell is a number or a date like `2016-10-17 12:30:00`; Unix times are never taken for ratings.
/// Lines with a count of 0 are left out.
///
/// # Errors
/// [`crate::Error::Data`] with the line for an empty id, a rating that is empty, NaN or infinite, a
/// count that is not a number ≥ 0, an invalid time in a column given as times, a line with another
/// number of fields, or a repeated pair of user and item (unless [`RatingsOptions::duplicates`]
/// handles it); also for a missing column or a file without ratings. [`crate::Error::Unknown`] for
/// a given column that does not exist; [`crate::Error::Io`] if the file cannot be read.
pub fn read_ratings_with(path: impl AsRef<Path>, options: &RatingsOptions) -> Result<Ratings> {
    let path = path.as_ref();
    let mut records = Records::open(Source::open(path)?, &options.table)?;
    let places = Places::find(path, &records, options)?;
    let (mut users, mut items) = (Interner::default(), Interner::default());
    let mut found = Ratings {
        has_ratings: places.rating.is_some(),
        weights: places.weight.is_some().then(Vec::new),
        ..Ratings::default()
    };
    let mut times = Times::new(places.time);
    let mut without = 0;
    while let Some((line, cells)) = records.next()? {
        let Some(row) = places.row(cells) else {
            let (place, found, expected) = places.wrong_cell(cells);
            return Err(records.wrong(&records.names[place], found, expected));
        };
        if !times.add(cells, line) {
            let (place, found) = times.wrong_cell(cells);
            return Err(records.wrong(&records.names[place], found, time::EXPECTED));
        }
        if row.weight == 0.0 {
            // A count of 0: the pair has no interaction. Drop its time too.
            times.drop_last();
            without += 1;
            continue;
        }
        found.users.push(users.place(row.user));
        found.items.push(items.place(row.item));
        found.ratings.push(row.rating.unwrap_or(row.weight));
        found.weights.iter_mut().for_each(|weights| weights.push(row.weight));
        found.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
    }
    if found.lines.is_empty() {
        return Err(
            records.nothing("at least one rating: user, item, rating, under a header or without")
        );
    }
    found.notes = std::mem::take(&mut records.notes);
    found.notes.extend(times.note(&records.names));
    found.times = times.finish();
    places.check_rating(&mut found);
    found.report_columns(&places, &records.names, without);
    found.user_ids = users.sorted(&mut found.users);
    found.item_ids = items.sorted(&mut found.items);
    found.join_pairs(path, options.duplicates)?;
    Ok(found)
}

impl Ratings {
    /// Notes the interpretation of the columns in a file without a column of ratings.
    fn report_columns(&mut self, places: &Places, names: &[String], without: usize) {
        if let Some(weight) = places.weight {
            let what = if self.has_ratings {
                "the weights of the ratings"
            } else {
                "counts: each line is a like"
            };
            self.notes.push(format!("column `{}` holds {what}", names[weight]));
            if without > 0 {
                self.notes.push(format!("{without} line(s) with a count of 0 are left out"));
            }
        } else if !self.has_ratings {
            self.notes.push("there is no column of ratings: each line is a like".into());
        }
    }
}

/// Ids numbered in order of appearance.
#[derive(Default)]
struct Interner(HashMap<String, u32>);

impl Interner {
    fn place(&mut self, id: String) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(id).or_insert(next)
    }

    /// Returns the sorted ids and renumbers the lines accordingly.
    fn sorted(self, lines: &mut [u32]) -> Vec<String> {
        let mut ids: Vec<(String, u32)> = self.0.into_iter().collect();
        ids.sort_unstable_by(|(one, _), (other, _)| compare_ids(one, other));
        let mut place = vec![0; ids.len()];
        ids.iter().enumerate().for_each(|(now, (_, before))| place[*before as usize] = now as u32);
        lines.iter_mut().for_each(|line| *line = place[*line as usize]);
        ids.into_iter().map(|(id, _)| id).collect()
    }
}
