//! Lists on the CPU: the unmasked items gathered into slices, and functions shared by the pairwise
//! losses.

use std::ops::Range;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::templates::rowwise::rows::Row;

/// The weight of a pair of items. Treated as a constant in the derivative of the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lambda {
    /// Constant weight 1.
    #[default]
    None,
    /// |y_i − y_j|.
    LabelDiff,
    /// |ΔNDCG|: the change of the normalised discounted cumulative gain if the two items swap
    /// places.
    Ndcg,
}

impl Lambda {
    pub(crate) fn constant(self) -> (&'static str, f64) {
        let number = match self {
            Lambda::None => 0.0,
            Lambda::LabelDiff => 1.0,
            Lambda::Ndcg => 2.0,
        };
        ("LAMBDA", number)
    }
}

/// Gain of a target in a discounted cumulative gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// 2^y − 1.
    #[default]
    Exponential,
    /// y.
    Linear,
}

impl Gain {
    pub(crate) fn constant(self) -> (&'static str, f64) {
        ("GAIN", if self == Gain::Linear { 1.0 } else { 0.0 })
    }

    /// The gain of a target.
    pub(crate) fn of(self, truth: f64) -> f64 {
        if self == Gain::Linear { truth } else { gain(truth) }
    }
}

/// Discount of a rank in a discounted cumulative gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// 1/log₂(1 + rank).
    #[default]
    Log2,
    /// 1/rank.
    Reciprocal,
}

impl Discount {
    pub(crate) fn constant(self) -> (&'static str, f64) {
        ("DISCOUNT", if self == Discount::Reciprocal { 1.0 } else { 0.0 })
    }

    /// The discount of a place, counted from 0; 0 from `top_n` on, unless `top_n` is 0.
    fn of(self, place: usize, top_n: u32) -> f64 {
        match self {
            Discount::Log2 => discount(place, top_n),
            Discount::Reciprocal if top_n != 0 && place >= top_n as usize => 0.0,
            Discount::Reciprocal => 1.0 / (place as f64 + 1.0),
        }
    }
}

/// Options of the pairs of a list.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// Divisor of the scores.
    pub temperature: f64,
    /// The weight of each pair.
    pub lambda: Lambda,
    /// Number of top places with a nonzero discount; 0 for all.
    pub top_n: u32,
    /// Gain of a target.
    pub gain: Gain,
    /// Discount of a rank.
    pub discount: Discount,
    /// Share of the discounts of rank differences.
    pub relative: f64,
    /// True if gains are divided by the ideal sum.
    pub normalized: bool,
}

/// The value of a list, computed by `list(scores, truths, derivatives)` from the unmasked items:
/// those whose target is at least 0. `derivatives` is passed zeroed and receives the derivatives.
/// They are multiplied by `scale` and written to the gradient, which is 0 for padding.
#[inline(always)]
pub fn kept_items<R: Real>(
    row: &Row<'_, R, &[R]>,
    scale: R,
    gradient: &mut [R],
    list: impl FnOnce(&[R], &[R], &mut [R]) -> R,
) -> R {
    let dense = row.target;
    gradient.fill(R::ZERO);
    if (0..dense.len()).all(|item| row.keeps(item)) {
        let value = list(row.logits, dense, gradient);
        gradient.iter_mut().for_each(|partial| *partial = scale * *partial);
        return value;
    }
    let kept: Vec<usize> = (0..dense.len()).filter(|&item| row.keeps(item)).collect();
    let gather = |values: &[R]| kept.iter().map(|&item| values[item]).collect::<Vec<R>>();
    let mut derivatives = vec![R::ZERO; kept.len()];
    let value = if kept.is_empty() {
        R::ZERO
    } else {
        list(&gather(row.logits), &gather(dense), &mut derivatives)
    };
    kept.iter().zip(derivatives).for_each(|(&item, partial)| gradient[item] = scale * partial);
    value
}

/// A pairwise loss over the unmasked items of a list: [`over_pairs`] of [`kept_items`].
#[inline(always)]
pub fn over_pairs_of<R: Real>(
    pairs: &Pairs,
    row: &Row<'_, R, &[R]>,
    scale: R,
    gradient: &mut [R],
    pair: impl Fn(R) -> (R, R),
) -> R {
    let kept: Vec<R> = match row.item_weight {
        [] => Vec::new(),
        weights => {
            let kept = weights.iter().enumerate().filter(|(item, _)| row.keeps(*item));
            kept.map(|(_, &weight)| weight).collect()
        }
    };
    kept_items(
        row,
        scale,
        gradient,
        #[inline(always)]
        |scores, truths, derivatives| over_pairs(pairs, scores, truths, &kept, derivatives, pair),
    )
}

