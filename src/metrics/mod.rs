//! Metrics of predictions: regression errors, deviances, calibration, confusion matrices, those that
//! [`Model::evaluate_with`](crate::Model::evaluate_with) takes by name, and NDCG and mean reciprocal
//! rank for rankings.
//!
//! Items of a group are contiguous, as in [`crate::Targets::grouped`]. They are ranked by
//! descending score, ties in input order; an item with negative relevance is ignored. Everything is
//! computed in f64 on the host.

mod confusion;
mod deviance;
mod measure;
mod probabilities;
mod regression;

pub use confusion::Confusion;
pub use deviance::{d2_pinball, d2_tweedie, pinball, tweedie_deviance};
pub use measure::Metric;
pub(crate) use measure::{Truth, measure};
pub use probabilities::{
    CALIBRATION_BINS, brier_score, calibration_error, crps_normal, log_loss,
    ranked_probability_score,
};
pub use regression::{Regression, regression};

use crate::templates::listwise::cpu::{Discount, Gain, descending, discount, gain, ideal};
use crate::{Error, Result};

/// Value of a group without relevant items, for which every order is equally good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoneRelevant {
    /// 1, as LightGBM and XGBoost count it for NDCG.
    #[default]
    One,
    /// 0, as TF-Ranking and scikit-learn count it.
    Zero,
    /// Skipped in the mean; if no group remains, the mean is NaN.
    Skip,
}

/// Normalized discounted cumulative gain of the first `at` positions, averaged over the groups.
///
/// For each group, Σ (2^y − 1)/log₂(1 + rank) over the items with ranks 1 to `at` by score, divided
/// by that sum for the best order. A group without an item of y > 0 counts as given by
/// `none_relevant`. `scores` and `relevance` have one number per item, `groups` the number of items
/// of each group; `at` is at least 1, `usize::MAX` for all positions. NaN is propagated.
///
/// # Errors
/// [`Error::Shape`] if lengths differ or the groups do not cover all items, [`Error::Option`] for
/// an `at` of 0, [`Error::Empty`] without groups.
///
/// scikit-learn's `ndcg_score` uses y as the gain and averages over ties; LightGBM's `ndcg` is this
/// one.
///
/// Source: K. Järvelin and J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002;
/// the gain 2^y − 1 is from C. Burges et al., Learning to rank using gradient descent, 2005.
///
/// # Example
/// ```
/// use gradus::metrics::{NoneRelevant, ndcg};
///
/// let (scores, relevance) = ([0.2, 0.9, 0.5, 0.1, 0.3], [2.0, 0.0, 1.0, 0.0, 0.0]);
/// // The first group's order is 0, 1, 2 where 2, 1, 0 is best; in the second nothing is relevant.
/// let first = (1.0 / 3.0_f64.log2() + 3.0 / 2.0) / (3.0 + 1.0 / 3.0_f64.log2());
/// let found = ndcg(&scores, &relevance, &[3, 2], 5, NoneRelevant::One)?;
/// assert!((found - (first + 1.0) / 2.0).abs() < 1e-15); // 0.7934
/// assert_eq!(ndcg(&scores, &relevance, &[3, 2], 1, NoneRelevant::Skip)?, 0.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn ndcg(
    scores: &[f32],
    relevance: &[f32],
    groups: &[usize],
    at: usize,
    none_relevant: NoneRelevant,
) -> Result<f64> {
    if at == 0 {
        return Err(Error::option("ndcg", "at", 0, "at least 1, the places that count"));
    }
    let places = u32::try_from(at).unwrap_or(u32::MAX);
    mean("ndcg", [scores, relevance], groups, none_relevant, |scores, relevance| {
        let order = descending(scores).into_iter().enumerate().take(at);
        let found: f64 =
            order.map(|(place, item)| gain(relevance[item].into()) * discount(place, places)).sum();
        found / ideal(relevance, places, Gain::Exponential, Discount::Log2)
    })
}

