//! User-item interactions in compressed rows (CSR), and their splits.

use std::ops::Range;

use crate::data::{Fingerprint, compare_ids};
use crate::recommend::sampling::Known;
use crate::{Error, Result};

/// Users' interactions with items as a CSR matrix: each user's items ascending.
///
/// An interaction has a signed weight: positive if the user likes the item, negative if not; the
/// magnitude is the sample weight. Only the logistic loss learns from disliked items; the others
/// never draw them as negatives.
///
/// ```
/// use gradus::recommend::Interactions;
///
/// let chosen = Interactions::new(3, 4, &[(0, 1), (2, 3), (0, 0)])?;
/// assert_eq!((chosen.len(), chosen.of(0), chosen.of(1)), (3, &[0, 1][..], &[][..]));
/// assert!(Interactions::new(3, 4, &[(0, 4)]).is_err()); // items are 0 to 3
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Interactions {
    users: u32,
    items: u32,
    starts: Vec<u32>,
    rows: Vec<u32>,
    columns: Vec<u32>,
    pub(super) weights: Vec<f32>,
    user_ids: Option<Ids>,
    item_ids: Option<Ids>,
}

/// The ids of a file: whole numbers ascending, then text. An id's row is its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// `user` or `item`, for error messages.
    kind: &'static str,
    raw: Vec<String>,
}

impl Ids {
    /// From ids in strictly ascending order.
    pub(crate) fn new(kind: &'static str, raw: Vec<String>) -> Self {
        Ids { kind, raw }
    }

    /// The row of an id.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an id not seen in training, with its neighbours in the order.
    pub fn row(&self, id: impl ToString) -> Result<u32> {
        let id = id.to_string();
        self.raw.binary_search_by(|raw| compare_ids(raw, &id)).map(|row| row as u32).map_err(|_| {
            let ends = [self.raw.first(), self.raw.last()].map(|id| id.map_or("", String::as_str));
            let known = format!("{} ids, from {} to {}", self.raw.len(), ends[0], ends[1]);
            Error::Unknown { kind: self.kind.into(), found: id, known }
        })
    }

    /// The id of each row.
    pub fn raw(&self) -> &[String] {
        &self.raw
    }
}