/// a − b of two scores: 0 if they are equal, even if both are the same infinity.
#[inline(always)]
pub fn difference<R: Real>(a: R, b: R) -> R {
    R::select(a == b, R::ZERO, a - b)
}

/// Indices of the values in descending order. Equal values keep their order.
pub fn descending<R: Real>(values: &[R]) -> Vec<usize> {
    if let Some(values) = R::as_single(values)
        && u32::try_from(values.len()).is_ok()
    {
        return descending_singles(values);
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    // −0 equals 0. NaN, which makes the list NaN anyway, needs a place too: a sort without a total
    // order panics.
    let key = |item: usize| values[item].to_f64() + 0.0;
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    order
}

/// As [`descending`]. Integer keys that contain the index have no ties and compare without a
/// branch. The branch would be mispredicted every other time if the scores are unordered.
fn descending_singles(values: &[f32]) -> Vec<usize> {
    let key = |(item, &value): (usize, &f32)| {
        // The order of `total_cmp`: the bits of a negative number grow as the number falls.
        let bits = (value + 0.0).to_bits();
        let falling = if bits >> 31 == 1 { bits } else { !(bits | 1 << 31) };
        (u64::from(falling) << 32) | item as u64
    };
    let mut keys: Vec<u64> = values.iter().enumerate().map(key).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| (key & u64::from(u32::MAX)) as usize).collect()
}

/// 2^y − 1, without cancellation near 0.
pub fn gain(truth: f64) -> f64 {
    (truth * std::f64::consts::LN_2).exp_m1()
}

/// The discounts of the first places, cached because every list uses the same ones.
static DISCOUNTS: LazyLock<[f64; 1024]> = LazyLock::new(|| std::array::from_fn(full_discount));

fn full_discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

/// 1/log₂(2 + place), where the first place is 0; 0 from `top_n` on, unless `top_n` is 0.
pub fn discount(place: usize, top_n: u32) -> f64 {
    if top_n != 0 && place >= top_n as usize {
        return 0.0;
    }
    DISCOUNTS.get(place).copied().unwrap_or_else(|| full_discount(place))
}

/// Σ gain · discount in the ideal order.
pub fn ideal<R: Real>(truths: &[R], top_n: u32, gain: Gain, discount: Discount) -> f64 {
    ideal_of(&gains(truths, &descending(truths), gain), top_n, discount)
}

/// Σ gain · discount of gains in the ideal order.
fn ideal_of(gains: &[f64], top_n: u32, discount: Discount) -> f64 {
    gains.iter().enumerate().map(|(place, gain)| gain * discount.of(place, top_n)).sum()
}

/// The gains in the order of the targets. One exponential per group of equal targets, because
/// grades are few.
fn gains<R: Real>(truths: &[R], by_truth: &[usize], gain: Gain) -> Vec<f64> {
    let mut last = (0.0, 0.0);
    let gain_of = |&item: &usize| {
        let truth = truths[item].to_f64();
        if truth != last.0 {
            last = (truth, gain.of(truth));
        }
        last.1
    };
    by_truth.iter().map(gain_of).collect()
}

/// Per-item terms of the pair weights, in the order of the targets.
struct PairWeights {
    lambda: Lambda,
    /// Gains divided by the ideal sum; the targets for label differences; empty if the pairs have
    /// no weights.
    gain: Vec<f64>,
    /// The discount of the place in the order of the scores; empty if the weights use gains alone.
    discount: Vec<f64>,
    /// The place in the order of the scores, if the weights use the distances of places.
    place: Vec<usize>,
    /// By how much the discount falls from each place to the next.
    steps: Vec<f64>,
    /// Share of the discounts of rank differences.
    relative: f64,
    /// Number of top places with a nonzero discount; 0 for all.
    top_n: usize,
    /// The weight of each item; empty if all are 1.
    item: Vec<f64>,
}

