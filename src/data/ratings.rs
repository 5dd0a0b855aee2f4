//! Ratings: which user gave which item how many stars. A table with a header as MovieLens', or `user::item::rating::time`.

use std::path::Path;

use super::source::Source;
use crate::{Error, Result};

/// Names that the columns go by, in lower case and without `_`, `-` and spaces.
const USER: &[&str] = &["userid", "user", "uid"];
const ITEM: &[&str] =
    &["itemid", "item", "movieid", "movie", "iid", "bookid", "book", "songid", "song", "productid", "product"];
const RATING: &[&str] = &["rating", "ratings", "score", "stars"];

/// The columns of a file without a header.
const ORDER: [&str; 3] = ["user", "item", "rating"];

/// What a file of ratings says, line by line; all lists are of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratings {
    /// The users' ids, as they stand in the file.
    pub users: Vec<u32>,
    /// The items' ids, as they stand in the file.
    pub items: Vec<u32>,
    /// The ratings, finite.
    pub ratings: Vec<f32>,
    /// The lines, from 1.
    pub lines: Vec<u32>,
}

/// Reads ratings, plain or gzip.
///
/// | the first line | how it is read |
/// |---|---|
/// | holds `::` | `user::item::rating`, what follows is left out (MovieLens 1M and 10M) |
/// | holds words | a header that names a column of users (`userId`, `user_id`, `user` …), of items (`movieId`, `item_id`, `item` …) and of ratings (`rating`); commas, semicolons or tabs |
/// | holds numbers | no header: user, item, rating (MovieLens 100K) |
///
/// # Errors
/// [`Error::Data`] with the line for an id that is empty, no whole number or does not fit 32 bits, a rating that is empty, NaN or
/// infinite, a line that is too short, a pair of user and item that stands there twice; for a column that is missing; for a file
/// without ratings. [`Error::Io`] if it cannot be read.
pub fn read_ratings(path: impl AsRef<Path>) -> Result<Ratings> {
    let path = path.as_ref();
    let bytes = Source::open(path)?.rest()?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader =
        Reader { path, line: 0, columns: None, separator: Separator::Byte(b','), ratings: Ratings::default() };
    for line in text.split(|&byte| byte == b'\n') {
        reader.line += 1;
        let line = line.trim_ascii();
        if !line.is_empty() {
            reader.take(line)?;
        }
    }
    if reader.ratings.lines.is_empty() {
        return Err(reader.wrong(
            "",
            "no ratings".into(),
            "a header and at least one rating, or lines `user::item::rating`",
        ));
    }
    reader.check_pairs()?;
    Ok(reader.ratings)
}

/// What stands between fields.
#[derive(Clone, Copy)]
enum Separator {
    Byte(u8),
    Colons,
}

impl Separator {
    fn split(self, line: &[u8]) -> Vec<&[u8]> {
        let fields: Vec<&[u8]> = match self {
            Separator::Byte(byte) => line.split(|&found| found == byte).collect(),
            Separator::Colons => {
                let mut fields = Vec::new();
                let (mut start, mut at) = (0, 0);
                while at + 1 < line.len() {
                    if &line[at..at + 2] == b"::" {
                        fields.push(&line[start..at]);
                        (start, at) = (at + 2, at + 2);
                    } else {
                        at += 1;
                    }
                }
                fields.push(&line[start..]);
                fields
            }
        };
        fields.into_iter().map(|field| unquoted(field.trim_ascii())).collect()
    }
}

fn unquoted(field: &[u8]) -> &[u8] {
    field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field)
}

/// Ratings that grow line by line.
struct Reader<'a> {
    path: &'a Path,
    line: u32,
    /// The places of user, item and rating, and how many fields each line has: a comma in one of them would shift the others.
    columns: Option<([usize; 3], usize)>,
    separator: Separator,
    ratings: Ratings,
}