impl Interactions {
    /// A hash that other interactions share only by chance.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut all = Fingerprint::new();
        all.add_all(&[self.users, self.items]);
        all.add_all(&self.starts);
        all.add_all(&self.columns);
        all.add_all(&self.weights);
        all.value()
    }

    /// Builds interactions from pairs (user, item), each of weight 1, in any order.
    ///
    /// # Errors
    /// [`Error::Input`] for an index out of range or a duplicate pair, [`Error::Option`] for a size
    /// of 0 or one that does not fit 32 bits.
    pub fn new(users: usize, items: usize, pairs: &[(u32, u32)]) -> Result<Self> {
        let weighted: Vec<(u32, u32, f32)> =
            pairs.iter().map(|&(user, item)| (user, item, 1.0)).collect();
        Self::weighted(users, items, &weighted)
    }

    /// Builds interactions from triples (user, item, signed weight), in any order.
    ///
    /// # Errors
    /// As [`Interactions::new`], and [`Error::Input`] for a weight that is 0, NaN or infinite.
    pub fn weighted(users: usize, items: usize, triples: &[(u32, u32, f32)]) -> Result<Self> {
        let (users, items) = (size("users", users)?, size("items", items)?);
        if u32::try_from(triples.len()).is_err() {
            return Err(Error::option("interactions", "length", triples.len(), "below 2³²"));
        }
        for (index, &(user, item, weight)) in triples.iter().enumerate() {
            let refused = |name: &str, found: String, allowed: String| Error::Input {
                operation: "interactions".into(),
                name: format!("{name} of number {index}"),
                found: format!("is {found}"),
                allowed,
            };
            if user >= users {
                return Err(refused(
                    "the user",
                    user.to_string(),
                    format!("it must be 0 to {}", users - 1),
                ));
            }
            if item >= items {
                return Err(refused(
                    "the item",
                    item.to_string(),
                    format!("it must be 0 to {}", items - 1),
                ));
            }
            if !weight.is_finite() || weight == 0.0 {
                return Err(refused(
                    "the weight",
                    weight.to_string(),
                    "it must be finite and not 0".into(),
                ));
            }
        }
        let mut order: Vec<u32> = (0..triples.len() as u32).collect();
        let pair = |&index: &u32| (triples[index as usize].0, triples[index as usize].1);
        order.sort_by_key(pair); // stable: the earlier of duplicate pairs comes first
        let twice =
            order.windows(2).filter(|two| pair(&two[0]) == pair(&two[1])).min_by_key(|two| two[1]);
        if let Some([first, second]) = twice {
            let (user, item) = pair(second);
            return Err(Error::Input {
                operation: "interactions".into(),
                name: format!("number {second}"),
                found: format!("is user {user} and item {item} again, as number {first}"),
                allowed: "a pair stands there once; add up their weights".into(),
            });
        }
        Ok(Self::sorted(users, items, order.iter().map(|&index| triples[index as usize])))
    }

    /// From a file's ratings: those of at least `min_rating` become interactions of weight 1; the
    /// others are dropped, or with `keep_disliked` become interactions of weight −1. A file without
    /// ratings contributes every row, weighted by its value; ratings are weighted by their counts,
    /// if any: [`Interactions::with_confidence`] turns these into weights. Users and items without
    /// interactions are dropped; the rest are numbered by ascending id.
    ///
    /// # Errors
    /// [`Error::Option`] for a `min_rating` that is NaN or that no rating reaches.
    #[cfg(feature = "data")]
    pub fn from_ratings(
        ratings: &crate::data::Ratings,
        min_rating: f32,
        keep_disliked: bool,
    ) -> Result<Self> {
        let likes = |place: usize| !ratings.has_ratings || ratings.ratings[place] >= min_rating;
        let places: Vec<usize> =
            (0..ratings.lines.len()).filter(|&place| keep_disliked || likes(place)).collect();
        let best = ratings.ratings.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if ratings.has_ratings && (min_rating.is_nan() || min_rating > best) {
            let allowed =
                format!("at most {best}, the highest of {} rating(s)", ratings.lines.len());
            return Err(Error::option("interactions", "min_rating", min_rating, &allowed));
        }
        let (users, user_rows) =
            remaining("user", &ratings.user_ids, places.iter().map(|&place| ratings.users[place]));
        let (items, item_rows) =
            remaining("item", &ratings.item_ids, places.iter().map(|&place| ratings.items[place]));
        let triple = |&place: &usize| {
            let count = ratings.weights.as_ref().map_or(1.0, |weights| weights[place]);
            let weight = match (ratings.has_ratings, likes(place)) {
                (false, _) => ratings.ratings[place],
                (true, true) => count,
                (true, false) => -count,
            };
            (
                user_rows[ratings.users[place] as usize],
                item_rows[ratings.items[place] as usize],
                weight,
            )
        };
        let triples: Vec<(u32, u32, f32)> = places.iter().map(triple).collect();
        let interactions = Self::weighted(users.raw.len(), items.raw.len(), &triples)?;
        Ok(interactions.with_ids(Some(users), Some(items)))
    }

    /// From ordered triples within the sizes.
    fn sorted(users: u32, items: u32, triples: impl Iterator<Item = (u32, u32, f32)>) -> Self {
        let mut starts = vec![0; users as usize + 1];
        let (mut rows, mut columns, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for (user, item, weight) in triples {
            starts[user as usize + 1] += 1;
            rows.push(user);
            columns.push(item);
            weights.push(weight);
        }
        for user in 0..users as usize {
            starts[user + 1] += starts[user];
        }
        Interactions {
            users,
            items,
            starts,
            rows,
            columns,
            weights,
            user_ids: None,
            item_ids: None,
        }
    }

    pub(crate) fn with_ids(mut self, users: Option<Ids>, items: Option<Ids>) -> Self {
        (self.user_ids, self.item_ids) = (users, items);
        self
    }

    /// From the rows of a saved file; `None` if they are inconsistent.
    pub(crate) fn from_rows(
        items: u32,
        starts: &[u32],
        columns: &[u32],
        weights: &[f32],
    ) -> Option<Self> {
        let users = starts.len().checked_sub(1)?;
        let whole = starts[0] == 0
            && starts[users] as usize == columns.len()
            && columns.len() == weights.len();
        if !whole || starts.windows(2).any(|two| two[0] > two[1]) {
            return None;
        }
        let of = |user: usize| starts[user] as usize..starts[user + 1] as usize;
        let triples: Vec<(u32, u32, f32)> = (0..users)
            .flat_map(|user| {
                of(user).map(move |place| (user as u32, columns[place], weights[place]))
            })
            .collect();
        Self::weighted(users, items as usize, &triples).ok()
    }

    /// Number of users, with or without items.
    pub fn users(&self) -> usize {
        self.users as usize
    }

    /// Number of items, with or without interactions.
    pub fn items(&self) -> usize {
        self.items as usize
    }

    /// Number of interactions.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if there are no interactions.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Index range of a user's interactions; empty for a user out of range.
    pub(crate) fn range(&self, user: usize) -> Range<usize> {
        if user < self.users() {
            self.starts[user] as usize..self.starts[user + 1] as usize
        } else {
            0..0
        }
    }

    /// Items of a user, ascending; empty for a user out of range.
    pub fn of(&self, user: usize) -> &[u32] {
        &self.columns[self.range(user)]
    }

    /// The signed weights of a user's items.
    pub fn weights_of(&self, user: usize) -> &[f32] {
        &self.weights[self.range(user)]
    }

    /// All interactions as (user, item, weight), ordered by user, then by item.
    pub fn triples(&self) -> impl Iterator<Item = (u32, u32, f32)> + '_ {
        (0..self.len()).map(|place| (self.rows[place], self.columns[place], self.weights[place]))
    }

    /// Users without any item.
    pub fn users_without_items(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.users()).filter(|&user| self.range(user).is_empty())
    }

    /// The users' ids in the source file, if any.
    pub fn user_ids(&self) -> Option<&Ids> {
        self.user_ids.as_ref()
    }

    /// The items' ids in the source file, if any.
    pub fn item_ids(&self) -> Option<&Ids> {
        self.item_ids.as_ref()
    }

    /// View for the sampler.
    pub fn known(&self) -> Known<'_> {
        Known {
            starts: &self.starts,
            items: &self.columns,
            users: &self.rows,
            weights: &self.weights,
            item_count: self.items,
        }
    }

    /// Splits into the interactions not held out and those held out.
    pub(super) fn parted(&self, held_out: &[bool]) -> (Self, Self) {
        let part = |wanted: bool| {
            let kept = self
                .triples()
                .zip(held_out)
                .filter(|(_, out)| **out == wanted)
                .map(|(triple, _)| triple);
            Self::sorted(self.users, self.items, kept)
                .with_ids(self.user_ids.clone(), self.item_ids.clone())
        };
        (part(false), part(true))
    }

    /// Interactions of positive weight.
    pub(crate) fn liked(&self) -> Self {
        let disliked: Vec<bool> = self.weights.iter().map(|&weight| weight < 0.0).collect();
        self.parted(&disliked).0
    }

    /// Union of both; a pair in both takes the weight from `other`.
    pub(crate) fn united(&self, other: &Self) -> Self {
        let mut triples = Vec::with_capacity(self.len() + other.len());
        for user in 0..self.users() {
            let theirs = other.of(user);
            let own = self.of(user).iter().zip(self.weights_of(user));
            let mut row: Vec<(u32, f32)> =
                theirs.iter().copied().zip(other.weights_of(user).iter().copied()).collect();
            row.extend(
                own.filter(|(item, _)| theirs.binary_search(item).is_err())
                    .map(|(&item, &weight)| (item, weight)),
            );
            row.sort_unstable_by_key(|&(item, _)| item);
            triples.extend(row.into_iter().map(|(item, weight)| (user as u32, item, weight)));
        }
        let ids = |own: &Option<Ids>, theirs: &Option<Ids>| theirs.clone().or_else(|| own.clone());
        Self::sorted(self.users, self.items, triples.into_iter())
            .with_ids(ids(&self.user_ids, &other.user_ids), ids(&self.item_ids, &other.item_ids))
    }
}

/// Checks that a number of users, items or features is at least 1 and below
/// [`super::sampling::NO_ITEM`].
pub(crate) fn size(name: &str, found: usize) -> Result<u32> {
    match u32::try_from(found) {
        Ok(size) if size > 0 && size < u32::MAX => Ok(size),
        _ => Err(Error::option("interactions", name, found, "> 0 and below 2³² − 1")),
    }
}

/// The remaining ids, and the row of each original id among them.
#[cfg(feature = "data")]
fn remaining(
    kind: &'static str,
    ids: &[String],
    places: impl Iterator<Item = u32>,
) -> (Ids, Vec<u32>) {
    let mut is_left = vec![false; ids.len()];
    places.for_each(|place| is_left[place as usize] = true);
    let mut next = 0;
    let rows = is_left.iter().map(|left| {
        next += u32::from(*left);
        next.saturating_sub(1)
    });
    let rows = rows.collect();
    let raw =
        ids.iter().zip(&is_left).filter(|(_, left)| **left).map(|(id, _)| id.clone()).collect();
    (Ids::new(kind, raw), rows)
}
