//! How well held-out items are ranked: LightFM's definitions, and implicit's.

use crate::recommend::interactions::Interactions;
use crate::{Error, Result};

/// Whose definitions are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// Means over users; precision is hits / k.
    #[default]
    LightFm,
    /// Precision is Σ hits / Σ min(k, test items) over all users, and the AUC looks at the first k only, with the rest at chance.
    Implicit,
}

/// Means over the users that have test items.
///
/// With the ranks r₀ < r₁ < … (from 0) of a user's t test items among the items that are not left out, of which `negatives` are no
/// test items:
///
/// | metric | LightFM | implicit |
/// |---|---|---|
/// | `precision_at_k` | hits / k, with hits = #(r < k) | Σ hits / Σ min(k, t) |
/// | `recall_at_k` | hits / t | the same |
/// | `auc` | mean of 1 − (rᵢ − i) / negatives, with the fraction at most 1; ½ without negatives | of the first k, the rest at chance; all items but t are negatives |
/// | `mrr` | 1 / (r₀ + 1) | the same |
/// | `map_at_k` | Σ over hits of (i + 1) / (rᵢ + 1), ÷ min(k, t) | the same |
/// | `ndcg_at_k` | Σ over hits of 1 / log₂(rᵢ + 2), ÷ its largest possible value | the same |
///
/// LightFM has neither MAP nor NDCG, implicit neither recall nor MRR; there one definition serves both.
///
/// ```
/// use gradus::recommend::{Convention, Interactions, Metrics};
///
/// let test = Interactions::new(1, 6, &[(0, 2), (0, 4)])?;
/// let metrics = Metrics::new(Convention::LightFm, &test, None, &[0, 3], 2)?; // ranked first and fourth
/// assert_eq!((metrics.precision_at_k, metrics.recall_at_k, metrics.mrr), (0.5, 0.5, 1.0));
/// assert_eq!(metrics.auc, 0.75); // none and two of the four others lie above them
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// How many users have test items.
    pub users: usize,
    /// The k of the others.
    pub k: usize,
    /// The share of test items among the first k.
    pub precision_at_k: f64,
    /// The share of the test items that are among the first k.
    pub recall_at_k: f64,
    /// How likely a test item ranks above another item.
    pub auc: f64,
    /// One by the place of the best test item.
    pub mrr: f64,
    /// Mean average precision.
    pub map_at_k: f64,
    /// Normalised discounted cumulative gain.
    pub ndcg_at_k: f64,
}

/// What metrics come to, summed over users.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Test items among the first k.
    pub hits: u64,
    pub recall: f64,
    /// By the convention that was asked for.
    pub auc: f64,
    pub reciprocal_rank: f64,
    pub average_precision: f64,
    pub ndcg: f64,
}

/// One user's test items.
struct User {
    /// Ascending.
    ranks: Vec<u32>,
    hits: usize,
    k: usize,
    items: usize,
    /// Items that are left out.
    excluded: usize,
}

impl Metrics {
    /// From the ranks of `test`, in its order, as [`crate::recommend::Model::predict_rank`] gives them with the same `train`.
    ///
    /// # Errors
    /// [`Error::Option`] for a `k` of 0, [`Error::Shape`] for another number of ranks, [`Error::Empty`] if no user has a test item.
    pub fn new(
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        ranks: &[u32],
        k: usize,
    ) -> Result<Self> {
        check(test, k)?;
        if ranks.len() != test.len() {
            return Err(Error::Shape {
                operation: "metrics".into(),
                found: format!(
                    "ranks are [{}] but test holds {} interactions",
                    ranks.len(),
                    test.len()
                ),
                allowed: "one rank for each".into(),
            });
        }
        let excluded = |user: usize| train.map_or(0, |train| train.of(user).len());
        let users: Vec<User> = (0..test.users())
            .filter(|&user| !test.of(user).is_empty())
            .map(|user| User::new(&ranks[test.range(user)], k, test.items(), excluded(user)))
            .collect();
        let sum = |value: fn(&User) -> f64| users.iter().map(value).sum::<f64>();
        let sums = Sums {
            hits: users.iter().map(|user| user.hits as u64).sum(),
            recall: sum(|user| user.hits as f64 / user.ranks.len() as f64),
            auc: sum(match convention {
                Convention::LightFm => User::auc,
                Convention::Implicit => User::auc_at_k,
            }),
            reciprocal_rank: sum(|user| 1.0 / (f64::from(user.ranks[0]) + 1.0)),
            average_precision: sum(User::average_precision),
            ndcg: sum(User::ndcg),
        };
        Ok(Self::from_sums(convention, test, k, &sums))
    }