impl Reader<'_> {
    fn take(&mut self, line: &[u8]) -> Result<()> {
        let (places, needed) = match self.columns {
            Some(columns) => columns,
            None => {
                let (columns, is_header) = self.first(line)?;
                self.columns = Some(columns);
                if is_header {
                    return Ok(());
                }
                columns
            }
        };
        let fields = self.separator.split(line);
        if fields.len() != needed {
            return Err(self.wrong("", format!("{} fields", fields.len()), &format!("{needed}, as in the first line")));
        }
        let user = self.id("user", fields[places[0]])?;
        let item = self.id("item", fields[places[1]])?;
        let rating = self.rating(fields[places[2]])?;
        self.ratings.users.push(user);
        self.ratings.items.push(item);
        self.ratings.ratings.push(rating);
        self.ratings.lines.push(self.line);
        Ok(())
    }

    /// What the first line tells: where the columns are, and whether it is a header.
    fn first(&mut self, line: &[u8]) -> Result<(([usize; 3], usize), bool)> {
        if line.windows(2).any(|two| two == b"::") {
            self.separator = Separator::Colons;
            return Ok((([0, 1, 2], self.separator.split(line).len().max(3)), false));
        }
        self.separator = Separator::Byte(delimiter(line));
        let fields = self.separator.split(line);
        if fields.iter().all(|field| number(field).is_some()) {
            if fields.len() < 3 {
                return Err(self.wrong("", format!("{} fields", fields.len()), "user, item and rating"));
            }
            return Ok((([0, 1, 2], fields.len()), false));
        }
        let names: Vec<String> = fields.iter().map(|field| plain_name(field)).collect();
        let mut places = [0; 3];
        for ((place, known), what) in places.iter_mut().zip([USER, ITEM, RATING]).zip(ORDER) {
            let found = known.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
            *place = found.ok_or_else(|| {
                let given: Vec<_> = fields.iter().map(|field| plain(field)).collect();
                self.wrong(
                    "",
                    format!("no column of {what}s among {}", given[..given.len().min(12)].join(", ")),
                    &format!("a column {}", known.join(" or ")),
                )
            })?;
        }
        Ok(((places, fields.len()), true))
    }

    fn id(&self, what: &str, field: &[u8]) -> Result<u32> {
        std::str::from_utf8(field).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            self.wrong(what, shown(field), "an id: a whole number from 0 to 4294967295, which fits 32 bits")
        })
    }

    fn rating(&self, field: &[u8]) -> Result<f32> {
        let found = number(field).filter(|rating| rating.is_finite());
        found.ok_or_else(|| self.wrong("rating", shown(field), "a finite number"))
    }

    /// That no pair of user and item stands there twice.
    fn check_pairs(&self) -> Result<()> {
        let Ratings { users, items, lines, .. } = &self.ratings;
        let mut pairs: Vec<(u64, u32)> = (0..users.len())
            .map(|index| (u64::from(users[index]) << 32 | u64::from(items[index]), lines[index]))
            .collect();
        pairs.sort_unstable();
        let twice = pairs.windows(2).filter(|two| two[0].0 == two[1].0).min_by_key(|two| two[1].1);
        let Some([(pair, first), (_, second)]) = twice else { return Ok(()) };
        let found = format!("user {} and item {} again, as in line {first}", pair >> 32, *pair as u32);
        Err(Error::Data {
            path: self.path.into(),
            position: format!("line {second}"),
            found,
            expected: "each pair once; keep one of its ratings".into(),
        })
    }

    fn wrong(&self, column: &str, found: String, expected: &str) -> Error {
        let column = if column.is_empty() { String::new() } else { format!(", column {column}") };
        let position = format!("line {}{column}", self.line);
        Error::Data { path: self.path.into(), position, found, expected: expected.into() }
    }
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// `userid` for `user_id`, `User ID` and `userId`.
fn plain_name(field: &[u8]) -> String {
    let name = String::from_utf8_lossy(field).to_lowercase();
    // MovieLens' successors write `user_id:token`.
    let name = name.split(':').next().unwrap_or_default();
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect()
}

fn shown(field: &[u8]) -> String {
    if field.is_empty() {
        return "an empty field".into();
    }
    format!("`{}`", plain(field))
}

/// The beginning of a field as a terminal can stand it.
fn plain(field: &[u8]) -> String {
    String::from_utf8_lossy(field).chars().take(60).collect::<String>().escape_debug().to_string()
}

/// The separator that stands most often outside quotes in the first line that is not empty; a comma in doubt.
fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.is_empty()).unwrap_or_default();
    let outside = line.split(|&byte| byte == b'"').step_by(2);
    let count = |delimiter: u8| outside.clone().flatten().filter(|&&byte| byte == delimiter).count();
    // `max_by_key` takes the last of equals.
    [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}
