//! α-entmax of a row of scores and its Fenchel–Young loss, in f64 for both precisions, since the
//! threshold search needs accurate sums.

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::templates::rowwise::rows::Row;

/// Iteration limit of the threshold search; each step is a bisection or a Newton step.
const MOST_STEPS: usize = 120;

/// p and p^(2 − α) of a score at a threshold; both are 0 outside the support.
#[inline(always)]
fn probability(alpha: f64, x: f64, theta: f64) -> (f64, f64) {
    if alpha == 1.0 {
        let p = (x - theta).exp();
        return (p, p);
    }
    let step = (alpha - 1.0) * (x - theta);
    let root = 1.0 + step;
    let is_open = root > 0.0;
    let p = match alpha {
        2.0 => root,
        1.5 => root * root,
        _ if is_open => (step.ln_1p() / (alpha - 1.0)).exp(),
        _ => 0.0,
    };
    (f64::select(is_open, p, 0.0), f64::select(is_open, p / root, 0.0))
}

/// θ ≥ 0 such that Σ p = 1, for scores with maximum 0. The sum is decreasing and convex in θ: a
/// Newton step never overshoots the root.
fn threshold(alpha: f64, scores: &[f64]) -> f64 {
    let log_count = (scores.len() as f64).ln();
    let mut high = if alpha == 1.0 {
        log_count
    } else {
        -(-(alpha - 1.0) * log_count).exp_m1() / (alpha - 1.0)
    };
    let (mut low, mut theta) = (0.0_f64, 0.0_f64);
    for step in 0..MOST_STEPS {
        let (mut total, mut falling) = (0.0, 0.0);
        for &x in scores {
            let (p, derivative) = probability(alpha, x, theta);
            total += p;
            falling += derivative;
        }
        let excess = total - 1.0;
        if excess < 0.0 {
            high = theta;
        }
        let newton = theta + excess / falling.max(f64::MIN_POSITIVE);
        low = newton.max(low).min(high);
        if (newton - theta).abs() <= f64::EPSILON * theta.abs() {
            break;
        }
        theta = if step % 4 == 3 { 0.5 * (low + high) } else { low };
    }
    theta
}

/// (1 − 1/α) Σ p x + θ/α − x_y with x = s − max s; writes scale · (p − \[y\]) to the gradient. −∞
/// masks a class.
pub fn entmax_loss<R: Real>(
    row: &Row<'_, R, usize>,
    alpha: f64,
    scale: R,
    gradient: &mut [R],
) -> R {
    let label = row.target;
    let maximum = simd::maximum(row.logits);
    if maximum == R::INFINITY || maximum.is_nan() {
        gradient.fill(R::NAN);
        return R::NAN;
    }
    if maximum == R::NEG_INFINITY {
        gradient.fill(R::ZERO);
        return R::INFINITY;
    }
    let scores: Vec<f64> = row.logits.iter().map(|&x| (x - maximum).to_f64()).collect();
    let open: Vec<f64> = scores.iter().copied().filter(|&x| x != f64::NEG_INFINITY).collect();
    let theta = threshold(alpha, &open);
    let (mut total, mut others, mut dot) = (0.0, 0.0, 0.0);
    for (column, &x) in scores.iter().enumerate() {
        let (p, _) = probability(alpha, x, theta);
        total += p;
        others += f64::select(column == label, 0.0, p);
        dot += f64::select(p == 0.0, 0.0, p * x);
    }
    for (derivative, &x) in gradient.iter_mut().zip(&scores) {
        *derivative = scale * R::new(probability(alpha, x, theta).0 / total);
    }
    // p − 1 is computed as minus the sum of the other probabilities: the difference would lose all
    // digits as p approaches 1.
    let is_open = scores[label] != f64::NEG_INFINITY;
    gradient[label] = R::select(is_open, -scale * R::new(others / total), R::ZERO);
    R::new((1.0 - 1.0 / alpha) * dot / total + theta / alpha - scores[label])
}
