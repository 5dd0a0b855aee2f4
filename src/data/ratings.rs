//! Ratings: which user gave which item how many stars, or that a user chose an item.

use std::collections::HashMap;
use std::path::Path;

use super::compare_ids;
use super::source::Source;
use super::table::{Records, TableOptions};
use crate::{Error, Result};

/// Names that the columns go by, in lower case and without `_`, `-` and spaces.
const USER: &[&str] = &["userid", "user", "uid", "reviewerid", "reviewer", "customerid", "customer", "visitorid"];
const ITEM: &[&str] = &[
    "itemid",
    "item",
    "movieid",
    "movie",
    "iid",
    "bookid",
    "book",
    "isbn",
    "songid",
    "song",
    "trackid",
    "track",
    "artistid",
    "artist",
    "productid",
    "product",
    "asin",
    "businessid",
    "business",
];
const RATING: &[&str] = &["rating", "ratings", "score", "stars", "bookrating", "overall"];

/// Where the columns of ratings are, and what becomes of a pair that stands there twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RatingsOptions {
    /// The column of users.
    pub user: Option<String>,
    /// The column of items.
    pub item: Option<String>,
    /// The column of ratings.
    pub rating: Option<String>,
    /// What becomes of a user and an item that stand there again.
    pub duplicates: Duplicates,
    /// How the file is read.
    pub table: TableOptions,
}

/// What becomes of a user and an item that stand there again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// The file is refused, with the lines of both.
    #[default]
    Refuse,
    /// The last rating counts.
    Last,
    /// The ratings are added up; of likes their number is.
    Sum,
}

/// What a file of ratings says, line by line; `users`, `items`, `ratings` and `lines` are of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratings {
    /// The place of each line's user in `user_ids`.
    pub users: Vec<u32>,
    /// The place of each line's item in `item_ids`.
    pub items: Vec<u32>,
    /// The ratings, finite; of likes how many times the pair stands there.
    pub ratings: Vec<f32>,
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
/// | has no column of ratings | each line is a like |
///
/// # Errors
/// [`Error::Data`] with the line for an id that is empty, a rating that is empty, NaN or infinite, a line of another length, a pair of user
/// and item that stands there twice (unless [`RatingsOptions::duplicates`] says what becomes of it); for a column that is missing; for a
/// file without ratings. [`Error::Unknown`] for a column that was named and is not there; [`Error::Io`] if the file cannot be read.
pub fn read_ratings_with(path: impl AsRef<Path>, options: &RatingsOptions) -> Result<Ratings> {
    let path = path.as_ref();
    let mut records = Records::open(Source::open(path)?, &options.table)?;
    let places = Places::find(path, &records, options)?;
    let (mut users, mut items) = (Interner::default(), Interner::default());
    let mut found = Ratings { has_ratings: places.rating.is_some(), ..Ratings::default() };
    while let Some((line, cells)) = records.next()? {
        let pair = [places.user, places.item].map(|place| id(&cells[place]));
        let rating = places.rating.map_or(Some(1.0), |place| finite(&cells[place]));
        let ([Some(user), Some(item)], Some(rating)) = (pair, rating) else {
            let (place, found, expected) = places.wrong_cell(cells);
            return Err(records.wrong(&records.names[place], found, expected));
        };
        found.users.push(users.place(user));
        found.items.push(items.place(item));
        found.ratings.push(rating);
        found.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
    }
    if found.lines.is_empty() {
        return Err(records.nothing("at least one rating: user, item, rating, under a header or without"));
    }
    found.notes = std::mem::take(&mut records.notes);
    if !found.has_ratings {
        found.notes.push("there is no column of ratings: each line is a like".into());
    }
    found.user_ids = users.sorted(&mut found.users);
    found.item_ids = items.sorted(&mut found.items);
    found.join_pairs(path, options.duplicates)?;
    Ok(found)
}

/// The places of the columns.
struct Places {
    user: usize,
    item: usize,
    rating: Option<usize>,
}

