//! The yardstick of a recommender: the same items for everybody, the most chosen first.

use crate::Result;
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
    let (test, chosen) = (test.liked(), train.liked());
    let mut counts = vec![0_u32; test.items().max(train.items())];
    for user in 0..chosen.users() {
        chosen.of(user).iter().for_each(|&item| counts[item as usize] += 1);
    }
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&item| std::cmp::Reverse(counts[item]));
    let mut place = vec![0_u32; counts.len()];
    order.iter().enumerate().for_each(|(at, &item)| place[item] = at as u32);
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