    /// From sums over the users of `test`, of which one at least has an item.
    pub(crate) fn from_sums(
        convention: Convention,
        test: &Interactions,
        k: usize,
        sums: &Sums,
    ) -> Self {
        let counts =
            || (0..test.users()).map(|user| test.of(user).len()).filter(|&count| count > 0);
        let users = counts().count();
        let mean = |sum: f64| sum / users as f64;
        let places = match convention {
            Convention::LightFm => users as f64 * k as f64,
            Convention::Implicit => counts().map(|count| k.min(count)).sum::<usize>() as f64,
        };
        Metrics {
            users,
            k,
            precision_at_k: sums.hits as f64 / places,
            recall_at_k: mean(sums.recall),
            auc: mean(sums.auc),
            mrr: mean(sums.reciprocal_rank),
            map_at_k: mean(sums.average_precision),
            ndcg_at_k: mean(sums.ndcg),
        }
    }
}

/// Refuses what has no metrics.
pub(crate) fn check(test: &Interactions, k: usize) -> Result<()> {
    if k == 0 {
        return Err(Error::option("metrics", "k", k, "> 0"));
    }
    if test.is_empty() {
        return Err(Error::Empty { operation: "metrics".into(), name: "test interactions".into() });
    }
    Ok(())
}

impl User {
    fn new(ranks: &[u32], k: usize, items: usize, excluded: usize) -> Self {
        let mut ranks = ranks.to_vec();
        ranks.sort_unstable();
        let hits = ranks.iter().filter(|rank| (**rank as usize) < k).count();
        User { ranks, hits, k, items, excluded }
    }

    /// As many hits as there can be.
    fn most_hits(&self) -> usize {
        self.k.min(self.ranks.len())
    }

    fn auc(&self) -> f64 {
        let negatives = self.items.saturating_sub(self.excluded + self.ranks.len());
        if negatives == 0 {
            return 0.5;
        }
        // Of rᵢ items above, i are test items themselves. Where test items tie with each other, they count each other as above: no more
        // than all negatives are.
        let above = |(place, &rank): (usize, &u32)| {
            (rank as usize).saturating_sub(place).min(negatives) as f64 / negatives as f64
        };
        1.0 - self.ranks.iter().enumerate().map(above).sum::<f64>() / self.ranks.len() as f64
    }

    /// The area under the first k places, and a straight line from there: implicit's.
    fn auc_at_k(&self) -> f64 {
        let (positives, places) =
            (self.ranks.len() as f64, self.k.min(self.items - self.excluded.min(self.items)));
        let negatives = self.items as f64 - positives;
        if negatives == 0.0 {
            return 0.5;
        }
        let hits = self.hits.min(places);
        // A miss counts the hits above it; seen from the hits: each counts the misses below it.
        // Ties count against each other: two hits may have one rank, and the later one is then no miss below the earlier.
        let misses_below = |(place, &rank): (usize, &u32)| {
            places.saturating_sub(1 + rank as usize).saturating_sub(hits - 1 - place)
        };
        let area: usize = self.ranks[..hits].iter().enumerate().map(misses_below).sum();
        let misses = (places - hits) as f64;
        (area as f64 + (hits as f64 + positives) / 2.0 * (negatives - misses))
            / (positives * negatives)
    }

    fn average_precision(&self) -> f64 {
        let precision =
            |(place, &rank): (usize, &u32)| (place + 1) as f64 / (f64::from(rank) + 1.0);
        // The sum of nothing is −0.
        (0.0 + self.ranks[..self.hits].iter().enumerate().map(precision).sum::<f64>())
            / self.most_hits() as f64
    }

    fn ndcg(&self) -> f64 {
        let gain = |rank: f64| 1.0 / (rank + 2.0).log2();
        let ideal: f64 = (0..self.most_hits()).map(|place| gain(place as f64)).sum();
        (0.0 + self.ranks[..self.hits].iter().map(|&rank| gain(f64::from(rank))).sum::<f64>())
            / ideal
    }
}
