//! Ratings with their ids.

/// Lines of a file of ratings; `users`, `items`, `ratings` and `lines` have equal lengths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratings {
    /// Index of each line's user in `user_ids`.
    pub users: Vec<u32>,
    /// Index of each line's item in `item_ids`.
    pub items: Vec<u32>,
    /// Finite ratings; for likes their number: the column of counts, or the number of occurrences
    /// of the pair.
    pub ratings: Vec<f32>,
    /// The column of weights, above 0.
    pub weights: Option<Vec<f32>>,
    /// Times in the file's unit; dates as Unix seconds.
    pub times: Option<Vec<f64>>,
    /// Line numbers, from 1.
    pub lines: Vec<u32>,
    /// User ids as written in the file: whole numbers ascending, then other text; a whole number
    /// written as `5863.0` is 5863.
    pub user_ids: Vec<String>,
    /// Item ids, in the same order.
    pub item_ids: Vec<String>,
    /// True if the file has ratings; otherwise each line is a like.
    pub has_ratings: bool,
    /// Notes on the detected format of the file, one sentence each.
    pub notes: Vec<String>,
}