/// Mean reciprocal rank: 1/rank of the first relevant item (y > 0) by score, averaged over the
/// groups.
///
/// Arguments, order and errors as [`ndcg`]. Other libraries use [`NoneRelevant::Zero`] for a group
/// without relevant items.
///
/// # Errors
/// As [`ndcg`].
///
/// Source: E. Voorhees, The TREC-8 question answering track report, 1999.
///
/// # Example
/// ```
/// use gradus::metrics::{NoneRelevant, mrr};
///
/// let (scores, relevance) = ([0.2, 0.9, 0.5, 0.1, 0.3], [2.0, 0.0, 1.0, 0.0, 1.0]);
/// assert_eq!(mrr(&scores, &relevance, &[3, 2], NoneRelevant::Zero)?, 0.75); // (1/2 + 1) / 2
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn mrr(
    scores: &[f32],
    relevance: &[f32],
    groups: &[usize],
    none_relevant: NoneRelevant,
) -> Result<f64> {
    mean("mrr", [scores, relevance], groups, none_relevant, |scores, relevance| {
        let rank = descending(scores).into_iter().position(|item| relevance[item] > 0.0);
        rank.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0))
    })
}

/// The mean of `value(scores, relevance)` over the groups with a relevant item, and `none_relevant`
/// for the others.
fn mean(
    operation: &str,
    [scores, relevance]: [&[f32]; 2],
    groups: &[usize],
    none_relevant: NoneRelevant,
    value: impl Fn(&[f32], &[f32]) -> f64,
) -> Result<f64> {
    check(operation, [scores, relevance], groups)?;
    let (mut sum, mut count, mut start) = (0.0, 0_usize, 0);
    for &size in groups {
        let items = start..start + size;
        start += size;
        // Not `>= 0`: NaN must not be dropped as padding.
        let kept: Vec<usize> =
            items.filter(|&item| relevance[item].is_nan() || relevance[item] >= 0.0).collect();
        let [scores, relevance] =
            [scores, relevance].map(|of| kept.iter().map(|&item| of[item]).collect::<Vec<f32>>());
        let (own, weight) = if scores.iter().chain(&relevance).any(|number| number.is_nan()) {
            (f64::NAN, 1)
        } else if relevance.iter().any(|&y| y > 0.0) {
            (value(&scores, &relevance), 1)
        } else {
            match none_relevant {
                NoneRelevant::One => (1.0, 1),
                NoneRelevant::Zero => (0.0, 1),
                NoneRelevant::Skip => (0.0, 0),
            }
        };
        sum += own;
        count += weight;
    }
    Ok(sum / count as f64)
}

