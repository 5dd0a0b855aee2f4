//! What is told of some samples: the middle, and how far they lie apart.

/// Seconds of some samples, by rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    pub median: f64,
    /// A tenth of the samples took less.
    pub p10: f64,
    /// A tenth of the samples took more.
    pub p90: f64,
    pub least: f64,
}

impl Percentiles {
    /// The spread of at least one sample.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share| quantile(&samples, share);
        Percentiles { median: at(0.5), p10: at(0.1), p90: at(0.9), least: at(0.0) }
    }
}

/// The value below which that share of the sorted samples lies; between two samples on the line from one to the other
/// (the default of NumPy and R, "type 7").
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let found = Percentiles::of(vec![4.0, 1.0, 2.0, 9.0]);
        assert_eq!((found.median, found.least), (3.0, 1.0));
        assert_eq!(Percentiles::of(vec![5.0, 1.0, 2.0]).median, 2.0);
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile(range(21), [10, 90]) and of [1, 2, 4, 8]: 2, 18; 1.3, 6.8
        let found = Percentiles::of((0..21).rev().map(f64::from).collect());
        assert_eq!((found.p10, found.median, found.p90), (2.0, 10.0, 18.0));
        let found = Percentiles::of(vec![8.0, 4.0, 2.0, 1.0]);
        assert!((found.p10 - 1.3).abs() < 1e-12 && (found.p90 - 6.8).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn one_sample_is_all_of_them() {
        assert_eq!(
            Percentiles::of(vec![7.0]),
            Percentiles { median: 7.0, p10: 7.0, p90: 7.0, least: 7.0 }
        );
    }
}
