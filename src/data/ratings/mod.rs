//! Ratings: which user gave which item how many stars, or that a user chose an item, how often and when.

mod columns;
mod joining;
mod time;

use std::collections::HashMap;
use std::path::Path;

use super::compare_ids;
use super::source::Source;
use super::table::{Records, TableOptions};
use crate::Result;
use columns::Places;
pub(super) use columns::{ITEM, USER};
use time::Times;

/// Where the columns of ratings are, and what becomes of a pair that stands there twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RatingsOptions {
    /// The column of users.
    pub user: Option<String>,
    /// The column of items.
    pub item: Option<String>,
    /// The column of ratings.
    pub rating: Option<String>,
    /// The column of counts (of plays, clicks, purchases), which are the weights of the interactions.
    pub weight: Option<String>,
    /// The column of times: Unix times of any unit, or dates as ISO 8601 writes them.
    pub time: Option<String>,
    /// What becomes of a user and an item that stand there again.
    pub duplicates: Duplicates,
    /// How the file is read.
    pub table: TableOptions,
}

/// What becomes of a user and an item that stand there again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Counts of a file without ratings are added up; any other file is refused.
    #[default]
    Auto,
    /// The file is refused, with the lines of both.
    Refuse,
    /// The last one counts: by its time where the file has times, else by its line.
    Last,
    /// The ratings are added up, and the counts; of likes their number is.
    Sum,
}

/// What a file of ratings says, line by line; `users`, `items`, `ratings` and `lines` are of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratings {
    /// The place of each line's user in `user_ids`.
    pub users: Vec<u32>,
    /// The place of each line's item in `item_ids`.
    pub items: Vec<u32>,
    /// The ratings, finite; of likes their number: the column of counts, or how many times the pair stands there.
    pub ratings: Vec<f32>,
    /// The counts of a column of weights, above 0.
    pub weights: Option<Vec<f32>>,
    /// The times, of whatever unit the file has; dates as Unix seconds.
    pub times: Option<Vec<f64>>,
    /// The lines, from 1.
    pub lines: Vec<u32>,
    /// The users' ids as they stand in the file: whole numbers ascending, then other text; a whole number that was written `5863.0` is 5863.
    pub user_ids: Vec<String>,
    /// The items' ids, in the same order.
    pub item_ids: Vec<String>,
    /// Whether the file has ratings; else each line is a like.
    pub has_ratings: bool,
    /// What was found about the form of the file, one sentence each.
    pub notes: Vec<String>,
}

/// Reads ratings, plain or gzip: [`read_ratings_with`] of the default options.
///
/// # Errors
/// As [`read_ratings_with`].
pub fn read_ratings(path: impl AsRef<Path>) -> Result<Ratings> {
    read_ratings_with(path, &RatingsOptions::default())
}

/// Reads ratings, plain or gzip; the form of the file is told as [`super::Table::read`] does.
///
/// | the first line | how it is read |
/// |---|---|
/// | holds names | a header that names a column of users (`userId`, `user_id`, `reviewerID` …), of items (`movieId`, `item_id`, `asin`, `ISBN` …) and of ratings (`rating`, `stars`, `overall` …); other columns are left out |
/// | holds no names | user, item, rating (MovieLens 100K, 1M, Amazon) |
/// | has no column of ratings | each line is a like; a column of counts (`count`, `plays`, `clicks` …) says how many |
///
/// A column of times (`timestamp`, `date` …, in a file without names the fourth) is read where each cell is a number or a date such as
/// `2016-10-17 12:30:00`; Unix times are never taken for ratings. Lines with a count of 0 are left out.
///
/// # Errors
/// [`crate::Error::Data`] with the line for an id that is empty, a rating that is empty, NaN or infinite, a count that is no number from 0 on, in a column that was named as one of times a cell that is none, a line of another length, a pair of user
/// and item that stands there twice (unless [`RatingsOptions::duplicates`] says what becomes of it); for a column that is missing; for a
/// file without ratings. [`crate::Error::Unknown`] for a column that was named and is not there; [`crate::Error::Io`] if the file cannot be read.
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
            // Played no times: the pair has nothing to do with each other. Its time goes with it.
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
    /// What the columns were taken for, where a file without a column of ratings leaves a choice.
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

/// An id as it is written; a whole number in another form, as pandas writes a column with blanks, as itself.
pub(in crate::data) fn id(cell: &str) -> Option<String> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return None;
    }
    let is_float =
        cell.contains('.') && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let whole = cell
        .parse::<f64>()
        .ok()
        .filter(|number| is_float && number.fract() == 0.0 && *number < 9e15);
    Some(whole.map_or_else(|| cell.replace(char::is_control, " "), |number| format!("{number}")))
}

/// `userid` for `user_id`, `User ID`, `userId` and RecBole's `user_id:token`.
pub(in crate::data) fn plain_name(name: &str) -> String {
    let name = name.to_lowercase();
    let name = name.split(':').next().unwrap_or_default();
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect()
}

/// Ids numbered as they appear.
#[derive(Default)]
struct Interner(HashMap<String, u32>);

impl Interner {
    fn place(&mut self, id: String) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(id).or_insert(next)
    }

    /// The ids in order, and the numbers of the lines by it.
    fn sorted(self, lines: &mut [u32]) -> Vec<String> {
        let mut ids: Vec<(String, u32)> = self.0.into_iter().collect();
        ids.sort_unstable_by(|(one, _), (other, _)| compare_ids(one, other));
        let mut place = vec![0; ids.len()];
        ids.iter().enumerate().for_each(|(now, (_, before))| place[*before as usize] = now as u32);
        lines.iter_mut().for_each(|line| *line = place[*line as usize]);
        ids.into_iter().map(|(id, _)| id).collect()
    }
}
