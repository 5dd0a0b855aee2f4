//! Statistics of a list of numbers: robust scale, tails, ranks.

/// Mean; NaN without values.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Variance about the mean, by n.
pub(super) fn variance(values: &[f64]) -> f64 {
    let center = mean(values);
    values.iter().map(|value| (value - center).powi(2)).sum::<f64>() / values.len() as f64
}

/// The third standardized moment; 0 for values that do not vary.
pub(super) fn skewness(values: &[f64]) -> f64 {
    let (center, deviation) = (mean(values), variance(values).sqrt());
    if deviation <= 0.0 {
        return 0.0;
    }
    mean(&values.iter().map(|value| ((value - center) / deviation).powi(3)).collect::<Vec<_>>())
}

/// The values in ascending order.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The quantile of ascending values, interpolated as numpy does; NaN without values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// The median; NaN without values.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// 1.4826 · median |e − median e|, which is the standard deviation for normal values. Where half of
/// the values are equal it would be 0: then √(π/2) times the mean absolute deviation.
///
/// F. Hampel, The influence curve and its role in robust estimation, 1974.
pub(super) fn madn(values: &[f64]) -> f64 {
    let center = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    let robust = 1.4826 * median(&distances);
    let whole = mean(&distances);
    if robust > 1e-9 * whole { robust } else { (std::f64::consts::PI / 2.0).sqrt() * whole }
}

/// How heavy the tails of residuals are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tails {
    /// The robust standard deviation.
    pub(super) madn: f64,
    /// Values more than 5 MADN from the median, and their share.
    pub(super) outliers: usize,
    pub(super) outlier_share: f64,
    /// Standard deviation over MADN: 1 for normal values.
    pub(super) ratio: f64,
    /// Hill's estimate of the tail index from the 5 % farthest from the median: moments of this
    /// order and above do not exist. None for few rows.
    pub(super) hill: Option<f64>,
}

/// From this share of values beyond 5 MADN on, from this ratio and below this index the tails count
/// as heavy.
pub(super) const OUTLIER_SHARE: f64 = 0.01;
pub(super) const TAIL_RATIO: f64 = 2.0;
pub(super) const HILL_INDEX: f64 = 2.0;

/// With fewer rows the farthest 5 % are no tail.
const FEWEST_FOR_HILL: usize = 400;

/// With fewer values beyond 5 MADN they are single mistakes and no tail.
const FEWEST_OUTLIERS: usize = 3;

impl Tails {
    pub(super) fn of(residuals: &[f64]) -> Self {
        let (center, scale) = (median(residuals), madn(residuals));
        let distances: Vec<f64> = residuals.iter().map(|value| (value - center).abs()).collect();
        let outliers = distances.iter().filter(|&&distance| distance > 5.0 * scale).count();
        let ratio = if scale > 0.0 { variance(residuals).sqrt() / scale } else { 1.0 };
        let outlier_share = outliers as f64 / residuals.len().max(1) as f64;
        Tails { madn: scale, outliers, outlier_share, ratio, hill: hill(&distances) }
    }

    /// True if one of the three signs is there. The ratio alone counts only where several values
    /// are far off: one gross value among few rows makes it large.
    pub(super) fn are_heavy(&self) -> bool {
        self.outliers >= FEWEST_OUTLIERS
            && (self.outlier_share >= OUTLIER_SHARE
                || self.ratio >= TAIL_RATIO
                || self.hill.is_some_and(|index| index < HILL_INDEX))
    }
}

/// B. Hill, A simple general approach to inference about the tail of a distribution, 1975.
fn hill(distances: &[f64]) -> Option<f64> {
    if distances.len() < FEWEST_FOR_HILL {
        return None;
    }
    let mut largest = sorted(distances);
    largest.reverse();
    let count = distances.len() / 20;
    let limit = largest[count];
    if limit <= 0.0 {
        return None;
    }
    let logarithms = largest[..count].iter().map(|value| (value / limit).ln()).sum::<f64>();
    (logarithms > 0.0).then(|| count as f64 / logarithms)
}

/// Ranks from 1; equal values share the mean of theirs.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|&at| ranks[at] = rank);
        before += equal.len();
    }
    ranks
}

/// Pearson's correlation; 0 if one does not vary.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    let squares = |values: &[f64], mean: f64| -> f64 {
        values.iter().map(|value| (value - mean).powi(2)).sum()
    };
    let scale = (squares(a, mean_a) * squares(b, mean_b)).sqrt();
    if scale > 0.0 { products / scale } else { 0.0 }
}

