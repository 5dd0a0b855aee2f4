//! The yardstick of a recommender: the same items for everybody, the most chosen first.

use crate::Result;
use crate::recommend::best::{Scored, best};
use crate::recommend::interactions::Interactions;
use crate::recommend::metrics::{Convention, Metrics};

/// How well the held-out items are ranked by how many users chose an item in `train`, which are left out of a user's own list; of items that as
/// many chose the first leads. Disliked items count neither way. What a model has learned is what it does better.
///
/// ```
/// use gradus::recommend::{Interactions, popularity};
///
/// let train = Interactions::new(3, 3, &[(0, 0), (1, 0), (1, 1), (2, 2)])?;
/// let test = Interactions::new(3, 3, &[(2, 0), (0, 2)])?;
/// let found = popularity(&test, &train, 1)?;
/// // Item 0 leads user 2's list; user 0 has it already and gets item 1 before item 2.
/// assert_eq!((found.precision_at_k, found.mrr), (0.5, 0.75));
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`crate::recommend::Metrics::new`].
pub fn popularity(test: &Interactions, train: &Interactions, k: usize) -> Result<Metrics> {
    let test = test.liked();
    let items = test.items().max(train.items());
    let mut place = vec![0_u32; items];
    best(&counts(train, items), items, &[])
        .iter()
        .zip(0..)
        .for_each(|(found, at)| place[found.item as usize] = at);
    let mut ranks = Vec::with_capacity(test.len());
    for user in 0..test.users() {
        let own = if user < train.users() { train.of(user) } else { &[] };
        let mut before: Vec<u32> = own.iter().map(|&item| place[item as usize]).collect();
        before.sort_unstable();
        for &item in test.of(user) {
            let at = place[item as usize];
            ranks.push(at - before.partition_point(|&other| other < at) as u32);
        }
    }
    Metrics::new(Convention::LightFm, &test, Some(train), &ranks, k)
}

/// The `n` items that most users have chosen, without those of `left_out` (ascending): what to answer a user of whom nothing is known. The score
/// is the number of users; of items that as many chose the first leads.
///
/// ```
/// use gradus::recommend::{Interactions, most_popular};
///
/// let chosen = Interactions::new(3, 3, &[(0, 0), (0, 1), (1, 1), (2, 2)])?;
/// let found = most_popular(&chosen, 2, &[]);
/// assert_eq!((found[0].item, found[0].score, found[1].item), (1, 2.0, 0));
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn most_popular(chosen: &Interactions, n: usize, left_out: &[u32]) -> Vec<Scored> {
    best(&counts(chosen, chosen.items()), n, left_out)
}

/// By how many users each of so many items was chosen.
fn counts(chosen: &Interactions, items: usize) -> Vec<f32> {
    let mut counts = vec![0_u32; items];
    chosen
        .triples()
        .filter(|(_, _, weight)| *weight > 0.0)
        .for_each(|(_, item, _)| counts[item as usize] += 1);
    counts.into_iter().map(|count| count as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_has_does_not_stand_before_the_rest() {
        let train = Interactions::new(2, 4, &[(0, 3), (0, 2), (1, 3), (1, 2)]).unwrap();
        let test = Interactions::new(2, 4, &[(0, 0), (1, 1)]).unwrap();
        let found = popularity(&test, &train, 1).unwrap();
        // Of items 0 and 1 nobody chose any: the first leads.
        assert_eq!((found.precision_at_k, found.mrr, found.auc), (0.5, 0.75, 0.5));
        assert!(popularity(&test, &train, 0).is_err());
    }
}