fn check(operation: &str, [scores, relevance]: [&[f32]; 2], groups: &[usize]) -> Result<()> {
    let shape = |found: String, allowed: &str| Error::Shape {
        operation: operation.into(),
        found,
        allowed: allowed.into(),
    };
    if scores.len() != relevance.len() {
        let found = format!("scores are [{}] but relevance is [{}]", scores.len(), relevance.len());
        return Err(shape(found, "there must be one of each for an item"));
    }
    if groups.is_empty() {
        return Err(Error::Empty { operation: operation.into(), name: "groups".into() });
    }
    let sum = groups.iter().fold(0_usize, |sum, &size| sum.saturating_add(size));
    if sum != scores.len() {
        let found = format!(
            "{} groups have {sum} items in all but scores are [{}]",
            groups.len(),
            scores.len()
        );
        return Err(shape(found, "the groups must be all items"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    /// From the definition; the ideal is the largest DCG over all orders of the items.
    fn brute_force(scores: &[f32], relevance: &[f32], at: usize) -> f64 {
        let dcg = |order: &[usize]| -> f64 {
            let term = |(place, &item): (usize, &usize)| {
                (2.0_f64.powf(relevance[item].into()) - 1.0) / (place as f64 + 2.0).ln()
                    * 2.0_f64.ln()
            };
            order.iter().enumerate().take(at).map(term).sum()
        };
        // An item's rank: the number of items with a larger score, or an equal one earlier in the
        // input.
        let mut by_score = vec![0; scores.len()];
        for item in 0..scores.len() {
            let is_before = |other: &usize| {
                scores[*other] > scores[item] || (scores[*other] == scores[item] && *other < item)
            };
            by_score[(0..scores.len()).filter(is_before).count()] = item;
        }
        let mut best = 0.0_f64;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        permute(&mut order, 0, &mut |order| best = best.max(dcg(order)));
        dcg(&by_score) / best
    }

    fn permute(order: &mut Vec<usize>, fixed: usize, visit: &mut impl FnMut(&[usize])) {
        if fixed == order.len() {
            visit(order);
        }
        for place in fixed..order.len() {
            order.swap(fixed, place);
            permute(order, fixed + 1, visit);
            order.swap(fixed, place);
        }
    }

    #[test]
    fn ndcg_is_that_of_its_definition_over_all_orders() {
        let mut random = Random::new(3, 0);
        for _ in 0..60 {
            let items = 2 + (random.next_u32() % 5) as usize;
            // Few distinct scores, so that some tie.
            let scores: Vec<f32> = (0..items).map(|_| (random.next_u32() % 4) as f32).collect();
            let mut relevance: Vec<f32> =
                (0..items).map(|_| (random.next_u32() % 4) as f32).collect();
            relevance[0] = relevance[0].max(1.0);
            for at in [1, 2, 3, 5, usize::MAX] {
                let found = ndcg(&scores, &relevance, &[items], at, NoneRelevant::One).unwrap();
                let expected = brute_force(&scores, &relevance, at);
                // At most seven terms on each side, each rounded a few times at 1.1e-16.
                assert!(
                    (found - expected).abs() < 1e-14,
                    "{scores:?} {relevance:?} at {at}: {found}, not {expected}"
                );
            }
        }
    }

    /// By hand: the order is b, c, a; gains 3, 0, 1 → DCG@2 = 3/1 + 0, ideal 3 + 1/log₂3 = 3.63093;
    /// DCG@3 = 3 + 1/2.
    #[test]
    fn a_list_worked_by_hand_and_its_conventions() {
        let (scores, relevance) = ([0.0, 2.0, 1.0], [1.0, 2.0, 0.0]);
        let at = |at| ndcg(&scores, &relevance, &[3], at, NoneRelevant::One).unwrap();
        assert_eq!(at(1), 1.0);
        assert!((at(2) - 0.826_234_6).abs() < 1e-6, "{}", at(2)); // 3 / 3.6309298
        assert!((at(3) - 0.963_940_4).abs() < 1e-6, "{}", at(3)); // 3.5 / 3.6309298
        let padded =
            ndcg(&[0.0, 9.0, 2.0, 1.0], &[1.0, -1.0, 2.0, 0.0], &[4], 3, NoneRelevant::One)
                .unwrap();
        assert_eq!(padded, at(3));
        for (none, expected) in
            [(NoneRelevant::One, 1.0), (NoneRelevant::Zero, 0.5), (NoneRelevant::Skip, 1.0)]
        {
            let found = ndcg(&[3.0, 1.0, 2.0], &[0.0, 0.0, 1.0], &[2, 1], 3, none).unwrap();
            assert_eq!(found, expected, "{none:?}");
        }
        assert!(ndcg(&[1.0], &[0.0], &[1], 3, NoneRelevant::Skip).unwrap().is_nan());
        assert_eq!(
            mrr(&[1.0, 2.0, 3.0, 4.0], &[2.0, 0.0, 0.0, 0.0], &[3, 1], NoneRelevant::Skip).unwrap(),
            1.0 / 3.0
        );
        assert_eq!(mrr(&[1.0, 1.0], &[0.0, 1.0], &[2], NoneRelevant::Zero).unwrap(), 0.5); // tie
    }

    #[test]
    fn nan_comes_out_and_inputs_of_other_sizes_are_refused() {
        for (scores, relevance) in [([f32::NAN, 1.0], [1.0, 0.0]), ([0.0, 1.0], [0.0, f32::NAN])] {
            assert!(ndcg(&scores, &relevance, &[2], 3, NoneRelevant::One).unwrap().is_nan());
            assert!(mrr(&scores, &relevance, &[2], NoneRelevant::Zero).unwrap().is_nan());
        }
        let message = |relevance: &[f32], groups: &[usize], at| {
            ndcg(&[1.0, 2.0], relevance, groups, at, NoneRelevant::One).unwrap_err().to_string()
        };
        assert_eq!(
            message(&[1.0], &[2], 1),
            "ndcg: scores are [2] but relevance is [1]; there must be one of each for an item"
        );
        assert!(
            message(&[1.0, 0.0], &[1], 1).contains("1 groups have 1 items in all"),
            "{}",
            message(&[1.0, 0.0], &[1], 1)
        );
        assert!(
            message(&[1.0, 0.0], &[2], 0).contains("at is 0"),
            "{}",
            message(&[1.0, 0.0], &[2], 0)
        );
        assert!(
            message(&[1.0, 0.0], &[], 1).contains("groups hold no rows"),
            "{}",
            message(&[1.0, 0.0], &[], 1)
        );
    }
}