impl PairWeights {
    fn new<R: Real>(
        pairs: &Pairs,
        scores: &[R],
        truths: &[R],
        items: &[R],
        by_truth: &[usize],
    ) -> Self {
        let (mut gain, mut discounts) = (Vec::new(), Vec::new());
        let (mut place, mut steps) = (Vec::new(), Vec::new());
        match pairs.lambda {
            Lambda::None => {}
            Lambda::LabelDiff => gain.extend(by_truth.iter().map(|&item| truths[item].to_f64())),
            Lambda::Ndcg => {
                gain = gains(truths, by_truth, pairs.gain);
                let ideal = ideal_of(&gain, pairs.top_n, pairs.discount);
                let share = match pairs.normalized {
                    false => 1.0,
                    true if ideal == 0.0 => 0.0,
                    true => 1.0 / ideal,
                };
                gain.iter_mut().for_each(|gain| *gain *= share);
                let mut of_item = vec![0; scores.len()];
                for (place, item) in descending(scores).into_iter().enumerate() {
                    of_item[item] = place;
                }
                let of = |&item: &usize| pairs.discount.of(of_item[item], pairs.top_n);
                discounts.extend(by_truth.iter().map(of));
                if pairs.relative > 0.0 {
                    place.extend(by_truth.iter().map(|&item| of_item[item]));
                    let step = |k| pairs.discount.of(k, 0) - pairs.discount.of(k + 1, 0);
                    steps.extend((0..scores.len()).map(step));
                }
            }
        }
        let item = match items {
            [] => Vec::new(),
            items => by_truth.iter().map(|&item| items[item].to_f64()).collect(),
        };
        PairWeights {
            lambda: pairs.lambda,
            gain,
            discount: discounts,
            place,
            steps,
            relative: pairs.relative,
            top_n: pairs.top_n as usize,
            item,
        }
    }

    /// Writes the weights of the pairs of one item with a range of others.
    #[inline(always)]
    fn weigh<R: Real>(&self, above: usize, range: Range<usize>, weights: &mut [R]) {
        match self.lambda {
            Lambda::None => weights.fill(R::ONE),
            Lambda::LabelDiff => {
                let gain = self.gain[above];
                for (weight, &other) in weights.iter_mut().zip(&self.gain[range]) {
                    *weight = R::new((gain - other).abs());
                }
            }
            Lambda::Ndcg => {
                if !self.place.is_empty() {
                    self.weigh_by_distance(above, range, weights);
                    return self.weigh_item(above, weights);
                }
                let (gain, discount) = (self.gain[above], self.discount[above]);
                let others = self.gain[range.clone()].iter().zip(&self.discount[range]);
                for (weight, (&other, &of_other)) in weights.iter_mut().zip(others) {
                    *weight = R::new((gain - other).abs() * (discount - of_other).abs());
                }
            }
        }
        self.weigh_item(above, weights);
    }

    /// The weights of pairs by NDCG, in part by the distance of their ranks.
    fn weigh_by_distance<R: Real>(&self, above: usize, range: Range<usize>, weights: &mut [R]) {
        for (weight, other) in weights.iter_mut().zip(range) {
            let (place, of_other) = (self.place[above], self.place[other]);
            let is_open = self.top_n == 0 || place.min(of_other) < self.top_n;
            let distance = place.abs_diff(of_other);
            let step = if is_open && distance > 0 { self.steps[distance - 1] } else { 0.0 };
            let apart = (self.discount[above] - self.discount[other]).abs();
            let discount = (1.0 - self.relative) * apart + self.relative * step;
            *weight = R::new((self.gain[above] - self.gain[other]).abs() * discount);
        }
    }

    /// Multiplies the weights of an item's pairs by the item's.
    #[inline(always)]
    fn weigh_item<R: Real>(&self, above: usize, weights: &mut [R]) {
        if let Some(&item) = self.item.get(above) {
            weights.iter_mut().for_each(|weight| *weight *= R::new(item));
        }
    }
}

/// Number of elements in one step of the inner loop.
const BLOCK: usize = 256;

/// Number of items whose derivatives with respect to the others are accumulated in the loss's own
/// precision before they are added to the f64 totals. A single chain of 4,099 items lost four
/// digits of f32.
const RUN: usize = 64;

/// Σ w f(d) over the pairs with y_i > y_j, d = (s_i − s_j)/T; `pair(d)` is (f, f′). Adds the
/// derivatives to `derivatives`. `items` holds the weight of each item, which multiplies the pairs in
/// which it is i; it is empty if all are 1.
#[inline(always)]
pub fn over_pairs<R: Real>(
    pairs: &Pairs,
    scores: &[R],
    truths: &[R],
    items: &[R],
    derivatives: &mut [R],
    pair: impl Fn(R) -> (R, R),
) -> R {
    let order = descending(truths);
    let pair_weights = PairWeights::new(pairs, scores, truths, items, &order);
    if pairs.lambda == Lambda::None && items.is_empty() {
        over_weighted_pairs::<R, false>(
            pairs,
            scores,
            truths,
            &order,
            derivatives,
            &pair,
            &pair_weights,
        )
    } else {
        over_weighted_pairs::<R, true>(
            pairs,
            scores,
            truths,
            &order,
            derivatives,
            &pair,
            &pair_weights,
        )
    }
}

