//! Slices of the rows in which the loss is high.

use ndarray::Array2;

use crate::data::shuffled_rows;
use crate::explain::checks::{check_losses, refused};
use crate::explain::student::{Sample, holm, welch};
use crate::{Error, Result};

const NAME: &str = "slices";

/// Cuts of a feature that are tried: between quantiles.
const CUTS: usize = 63;

/// Rows of a slice in the half that it is found on, at least.
const LEAST_ROWS: usize = 5;

/// Separates the halves of this file from other shuffles of the same seed.
const PURPOSE: u64 = 0x736c_6963_6573_2121;

/// Finds slices with a high loss: a shallow regression tree on the losses of the rows, as the error
/// tree of the Responsible AI toolbox, but on the loss itself and tested.
///
/// The rows are halved at random. The tree is grown on one half; each of its nodes that explains
/// enough of the variance of the loss is a candidate. Whether its mean loss is above that of the
/// other rows is tested on the other half, which the tree has not seen: Welch's t, one-sided, with
/// Holm's correction for the number of candidates (SliceFinder, Chung and others 2019, tests on the
/// rows that it searched).
#[derive(Clone, Debug, PartialEq)]
pub struct Slices {
    depth: usize,
    share: f64,
    gain: f64,
    level: f64,
    seed: u64,
}

/// A condition on a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Condition {
    /// The column.
    pub feature: usize,
    /// The feature lies above the threshold, or else not above it.
    pub above: bool,
    /// In the unit of the features that were given.
    pub threshold: f32,
}

/// Rows with a high loss: [`Slices::find`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Slice {
    /// All of them hold.
    pub conditions: Vec<Condition>,
    /// The rows of both halves.
    pub rows: Vec<usize>,
    /// Their mean loss on the half that they were not found on.
    pub mean_loss: f64,
    /// The mean loss of the other rows of that half.
    pub rest_loss: f64,
    /// The share of these rows in the loss of all rows.
    pub share_of_loss: f64,
    /// Welch's t of the difference of the two means.
    pub t: f64,
    /// One-sided, with Holm's correction.
    pub p: f64,
}

impl Default for Slices {
    fn default() -> Self {
        Slices { depth: 3, share: 0.01, gain: 0.05, level: 0.05, seed: 0 }
    }
}

impl Slices {
    /// Up to three conditions, at least 1 % of the rows and 5 % of the variance, a level of .05.
    pub fn new() -> Self {
        Self::default()
    }

    /// Conditions of a slice at most, 1 to 5 (default 3).
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Least share of the rows, in (0, 0.5] (default 0.01).
    pub fn least_share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Least share of the variance of the loss that a slice explains, in [0, 1) (default 0.05).
    pub fn least_gain(mut self, gain: f64) -> Self {
        self.gain = gain;
        self
    }

