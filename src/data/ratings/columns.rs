//! Columns of a file of ratings: their detection, and parsing of a line.

use std::path::Path;

use crate::data::ratings::ids::{id, plain_name};
use crate::data::ratings::options::RatingsOptions;
use crate::data::ratings::rated::Ratings;
use crate::data::table::Records;
use crate::{Error, Result};

/// Recognized column names, in lower case and without `_`, `-` and spaces.
pub(in crate::data) const USER: &[&str] =
    &["userid", "user", "uid", "reviewerid", "reviewer", "customerid", "customer", "visitorid"];
pub(in crate::data) const ITEM: &[&str] = &[
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
const WEIGHT: &[&str] = &[
    "count",
    "counts",
    "plays",
    "playcount",
    "playcounts",
    "listens",
    "listencount",
    "clicks",
    "clickcount",
    "views",
    "viewcount",
    "purchases",
    "purchasecount",
    "quantity",
    "weight",
];
const TIME: &[&str] = &[
    "timestamp",
    "timestamps",
    "time",
    "date",
    "datetime",
    "unixreviewtime",
    "reviewtime",
    "ts",
    "eventtime",
    "createdat",
];

/// Numbers from here on are Unix times, not ratings: the year 1973 in seconds.
const LEAST_UNIX_TIME: f32 = 1e8;

/// Indices of the columns.
pub(super) struct Places {
    user: usize,
    item: usize,
    pub(super) rating: Option<usize>,
    /// The column of ratings, if inferred from its position alone.
    guess: Option<usize>,
    pub(super) weight: Option<usize>,
    pub(super) time: Option<TimeColumn>,
}

/// A column of times.
#[derive(Clone, Copy)]
pub(super) struct TimeColumn {
    pub place: usize,
    /// True if named by the caller: an invalid time is an error then.
    pub is_named: bool,
    /// True if identified by its name; else it is the fourth column of a file without names.
    pub is_known: bool,
}

/// The cells of a line.
pub(super) struct Row {
    pub user: String,
    pub item: String,
    pub rating: Option<f32>,
    pub weight: f32,
}

impl Places {
    pub(super) fn find(path: &Path, records: &Records, options: &RatingsOptions) -> Result<Self> {
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
        let asked = [&options.user, &options.item, &options.rating, &options.weight, &options.time];
        let [user, item, rating, weight, time] = asked.map(named);
        let (user, item, rating, weight, time) = (user?, item?, rating?, weight?, time?);
        let taken = [user, item, rating, weight, time];
        // A column given for one purpose is not used for another.
        let is_free = |place: &usize| !taken.contains(&Some(*place));
        let known = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| plain.iter().position(|found| found == name).filter(is_free))
        };
        let by_order = |place: usize| {
            Some(place)
                .filter(|place| !records.has_header && *place < records.names.len())
                .filter(is_free)
        };
        let missing = |what: &str, names: &[&str]| {
            let given: Vec<&str> = records.names.iter().take(12).map(String::as_str).collect();
            Error::Data {
                path: path.into(),
                position: "line 1".into(),
                found: format!("no column of {what}s among {}", given.join(", ")),
                expected: format!("a column {}; --{what} names it", names.join(" or ")),
            }
        };
        let find = |named: Option<usize>, names: &[&str], place: usize| {
            named.or_else(|| known(names)).or_else(|| by_order(place))
        };
        let user = find(user, USER, 0).ok_or_else(|| missing("user", USER))?;
        let item = find(item, ITEM, 1).ok_or_else(|| missing("item", ITEM))?;
        let sure = rating.or_else(|| known(RATING));
        let found = sure.or_else(|| by_order(2));
        // In a file of ratings a column named `count` may count anything.
        let weight = weight.or_else(|| if found.is_none() { known(WEIGHT) } else { None });
        let is_known = time.or_else(|| known(TIME));
        let column = is_known.or_else(|| if sure.is_none() { by_order(3) } else { None });
        let as_time =
            |place| TimeColumn { place, is_named: time.is_some(), is_known: is_known.is_some() };
        let guess = found.filter(|_| sure.is_none() && column.is_none());
        // A column taken for ratings by its position alone may turn out to hold times.
        Ok(Places { user, item, rating: found, guess, weight, time: column.or(guess).map(as_time) })
    }

    /// Parses a line; none if a cell is invalid.
    pub(super) fn row(&self, cells: &[String]) -> Option<Row> {
        let rating = match self.rating {
            Some(place) => Some(finite(&cells[place])?),
            None => None,
        };
        let weight = self.weight.map_or(Some(1.0), |place| count(&cells[place]))?;
        Some(Row { user: id(&cells[self.user])?, item: id(&cells[self.item])?, rating, weight })
    }

    /// The first cell that is not a valid id, rating or count: its column, its text, and the
    /// expected content.
    pub(super) fn wrong_cell(&self, cells: &[String]) -> (usize, String, &'static str) {
        let no_id = [self.user, self.item].into_iter().find(|&place| id(&cells[place]).is_none());
        let no_rating = || self.rating.filter(|&place| finite(&cells[place]).is_none());
        let (place, expected) = match (no_id, no_rating()) {
            (Some(place), _) => (place, "an id"),
            (None, Some(place)) => (place, "a finite number of stars"),
            (None, None) => (
                self.weight.unwrap_or(self.item),
                "a count, 0 or more; --weight names another column",
            ),
        };
        (place, shown(&cells[place]), expected)
    }

    /// Large numbers in the third column of a file without names are Unix times, not ratings.
    pub(super) fn check_rating(&self, found: &mut Ratings) {
        let Some(place) = self.guess else { return };
        if found.times.is_some() && found.ratings.iter().all(|&rating| rating >= LEAST_UNIX_TIME) {
            found.notes.push(format!(
                "column `{place}` holds Unix times: they are taken for times, not for ratings"
            ));
            found.ratings = found.weights.clone().unwrap_or_else(|| vec![1.0; found.lines.len()]);
            found.has_ratings = false;
        } else {
            found.times = None;
        }
    }
}

/// A cell in a message.
pub(super) fn shown(cell: &str) -> String {
    let shown: String = cell.chars().take(60).collect();
    if shown.is_empty() { "an empty field".into() } else { format!("`{}`", shown.escape_debug()) }
}

fn finite(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|rating: &f32| rating.is_finite())
}

fn count(cell: &str) -> Option<f32> {
    finite(cell).filter(|count| *count >= 0.0)
}