/// As [`over_pairs`], where `order` sorts the items by target. All weights are 1 unless `WEIGHTED`.
#[inline(always)]
fn over_weighted_pairs<R: Real, const WEIGHTED: bool>(
    pairs: &Pairs,
    scores: &[R],
    truths: &[R],
    order: &[usize],
    derivatives: &mut [R],
    pair: &impl Fn(R) -> (R, R),
    pair_weights: &PairWeights,
) -> R {
    let sorted: Vec<R> = order.iter().map(|&item| scores[item]).collect();
    let (mut lower_sums, mut totals) = (vec![R::ZERO; scores.len()], vec![0.0; scores.len()]);
    let inverse = R::new(1.0 / pairs.temperature);
    let mut total = 0.0;
    let mut below = scores.len();
    let (mut values, mut derivatives_of_block, mut weights) =
        ([R::ZERO; BLOCK], [R::ZERO; BLOCK], [R::ONE; BLOCK]);
    for above in (0..order.len()).rev() {
        // The first item with a lower target: the end of the last group of equal targets.
        if above + 1 < order.len() && truths[order[above]] != truths[order[above + 1]] {
            below = above + 1;
        }
        let score = sorted[above];
        let (mut value_lanes, mut derivative_lanes) = ([0.0; simd::LANES], [0.0; simd::LANES]);
        let mut start = below;
        while start < order.len() {
            let end = order.len().min(start + BLOCK);
            if WEIGHTED {
                // Computed for a whole block: a lookup per pair kept the loop below from
                // vectorising (196 ms instead of 35 at 4096 lists of 100).
                pair_weights.weigh(above, start..end, &mut weights[..end - start]);
            }
            let outputs =
                values.iter_mut().zip(&mut derivatives_of_block).zip(&mut lower_sums[start..end]);
            for ((((value, partial), lower_sum), &other), &weight) in
                outputs.zip(&sorted[start..end]).zip(&weights)
            {
                let weight = if WEIGHTED { weight } else { R::ONE };
                let (f, derivative) = pair(difference(score, other) * inverse);
                // A weight of 0 excludes the pair, even if its term is infinite.
                *value = R::select(weight == R::ZERO, R::ZERO, weight * f);
                *partial = R::select(weight == R::ZERO, R::ZERO, weight * derivative * inverse);
                *lower_sum -= *partial;
            }
            simd::add_to_lanes(&values[..end - start], &mut value_lanes);
            simd::add_to_lanes(&derivatives_of_block[..end - start], &mut derivative_lanes);
            start = end;
        }
        total += simd::fold_lanes(value_lanes);
        totals[above] += simd::fold_lanes(derivative_lanes);
        if above.is_multiple_of(RUN) {
            for (total, lower_sum) in totals.iter_mut().zip(&mut lower_sums) {
                *total += lower_sum.to_f64();
                *lower_sum = R::ZERO;
            }
        }
    }
    order.iter().zip(totals).for_each(|(&item, total)| derivatives[item] = R::new(total));
    R::new(total)
}

/// ln(e^a + e^b) in f64.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// A smoothed sum over ranks, −(1/total) Σ term(i, r_i), r_i = ½ + Σ_j σ((s_j − s_i)/T); 0 if the
/// total is 0. `term(i, r)` returns the term and its derivative with respect to the rank.
#[inline(always)]
pub fn over_smooth_ranks<R: Real>(
    scores: &[R],
    temperature: f64,
    total: f64,
    derivatives: &mut [R],
    term: impl Fn(usize, f64) -> (f64, f64),
) -> R {
    if total == 0.0 {
        return R::ZERO;
    }
    let inverse = R::new(1.0 / temperature);
    let mut value = 0.0;
    let mut by_rank_terms = Vec::with_capacity(scores.len());
    for (item, &score) in scores.iter().enumerate() {
        let rank = 0.5
            + simd::sum_blocks(
                scores.len(),
                #[inline(always)]
                |range, above: &mut [R]| {
                    for (slot, &other) in above.iter_mut().zip(&scores[range]) {
                        *slot = (difference(other, score) * inverse).sigmoid();
                    }
                },
            );
        let (own, by_rank) = term(item, rank);
        value -= own / total;
        by_rank_terms.push(R::new(-by_rank / (total * temperature)));
    }
    for ((&score, &own), partial) in scores.iter().zip(&by_rank_terms).zip(derivatives) {
        // dr_j/ds_i = σ′((s_i − s_j)/T)/T, and dr_i/ds_i is minus the sum of these over j.
        let sum = simd::sum_blocks(
            scores.len(),
            #[inline(always)]
            |range, steps: &mut [R]| {
                for ((slot, &other), &other_term) in
                    steps.iter_mut().zip(&scores[range.clone()]).zip(&by_rank_terms[range])
                {
                    let (_, high, low) = (difference(score, other) * inverse).logistic();
                    *slot = (other_term - own) * (high * low);
                }
            },
        );
        *partial = R::new(sum);
    }
    R::new(value)
}