    /// Largest corrected p, in (0, 1) (default 0.05).
    pub fn level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// Seed of the halves (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn check(&self) -> Result<()> {
        let refuse =
            |name: &str, found: f64, allowed: &str| Err(Error::option(NAME, name, found, allowed));
        match self {
            _ if !(1..=5).contains(&self.depth) => {
                refuse("depth", self.depth as f64, "from 1 to 5")
            }
            _ if !(self.share > 0.0 && self.share <= 0.5) => {
                refuse("least_share", self.share, "in (0, 0.5]")
            }
            _ if !(0.0..1.0).contains(&self.gain) => refuse("least_gain", self.gain, "in [0, 1)"),
            _ if !(self.level > 0.0 && self.level < 1.0) => {
                refuse("level", self.level, "in (0, 1)")
            }
            _ => Ok(()),
        }
    }

    /// The slices, the one with the most loss above the mean first: Σ over its rows of what their
    /// loss exceeds the mean of all rows by. A slice inside of one that comes first, or around it,
    /// is left out. Empty if no candidate is confirmed.
    ///
    /// ```
    /// use gradus::explain::Slices;
    /// use ndarray::Array2;
    ///
    /// // The loss is four times as high where the second feature is above 0.9.
    /// let x = Array2::from_shape_fn((400, 3), |(row, column)| {
    ///     ((row * [37, 53, 71][column]) % 400) as f32 / 400.0
    /// });
    /// let losses: Vec<f64> = (0..400)
    ///     .map(|row| (1.0 + (row % 7) as f64 / 7.0) * if x[[row, 1]] > 0.9 { 4.0 } else { 1.0 })
    ///     .collect();
    /// let found = Slices::new().find(&x, &losses)?;
    /// assert_eq!((found.len(), found[0].conditions[0].feature), (1, 1));
    /// assert!(found[0].mean_loss > 3.0 * found[0].rest_loss && found[0].p < 0.001);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Option`] for options outside of their domains, [`Error::Shape`] if the numbers of
    /// rows differ, [`Error::Empty`] without rows, [`Error::NonFinite`] for a loss that is not
    /// finite, [`Error::Input`] for a feature that is NaN.
    pub fn find(&self, features: &Array2<f32>, losses: &[f64]) -> Result<Vec<Slice>> {
        self.check()?;
        check_losses(NAME, losses, features.nrows())?;
        if let Some(((row, column), _)) = features.indexed_iter().find(|(_, x)| x.is_nan()) {
            let name = format!("the feature of row {row}, column {column}");
            return Err(refused(NAME, &name, "is NaN", "a number"));
        }
        let order = shuffled_rows(losses.len(), self.seed ^ PURPOSE)?;
        let (mut first, mut second) = (order.clone(), Vec::new());
        second.extend(first.drain(losses.len().div_ceil(2)..));
        first.sort_unstable();
        second.sort_unstable();
        let candidates = Tree::new(self, features, losses, &first).candidates(first);
        let tests: Vec<(Sample, Sample, f64, f64)> = candidates
            .iter()
            .map(|conditions| test(features, losses, &second, conditions))
            .collect();
        let adjusted = holm(&tests.iter().map(|test| test.3).collect::<Vec<_>>());
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let sum = mean * losses.len() as f64;
        let mut found = Vec::new();
        for ((conditions, (inside, outside, t, _)), p) in
            candidates.into_iter().zip(tests).zip(adjusted)
        {
            if p > self.level {
                continue;
            }
            let rows: Vec<usize> =
                (0..losses.len()).filter(|&row| holds(features, row, &conditions)).collect();
            let own: f64 = rows.iter().map(|&row| losses[row]).sum();
            let excess = own - mean * rows.len() as f64;
            let share_of_loss = if sum == 0.0 { 0.0 } else { own / sum };
            let (mean_loss, rest_loss) = (inside.mean, outside.mean);
            let slice = Slice { conditions, rows, mean_loss, rest_loss, share_of_loss, t, p };
            found.push((excess, slice));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut kept: Vec<Slice> = Vec::new();
        for (_, slice) in found {
            let is_nested = |other: &Slice| {
                let pairs = slice.conditions.iter().zip(&other.conditions);
                pairs.filter(|(a, b)| a == b).count()
                    == slice.conditions.len().min(other.conditions.len())
            };
            if !kept.iter().any(is_nested) {
                kept.push(slice);
            }
        }
        Ok(kept)
    }
}

fn holds(features: &Array2<f32>, row: usize, conditions: &[Condition]) -> bool {
    let holds = |of: &Condition| (features[[row, of.feature]] > of.threshold) == of.above;
    conditions.iter().all(holds)
}

/// The losses inside and outside of a slice, Welch's t and its p.
fn test(
    features: &Array2<f32>,
    losses: &[f64],
    rows: &[usize],
    conditions: &[Condition],
) -> (Sample, Sample, f64, f64) {
    let of = |is_inside: bool| {
        let rows = rows.iter().filter(move |&&row| holds(features, row, conditions) == is_inside);
        Sample::of(rows.map(|&row| losses[row]))
    };
    let (inside, outside) = (of(true), of(false));
    // A few equal losses have no spread, and would be sure of anything.
    let (t, p) = match inside.count < LEAST_ROWS || outside.count < LEAST_ROWS {
        true => (0.0, 1.0),
        false => welch(inside, outside),
    };
    (inside, outside, t, p)
}

/// A tree that is grown on some rows.
struct Tree<'a> {
    options: &'a Slices,
    losses: &'a [f64],
    /// Ascending cuts of each feature.
    cuts: Vec<Vec<f32>>,
    /// For each feature and row the number of cuts that lie below it.
    places: Vec<Vec<u8>>,
    least: usize,
    sum: f64,
    count: usize,
    /// Σ of the squared differences to the mean.
    variance: f64,
}

/// A cut of some rows.
struct Cut {
    feature: usize,
    place: usize,
    gain: f64,
}

impl<'a> Tree<'a> {
    fn new(options: &'a Slices, features: &Array2<f32>, losses: &'a [f64], rows: &[usize]) -> Self {
        let cuts: Vec<Vec<f32>> =
            (0..features.ncols()).map(|feature| cuts_of(features, rows, feature)).collect();
        let places = cuts.iter().enumerate().map(|(feature, cuts)| {
            let below = |x: &f32| cuts.partition_point(|cut| cut < x) as u8;
            features.column(feature).iter().map(below).collect()
        });
        let sum: f64 = rows.iter().map(|&row| losses[row]).sum();
        let mean = sum / rows.len().max(1) as f64;
        Tree {
            options,
            losses,
            places: places.collect(),
            least: ((options.share * rows.len() as f64).ceil() as usize).max(LEAST_ROWS),
            sum,
            count: rows.len(),
            variance: rows.iter().map(|&row| (losses[row] - mean).powi(2)).sum(),
            cuts,
        }
    }