/// Spearman's rank correlation, and its t statistic r √((n − 2)/(1 − r²)).
pub(super) fn spearman(a: &[f64], b: &[f64]) -> (f64, f64) {
    let r = correlation(&ranks(a), &ranks(b));
    let rows = a.len() as f64;
    (r, r * ((rows - 2.0).max(0.0) / (1.0 - r * r).max(1e-12)).sqrt())
}

/// The line of least squares through points with weights: slope and its standard error.
pub(super) fn line(x: &[f64], y: &[f64], weights: &[f64]) -> Option<(f64, f64)> {
    let total: f64 = weights.iter().sum();
    let center = |values: &[f64]| -> f64 {
        values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / total
    };
    let (mean_x, mean_y) = (center(x), center(y));
    let (mut squares, mut products) = (0.0, 0.0);
    for ((x, y), weight) in x.iter().zip(y).zip(weights) {
        squares += weight * (x - mean_x).powi(2);
        products += weight * (x - mean_x) * (y - mean_y);
    }
    if x.len() < 3 || squares <= 0.0 {
        return None;
    }
    let slope = products / squares;
    let rest: f64 = x
        .iter()
        .zip(y)
        .zip(weights)
        .map(|((x, y), weight)| weight * (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    Some((slope, (rest / (x.len() as f64 - 2.0) / squares).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    fn normal(count: usize, seed: u64) -> Vec<f64> {
        let mut random = Random::new(seed, 0);
        (0..count).map(|_| random.normal()).collect()
    }

    #[test]
    fn normal_values_have_light_tails_at_any_size() {
        for (seed, count) in [20, 60, 150, 400, 2000, 20_000].into_iter().enumerate() {
            for round in 0..5 {
                let tails = Tails::of(&normal(count, 100 * seed as u64 + round));
                assert!(!tails.are_heavy(), "{count} rows: {tails:?}");
            }
        }
    }

    #[test]
    fn heavy_tails_are_found_by_their_signs() {
        // Student's t with 2 degrees of freedom: z / √(−ln u).
        let mut random = Random::new(5, 1);
        let student: Vec<f64> =
            (0..4000).map(|_| random.normal() / (-(1.0 - random.uniform()).ln()).sqrt()).collect();
        let tails = Tails::of(&student);
        assert!(tails.are_heavy() && (tails.hill.unwrap() - 2.0).abs() < 0.5, "{tails:?}");
        // One value in twenty ten times as large.
        let mut mixed = normal(1000, 3);
        mixed.iter_mut().step_by(20).for_each(|value| *value *= 10.0);
        let tails = Tails::of(&mixed);
        assert!(tails.are_heavy() && tails.outlier_share > 0.02, "{tails:?}");
        // One gross value among fifty is a mistake, no tail.
        let mut single = normal(50, 4);
        single[7] = 40.0;
        assert!(!Tails::of(&single).are_heavy());
    }

    /// Closed forms: quartile of 1..5, MADN, ranks with ties, a line without an error.
    #[test]
    fn small_cases_by_hand() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(quantile(&sorted(&values), 0.25), 2.0);
        assert!((madn(&values) - 1.4826).abs() < 1e-12);
        assert_eq!(ranks(&[2.0, 1.0, 2.0]), [2.5, 1.0, 2.5]);
        assert!((spearman(&[1.0, 2.0, 3.0], &[1.0, 4.0, 9.0]).0 - 1.0).abs() < 1e-12);
        let (slope, error) =
            line(&[1.0, 2.0, 3.0, 4.0], &[3.0, 5.0, 7.0, 9.0], &[1.0, 2.0, 1.0, 2.0]).unwrap();
        assert!((slope - 2.0).abs() < 1e-12 && error < 1e-6);
        assert!((madn(&[0.0, 0.0, 0.0, 8.0]) - 2.0 * 1.253_314).abs() < 1e-5);
        assert!((skewness(&[0.0, 0.0, 1.0]) - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-6);
        assert_eq!(variance(&[1.0, 3.0]), 1.0);
    }

    /// exp(x) with x exponential of rate 3 has a tail index of 3.
    #[test]
    fn hills_index_is_that_of_a_pareto_tail() {
        let mut random = Random::new(9, 2);
        let pareto: Vec<f64> =
            (0..20_000).map(|_| (1.0 - random.uniform()).powf(-1.0 / 3.0)).collect();
        let index = hill(&pareto).unwrap();
        assert!((index - 3.0).abs() < 0.3, "{index}"); // 1000 values: ± 0.1 each standard error
    }
}
