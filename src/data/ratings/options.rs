//! Options of reading ratings.

use crate::data::table::TableOptions;

/// Columns of a file of ratings, and handling of repeated pairs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RatingsOptions {
    /// The column of users.
    pub user: Option<String>,
    /// The column of items.
    pub item: Option<String>,
    /// The column of ratings.
    pub rating: Option<String>,
    /// The column of counts (of plays, clicks, purchases), the weights of the interactions.
    pub weight: Option<String>,
    /// The column of times: Unix times of any unit, or ISO 8601 dates.
    pub time: Option<String>,
    /// Handling of repeated pairs of user and item.
    pub duplicates: Duplicates,
    /// Options for reading the file.
    pub table: TableOptions,
}

/// Handling of repeated pairs of user and item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Add up counts in a file without ratings; reject any other file.
    #[default]
    Auto,
    /// Reject the file, with the lines of both.
    Refuse,
    /// Keep the last one: by time if the file has times, else by line.
    Last,
    /// Add up ratings and counts; the rating of a like is its number of occurrences.
    Sum,
}