    /// The nodes below the root that explain enough, and have a higher loss than the rest.
    fn candidates(&self, rows: Vec<usize>) -> Vec<Vec<Condition>> {
        let mut found = Vec::new();
        self.grow(rows, &mut Vec::new(), &mut found);
        found
    }

    fn grow(
        &self,
        rows: Vec<usize>,
        conditions: &mut Vec<Condition>,
        found: &mut Vec<Vec<Condition>>,
    ) {
        if !conditions.is_empty() && self.explains(&rows) {
            found.push(conditions.clone());
        }
        if conditions.len() == self.options.depth {
            return;
        }
        let Some(cut) = self.best_cut(&rows) else { return };
        let threshold = self.cuts[cut.feature][cut.place];
        let is_above = |row: &usize| usize::from(self.places[cut.feature][*row]) > cut.place;
        let (above, below): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(is_above);
        for (rows, above) in [(above, true), (below, false)] {
            conditions.push(Condition { feature: cut.feature, above, threshold });
            self.grow(rows, conditions, found);
            conditions.pop();
        }
    }

    /// True if the rows have a higher mean than all others, and the difference of the two means is
    /// enough of the variance.
    fn explains(&self, rows: &[usize]) -> bool {
        let (own, count) = (rows.iter().map(|&row| self.losses[row]).sum::<f64>(), rows.len());
        let rest = self.count - count;
        if rest == 0 || self.variance <= 0.0 {
            return false;
        }
        let difference = own / count as f64 - (self.sum - own) / rest as f64;
        let between = difference * difference * (count * rest) as f64 / self.count as f64;
        difference > 0.0 && between >= self.options.gain * self.variance
    }

    /// The cut with the largest reduction of the variance, the first of equal ones.
    fn best_cut(&self, rows: &[usize]) -> Option<Cut> {
        let all: f64 = rows.iter().map(|&row| self.losses[row]).sum();
        let mut best: Option<Cut> = None;
        for (feature, places) in self.places.iter().enumerate() {
            let mut bins = [(0_usize, 0.0_f64); CUTS + 1];
            for &row in rows {
                let bin = &mut bins[usize::from(places[row])];
                *bin = (bin.0 + 1, bin.1 + self.losses[row]);
            }
            let (mut count, mut sum) = (0, 0.0);
            for (place, bin) in bins[..self.cuts[feature].len()].iter().enumerate() {
                (count, sum) = (count + bin.0, sum + bin.1);
                let rest = rows.len() - count;
                if count < self.least || rest < self.least {
                    continue;
                }
                let difference = sum / count as f64 - (all - sum) / rest as f64;
                let gain = difference * difference * (count * rest) as f64 / rows.len() as f64;
                if gain > best.as_ref().map_or(0.0, |best| best.gain) {
                    best = Some(Cut { feature, place, gain });
                }
            }
        }
        best
    }
}

