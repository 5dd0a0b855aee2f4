//! Linear models by normal equations: Huber's regression and Poisson regression by iterated weights.

use ndarray::{Array1, Array2, Axis};

use crate::advise::moments::{madn, mean};
use crate::cpu::cholesky::solve_positive;

/// Ridge penalty on standardized columns, as scikit-learn's `Ridge` by default: it only keeps the
/// equations solvable.
const RIDGE: f64 = 1.0;

/// Reweightings from a cold start; from the weights of all rows a fold needs fewer.
pub(super) const ITERATIONS: usize = 10;
pub(super) const ITERATIONS_OF_A_FOLD: usize = 3;
pub(super) const ITERATIONS_OF_POISSON: usize = 25;

/// δ/MADN at which Huber's loss is 95 % as efficient as least squares for normal errors (Huber 1981).
pub(super) const HUBER: f64 = 1.345;

/// Weights of the columns and a constant, the last.
pub(super) type Weights = Array1<f64>;

/// Rows with a constant column of 1 behind their features.
pub(super) fn with_constant(features: &Array2<f64>) -> Array2<f64> {
    let mut all = Array2::ones((features.nrows(), features.ncols() + 1));
    all.slice_mut(ndarray::s![.., ..features.ncols()]).assign(features);
    all
}

/// x w for all rows.
pub(super) fn predict(rows: &Array2<f64>, weights: &Weights) -> Vec<f64> {
    rows.dot(weights).to_vec()
}

/// Minimizes Σ v (y − x w)² + ridge; none if the equations are singular.
fn solve(rows: &Array2<f64>, y: &[f64], weights: &[f64]) -> Option<Weights> {
    let mut weighted = rows.clone();
    for (mut row, weight) in weighted.axis_iter_mut(Axis(0)).zip(weights) {
        row *= *weight;
    }
    let mut gram = weighted.t().dot(rows);
    let right = weighted.t().dot(&Array1::from_vec(y.to_vec()));
    let last = gram.nrows() - 1;
    for place in 0..last {
        gram[[place, place]] += RIDGE;
    }
    gram[[last, last]] += 1e-9;
    solve_positive(gram, right)
}

/// Huber's regression with δ = 1.345 MADN of the residuals, by iterated weights min(1, δ/|e|). It
/// begins at `start`, or at the median of y.
pub(super) fn huber(
    rows: &Array2<f64>,
    y: &[f64],
    start: Option<&Weights>,
    iterations: usize,
) -> Option<Weights> {
    let mut weights = match start {
        Some(start) => start.clone(),
        None => {
            let mut constant = Array1::zeros(rows.ncols());
            constant[rows.ncols() - 1] = crate::advise::moments::median(y);
            constant
        }
    };
    for _ in 0..iterations {
        let errors: Vec<f64> =
            predict(rows, &weights).iter().zip(y).map(|(fit, y)| y - fit).collect();
        let delta = HUBER * madn(&errors);
        if delta <= 0.0 {
            break;
        }
        let each: Vec<f64> =
            errors.iter().map(|error| (delta / error.abs().max(1e-300)).min(1.0)).collect();
        weights = solve(rows, y, &each)?;
    }
    Some(weights)
}

/// The logarithm of the mean by Poisson's quasi-likelihood, which is consistent for the mean of any
/// y ≥ 0 (Gourieroux, Monfort and Trognon 1984), by Newton's method. It begins at `start`, or at the
/// mean of y.
pub(super) fn poisson(
    rows: &Array2<f64>,
    y: &[f64],
    start: Option<&Weights>,
    iterations: usize,
) -> Option<Weights> {
    let center = mean(y);
    if center.is_nan() || center <= 0.0 {
        return None;
    }
    let mut weights = match start {
        Some(start) => start.clone(),
        None => {
            let mut constant = Array1::zeros(rows.ncols());
            constant[rows.ncols() - 1] = center.ln();
            constant
        }
    };
    let deviance = |weights: &Weights| -> f64 {
        let fits = predict(rows, weights);
        fits.iter().zip(y).map(|(fit, y)| fit.min(700.0).exp() - y * fit).sum()
    };
    let mut least = deviance(&weights);
    for _ in 0..iterations {
        let fits = predict(rows, &weights);
        let middle = center.ln();
        let means: Vec<f64> =
            fits.iter().map(|fit| fit.clamp(middle - 30.0, middle + 30.0).exp()).collect();
        let working: Vec<f64> = fits
            .iter()
            .zip(&means)
            .zip(y)
            .map(|((fit, mean), y)| fit + (y - mean) / mean)
            .collect();
        let target = solve(rows, &working, &means)?;
        let mut step = 1.0;
        let mut next = target.clone();
        // False for NaN too.
        let falls = |found: f64| found <= least;
        while !falls(deviance(&next)) && step > 1e-3 {
            step /= 2.0;
            next = &weights + &((&target - &weights) * step);
        }
        let found = deviance(&next);
        if !falls(found) {
            break;
        }
        let gain = least - found;
        (weights, least) = (next, found);
        if gain < 1e-6 * least.abs().max(1.0) {
            break;
        }
    }
    Some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    fn rows(count: usize, columns: usize) -> (Array2<f64>, Random) {
        let mut random = Random::new(17, 4);
        (Array2::from_shape_fn((count, columns), |_| random.normal()), random)
    }

    #[test]
    fn hubers_regression_recovers_a_line_through_outliers() {
        let (features, mut random) = rows(600, 3);
        let all = with_constant(&features);
        let truth = Array1::from_vec(vec![2.0, -1.0, 0.5, 10.0]);
        let mut y: Vec<f64> =
            all.dot(&truth).iter().map(|mean| mean + 0.1 * random.normal()).collect();
        y.iter_mut().step_by(10).for_each(|y| *y *= 10.0);
        let found = huber(&all, &y, None, ITERATIONS).unwrap();
        let least_squares = solve(&all, &y, &vec![1.0; y.len()]).unwrap();
        let off = |weights: &Weights| (weights - &truth).mapv(f64::abs).sum();
        assert!(off(&found) < 0.1, "{found}"); // noise 0.1/√600 each, and a bias of some 0.02
        assert!(off(&least_squares) > 1.0, "{least_squares}");
    }

    #[test]
    fn poissons_regression_recovers_a_mean_with_a_logarithmic_link() {
        let (features, _) = rows(2000, 2);
        let all = with_constant(&features);
        let truth = Array1::from_vec(vec![0.7, -0.4, 1.0]);
        // Without noise the quasi-likelihood is least at the truth; the ridge moves it by 1/5000.
        let y: Vec<f64> = all.dot(&truth).iter().map(|mean| mean.exp()).collect();
        let found = poisson(&all, &y, None, ITERATIONS_OF_POISSON).unwrap();
        assert!((&found - &truth).iter().all(|off| off.abs() < 2e-3), "{found}");
        assert!(poisson(&all, &vec![0.0; 2000], None, ITERATIONS_OF_POISSON).is_none());
        // Means below e^−60 have weights too.
        let y: Vec<f64> = y.iter().map(|y| 1e-40 * y).collect();
        if let Some(found) = poisson(&all, &y, None, ITERATIONS_OF_POISSON) {
            assert!(found.iter().all(|weight| weight.is_finite()), "{found}");
        }
    }
}