impl Places {
    fn find(path: &Path, records: &Records, options: &RatingsOptions) -> Result<Self> {
        let plain: Vec<String> = records.names.iter().map(|name| plain_name(name)).collect();
        let named = |wanted: &Option<String>| match wanted {
            None => Ok(None),
            Some(wanted) => match records.names.iter().position(|name| name == wanted) {
                Some(place) => Ok(Some(place)),
                None => {
                    let kind = format!("column of {}", path.display());
                    Err(Error::unknown(&kind, wanted, records.names.iter().map(String::as_str)))
                }
            },
        };
        let known = |names: &[&str]| names.iter().find_map(|name| plain.iter().position(|found| found == name));
        let by_order = |place: usize| (!records.has_header && place < records.names.len()).then_some(place);
        let missing = |what: &str, names: &[&str]| {
            let given: Vec<&str> = records.names.iter().take(12).map(String::as_str).collect();
            Error::Data {
                path: path.into(),
                position: "line 1".into(),
                found: format!("no column of {what}s among {}", given.join(", ")),
                expected: format!("a column {}; --{what} names it", names.join(" or ")),
            }
        };
        let find = |asked: &Option<String>, names: &[&str], place: usize| {
            Ok::<_, Error>(named(asked)?.or_else(|| known(names)).or_else(|| by_order(place)))
        };
        let user = find(&options.user, USER, 0)?.ok_or_else(|| missing("user", USER))?;
        let item = find(&options.item, ITEM, 1)?.ok_or_else(|| missing("item", ITEM))?;
        Ok(Places { user, item, rating: find(&options.rating, RATING, 2)? })
    }

    /// The first cell that is no id or no rating: its place, itself, and what it should be.
    fn wrong_cell(&self, cells: &[String]) -> (usize, String, &'static str) {
        let wrong = [self.user, self.item].into_iter().find(|&place| id(&cells[place]).is_none());
        let place = wrong.or(self.rating).unwrap_or(self.item);
        let shown: String = cells[place].chars().take(60).collect();
        let found = if shown.is_empty() { "an empty field".into() } else { format!("`{}`", shown.escape_debug()) };
        (place, found, if wrong.is_some() { "an id" } else { "a finite number of stars" })
    }
}

/// An id as it is written; a whole number in another form, as pandas writes a column with blanks, as itself.
fn id(cell: &str) -> Option<String> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return None;
    }
    let is_float = cell.contains('.') && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let whole = cell.parse::<f64>().ok().filter(|number| is_float && number.fract() == 0.0 && *number < 9e15);
    Some(whole.map_or_else(|| cell.replace(char::is_control, " "), |number| format!("{number}")))
}

fn finite(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|rating: &f32| rating.is_finite())
}

/// `userid` for `user_id`, `User ID`, `userId` and RecBole's `user_id:token`.
pub(super) fn plain_name(name: &str) -> String {
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

impl Ratings {
    /// What becomes of pairs that stand there again.
    fn join_pairs(&mut self, path: &Path, duplicates: Duplicates) -> Result<()> {
        let mut first: HashMap<(u32, u32), usize> = HashMap::new();
        let mut kept: Vec<usize> = Vec::with_capacity(self.lines.len());
        for place in 0..self.lines.len() {
            let pair = (self.users[place], self.items[place]);
            let Some(&before) = first.get(&pair) else {
                first.insert(pair, place);
                kept.push(place);
                continue;
            };
            match duplicates {
                Duplicates::Refuse => return Err(self.twice(path, before, place)),
                Duplicates::Last => self.ratings[before] = self.ratings[place],
                Duplicates::Sum => self.ratings[before] += self.ratings[place],
            }
        }
        let joined = self.lines.len() - kept.len();
        if joined > 0 {
            let what = if duplicates == Duplicates::Sum { "added up" } else { "the last one kept" };
            self.notes.push(format!("{joined} line(s) hold a user and an item again: {what}"));
            self.keep(&kept);
        }
        Ok(())
    }

    fn keep(&mut self, places: &[usize]) {
        self.users = places.iter().map(|&place| self.users[place]).collect();
        self.items = places.iter().map(|&place| self.items[place]).collect();
        self.ratings = places.iter().map(|&place| self.ratings[place]).collect();
        self.lines = places.iter().map(|&place| self.lines[place]).collect();
    }

    fn twice(&self, path: &Path, before: usize, place: usize) -> Error {
        let (user, item) = (&self.user_ids[self.users[place] as usize], &self.item_ids[self.items[place] as usize]);
        Error::Data {
            path: path.into(),
            position: format!("line {}", self.lines[place]),
            found: format!("user {user} and item {item} again, as in line {}", self.lines[before]),
            expected: "each pair once; --duplicates last keeps the last rating, --duplicates sum adds them up".into(),
        }
    }
}