/// Softmax in place.
#[inline(always)]
pub fn softmax<R: Real>(values: &mut [R]) {
    let maximum = simd::maximum(values);
    let total = simd::exp_in_place(values, maximum);
    values.iter_mut().for_each(|value| *value /= total);
}

/// Σ q (lse − s); writes p Σq − q with p = e^(s − lse) to `derivatives`. A virtual item has score
/// 0, and its weight is included in Σq. 0·(−∞) counts as 0; the derivative at a score of −∞ is 0.
#[inline(always)]
pub fn softmax_against<R: Real>(
    scores: &[R],
    weights: &[R],
    virtual_weight: Option<f64>,
    derivatives: &mut [R],
) -> R {
    let maximum = simd::maximum(scores);
    // If every score is −∞ there is no finite maximum: any finite number avoids (−∞) − (−∞).
    let maximum = R::select(maximum == R::NEG_INFINITY, R::ZERO, maximum);
    let maximum = R::select(virtual_weight.is_some() && maximum < R::ZERO, R::ZERO, maximum);
    derivatives.copy_from_slice(scores);
    let mut total = simd::exp_in_place(derivatives, maximum);
    let mut mass = R::new(simd::sum(weights));
    let mut dot = R::new(simd::sum_blocks(
        scores.len(),
        #[inline(always)]
        |range, products: &mut [R]| {
            let inputs = scores[range.clone()].iter().zip(&weights[range]);
            for (product, (&score, &weight)) in products.iter_mut().zip(inputs) {
                *product = R::select(weight == R::ZERO, R::ZERO, weight * (score - maximum));
            }
        },
    ));
    if let Some(weight) = virtual_weight {
        total += (-maximum).exp();
        mass += R::new(weight);
        dot -= R::new(weight) * maximum;
    }
    let log_total = R::select(total == R::ZERO, R::ZERO, total.ln());
    let inverse = R::select(total == R::ZERO, R::ZERO, mass / total);
    for ((partial, &weight), &score) in derivatives.iter_mut().zip(weights).zip(scores) {
        *partial = R::select(score == R::NEG_INFINITY, R::ZERO, *partial * inverse - weight);
    }
    mass * log_total - dot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    #[test]
    fn f32_is_ordered_as_f64_is_with_ties_zeros_infinities_and_nan() {
        let special = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            -f32::NAN,
            1e-45,
            -1e-45,
            f32::MAX,
            f32::MIN,
        ];
        let mut random = Random::new(5, 0);
        for length in [0, 1, 2, 37, 1000] {
            let values: Vec<f32> = (0..length)
                .map(|_| match random.uniform() {
                    u if u < 0.3 => special[(random.uniform() * special.len() as f64) as usize],
                    u if u < 0.6 => (8.0 * u as f32).floor() - 3.0,
                    _ => random.normal() as f32,
                })
                .collect();
            let wide: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            assert_eq!(descending(&values), descending(&wide), "{length} values");
        }
        assert_eq!(descending(&[1.0_f32, 3.0, -2.0, 3.0]), [1, 3, 0, 2]);
    }

    #[test]
    fn discounts_are_those_of_the_formula_on_both_sides_of_the_table_s_end() {
        for place in [0, 1, 2, 1022, 1023, 1024, 1025, 100_000] {
            assert_eq!(discount(place, 0), 1.0 / (2.0 + place as f64).log2(), "place {place}");
            assert_eq!(
                discount(place, 1024),
                if place < 1024 { discount(place, 0) } else { 0.0 },
                "place {place}"
            );
        }
    }
}
