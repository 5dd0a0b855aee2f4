//! Where numbers lie: mean and deviation, median and quartiles, in f64.

/// Mean and deviation √(Σ (x − mean)² / n). The deviation of numbers that are all one is 0, whatever the rounding.
pub(super) fn mean_and_deviation(numbers: &[f64]) -> (f64, f64) {
    let Some(&first) = numbers.first() else { return (0.0, 0.0) };
    if numbers.iter().all(|&number| number == first) {
        return (first, 0.0);
    }
    let count = numbers.len() as f64;
    // From the first number on: large numbers that differ little, as Unix times do, keep their last digits.
    let mean = first + numbers.iter().map(|number| number - first).sum::<f64>() / count;
    let square: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    (mean, (square / count).sqrt())
}

/// The number below which a share of them lies, between two of them in proportion; 0 of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    // Halves apart: the difference of two large numbers may be none.
    sorted[below] * (1.0 - rest) + sorted[above] * rest
}

/// Sorted, without blanks.
pub(super) fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = numbers.filter(|number| !number.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_keep_their_deviation() {
        let times: Vec<f64> = (0..100).map(|second| 1.6e9 + f64::from(second)).collect();
        let (mean, deviation) = mean_and_deviation(&times);
        assert_eq!(mean, 1.6e9 + 49.5);
        assert!((deviation - (9999.0_f64 / 12.0).sqrt()).abs() < 1e-9); // of 0 to n − 1: √((n² − 1) / 12)
        assert_eq!(mean_and_deviation(&[0.1; 7]), (0.1, 0.0));
        assert_eq!(mean_and_deviation(&[]), (0.0, 0.0));
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let numbers = sorted([4.0, f64::NAN, 1.0, 3.0, 2.0].into_iter());
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|share| quantile(&numbers, share)), [1.0, 1.75, 2.5, 4.0]);
        assert_eq!((quantile(&[], 0.5), quantile(&[7.0], 0.5)), (0.0, 7.0));
    }
}
