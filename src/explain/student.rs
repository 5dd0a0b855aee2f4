//! Welch's test and Holm's correction.

use std::f64::consts::PI;

/// Numbers of a sample that a test needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub count: usize,
    pub mean: f64,
    /// Unbiased.
    pub variance: f64,
}

impl Sample {
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count();
        let mean = values.clone().sum::<f64>() / count.max(1) as f64;
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        Sample { count, mean, variance: squares / count.saturating_sub(1).max(1) as f64 }
    }
}

/// Welch's t and its one-sided p: how likely a difference of this size or larger is if both samples
/// have the same mean. (0, 1) for a sample of fewer than two numbers.
pub(super) fn welch(larger: Sample, smaller: Sample) -> (f64, f64) {
    if larger.count < 2 || smaller.count < 2 {
        return (0.0, 1.0);
    }
    let [a, b] = [larger, smaller].map(|sample| sample.variance / sample.count as f64);
    let difference = larger.mean - smaller.mean;
    if a + b == 0.0 {
        // Both samples are constant.
        return if difference > 0.0 { (f64::MAX, 0.0) } else { (0.0, 1.0) };
    }
    let t = difference / (a + b).sqrt();
    // By shares, whose squares neither overflow nor vanish.
    let share = a / (a + b);
    let freedom = 1.0
        / (share * share / (larger.count - 1) as f64
            + (1.0 - share).powi(2) / (smaller.count - 1) as f64);
    (t, above(t, freedom))
}

/// P(T > t) of Student's distribution.
fn above(t: f64, freedom: f64) -> f64 {
    let tail = incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5) / 2.0;
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The regularized incomplete beta function, by Lentz's continued fraction (Numerical Recipes 6.4).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * fraction(x, a, b) / a
    } else {
        1.0 - front.exp() * fraction(1.0 - x, b, a) / b
    }
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let kept = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut sum = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for factor in [even, odd] {
            d = 1.0 / kept(1.0 + factor * d);
            c = kept(1.0 + factor / c);
            change = d * c;
            sum *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    sum
}

/// ln Γ(x) for x > 0: Stirling's series above 10, the recurrence below.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = [-1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0]
        .into_iter()
        .fold(0.0, |sum, term| sum * inverse + term);
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series / x
}

/// Holm's adjusted p-values, in the order of the given ones.
pub(super) fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let (mut adjusted, mut largest) = (vec![0.0; ps.len()], 0.0_f64);
    for (place, &at) in order.iter().enumerate() {
        // What is not a number shows nothing.
        let p = if ps[at].is_nan() { 1.0 } else { ps[at] };
        largest = largest.max(p * (ps.len() - place) as f64).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_tables() {
        // t of one-sided .05 and .005 (tables of Student's distribution).
        for (t, freedom, p) in [
            (6.313_752, 1.0, 0.05),
            (1.812_461, 10.0, 0.05),
            (3.169_273, 10.0, 0.005),
            (1.660_234, 100.0, 0.05),
            (1.644_854, 1e7, 0.05),
        ] {
            assert!((above(t, freedom) - p).abs() < 1e-6, "{t} {freedom}: {}", above(t, freedom));
            assert!((above(-t, freedom) - (1.0 - p)).abs() < 1e-6);
        }
        // Of one degree of freedom it is Cauchy's distribution.
        let cauchy = |t: f64| 0.5 - t.atan() / PI;
        for t in [0.1, 2.0, 50.0] {
            assert!((above(t, 1.0) / cauchy(t) - 1.0).abs() < 1e-9, "{t}");
        }
    }

    #[test]
    fn welchs_test_is_that_of_a_calculation_by_hand() {
        let [a, b] = [vec![3.0, 4.0, 5.0, 8.0], vec![1.0, 2.0, 3.0]]
            .map(|values| Sample::of(values.into_iter()));
        assert_eq!((a.mean, b.mean, b.variance), (5.0, 2.0, 1.0));
        let (t, p) = welch(a, b);
        let error = (14.0 / 3.0 / 4.0 + 1.0 / 3.0_f64).sqrt();
        assert!((t - 3.0 / error).abs() < 1e-12, "{t}");
        assert!((0.02..0.04).contains(&p), "{p}");
        let (t, p) = welch(b, a);
        assert!(t < 0.0 && p > 0.96);
        assert_eq!(welch(Sample::default(), a), (0.0, 1.0));
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        let found = holm(&[0.04, 0.01, 0.03, 0.6]);
        let wanted = [0.09, 0.04, 0.09, 0.6];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