/// Cuts between the quantiles of a feature: half-way between two of its values.
fn cuts_of(features: &Array2<f32>, rows: &[usize], feature: usize) -> Vec<f32> {
    let mut values: Vec<f32> = rows.iter().map(|&row| features[[row, feature]]).collect();
    values.sort_unstable_by(f32::total_cmp);
    let mut cuts: Vec<f32> = Vec::new();
    let mut distinct = values.clone();
    distinct.dedup();
    let between = |low: f32, high: f32| {
        let half = low + (high - low) / 2.0;
        // Of neighbouring numbers half-way is one of them.
        if half < high { half } else { low }
    };
    if distinct.len() <= CUTS + 1 {
        return distinct.windows(2).map(|pair| between(pair[0], pair[1])).collect();
    }
    for quantile in 1..=CUTS {
        let low = values[quantile * (values.len() - 1) / (CUTS + 1)];
        // The next larger value: the cut lies behind all that are equal.
        let next = distinct.partition_point(|x| *x <= low);
        if let Some(&high) = distinct.get(next)
            && cuts.last().is_none_or(|&last| last < between(low, high))
        {
            cuts.push(between(low, high));
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    /// 2,000 rows of eight features, the last one 0 or 1, and losses of an exponential
    /// distribution, three times as high in the slice: some 5 % of the rows.
    fn planted(seed: u64, slice: impl Fn(&[f32]) -> bool) -> (Array2<f32>, Vec<f64>) {
        let mut random = Random::new(seed, 0);
        let x = Array2::from_shape_fn((2000, 8), |(_, column)| {
            let x = random.uniform() as f32;
            if column == 7 { f32::from(u8::from(x < 0.05)) } else { x }
        });
        let loss = |row: ndarray::ArrayView1<f32>, random: &mut Random| {
            let high = if slice(&row.to_vec()) { 3.0 } else { 1.0 };
            -high * (1.0 - random.uniform()).ln()
        };
        let losses = x.rows().into_iter().map(|row| loss(row, &mut random)).collect();
        (x, losses)
    }

    #[test]
    fn a_planted_slice_comes_first_on_each_of_ten_seeds() {
        for seed in 0..10 {
            let (x, losses) = planted(seed, |row| row[7] == 1.0);
            let found = Slices::new().seed(seed).find(&x, &losses).unwrap();
            let first = &found[0].conditions[0];
            assert_eq!((found[0].conditions.len(), first.feature, first.above), (1, 7, true));
            assert!(found[0].rows.iter().all(|&row| x[[row, 7]] == 1.0) && found[0].p < 0.05);

            let (x, losses) = planted(seed, |row| row[2] > 0.95);
            let found = Slices::new().seed(seed).find(&x, &losses).unwrap();
            let planted: Vec<usize> = (0..2000).filter(|&row| x[[row, 2]] > 0.95).collect();
            let both = found[0].rows.iter().filter(|row| planted.contains(row)).count();
            let all = found[0].rows.len() + planted.len() - both;
            assert!(both as f64 > 0.6 * all as f64, "{seed}: {both} of {all}");
        }
    }

    #[test]
    fn slices_are_the_same_whatever_the_size_of_the_losses() {
        let (x, losses) = planted(3, |row| row[7] == 1.0);
        let wanted = Slices::new().find(&x, &losses).unwrap();
        for size in [2_f64.powi(-20), 2_f64.powi(20)] {
            let scaled: Vec<f64> = losses.iter().map(|loss| size * loss).collect();
            let found = Slices::new().find(&x, &scaled).unwrap();
            let of = |slices: &[Slice]| -> Vec<(Vec<usize>, u64)> {
                slices.iter().map(|slice| (slice.rows.clone(), slice.p.to_bits())).collect()
            };
            assert!(!found.is_empty() && of(&found) == of(&wanted), "{size}");
        }
    }

    #[test]
    fn no_slice_is_found_in_shuffled_losses_in_nine_of_ten() {
        let mut without = 0;
        for seed in 0..10 {
            let (x, losses) = planted(seed, |row| row[7] == 1.0);
            let order = shuffled_rows(losses.len(), seed).unwrap();
            let shuffled: Vec<f64> = order.into_iter().map(|row| losses[row]).collect();
            without +=
                usize::from(Slices::new().seed(seed).find(&x, &shuffled).unwrap().is_empty());
            // Not for want of candidates: without a least gain there are some, and none hold.
            let any = Slices::new().seed(seed).least_gain(0.0).find(&x, &shuffled).unwrap();
            assert!(any.len() <= 1, "{seed}");
        }
        assert!(without >= 9, "{without}");
    }

    #[test]
    fn two_conditions_are_found_together_and_their_parent_is_left_out() {
        let mut random = Random::new(3, 0);
        let x = Array2::from_shape_fn((4000, 4), |_| random.uniform() as f32);
        let losses: Vec<f64> = x
            .rows()
            .into_iter()
            .map(|row| {
                let high = if row[0] > 0.8 && row[3] <= 0.3 { 3.0 } else { 1.0 };
                high * (0.5 + random.uniform())
            })
            .collect();
        let found = Slices::new().find(&x, &losses).unwrap();
        let mut features: Vec<usize> =
            found[0].conditions.iter().map(|condition| condition.feature).collect();
        features.sort_unstable();
        features.dedup();
        assert_eq!(features, [0, 3], "{:?}", found[0].conditions);
        assert!(found.iter().skip(1).all(
            |slice| slice.conditions[0] != found[0].conditions[0] || slice.conditions.len() > 1
        ));
        assert!((found[0].mean_loss / found[0].rest_loss - 3.0).abs() < 0.3);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_constant_losses_have_no_slice() {
        let x = Array2::from_shape_fn((40, 2), |(row, column)| (row * (column + 1)) as f32);
        assert_eq!(Slices::new().find(&x, &[1.0; 40]).unwrap(), []);
        assert!(Slices::new().find(&x, &[1.0; 39]).is_err());
        assert!(Slices::new().depth(0).find(&x, &[1.0; 40]).is_err());
        assert!(Slices::new().level(1.0).find(&x, &[1.0; 40]).is_err());
        assert!(Slices::new().find(&x, &[f64::NAN; 40]).is_err());
        let nan = x.mapv(|x| if x == 3.0 { f32::NAN } else { x });
        let message = Slices::new().find(&nan, &[1.0; 40]).unwrap_err().to_string();
        assert!(message.contains("row 3, column 0"), "{message}");
    }
}
