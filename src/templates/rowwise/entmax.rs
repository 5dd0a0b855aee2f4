//! α-entmax of a row of scores and its Fenchel–Young loss, with f64 sums in both precisions, since
//! the threshold search needs accurate ones.
//!
//! With z = x − max x ≤ 0, p = (1 + (α − 1)(z − θ))₊^(1/(α − 1)) and θ ≥ 0 such that Σ p = 1. A
//! score of z ≤ −1/(α − 1) has no probability whatever θ is: only the others take part in the
//! search, a few dozen of a thousand.

use std::cell::Cell;

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::templates::rowwise::Rowwise;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Row, Rows};
use crate::templates::rowwise::tiles::{TILE, Tile, TileFound, are_short, label_tiles};

/// Iteration limit of the threshold search; each step is a bisection or a Newton step.
const MOST_STEPS: usize = 120;

/// Sums of f64 in so many lanes, a vector on AVX-512.
const LANES: usize = 8;

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

/// [`probability`] with α known to the compiler, so that a loop over it is vectorised.
trait Power: Copy {
    const ALPHA: f64;

    /// p and p^(2 − α) of 1 + (α − 1)(z − θ) where that is positive.
    fn power(root: f64) -> (f64, f64);

    #[inline(always)]
    fn probability(z: f64, theta: f64) -> (f64, f64) {
        Self::power(f64::max(1.0 + (Self::ALPHA - 1.0) * (z - theta), 0.0))
    }
}

/// α = 2: sparsemax.
#[derive(Clone, Copy)]
struct Linear;

impl Power for Linear {
    const ALPHA: f64 = 2.0;

    #[inline(always)]
    fn power(root: f64) -> (f64, f64) {
        (root, f64::select(root > 0.0, 1.0, 0.0))
    }
}

/// α = 1.5.
#[derive(Clone, Copy)]
struct Square;

impl Power for Square {
    const ALPHA: f64 = 1.5;

    #[inline(always)]
    fn power(root: f64) -> (f64, f64) {
        (root * root, root)
    }
}

/// θ ≥ 0 such that Σ p = 1, for scores with maximum 0. The sum is decreasing and convex in θ: a
/// Newton step never overshoots the root.
#[inline(always)]
fn threshold(alpha: f64, scores: &[f64]) -> f64 {
    if alpha == Linear::ALPHA {
        return newton(
            #[inline(always)]
            |theta| sums::<Linear>(scores, theta),
        );
    }
    if alpha == Square::ALPHA {
        return newton(
            #[inline(always)]
            |theta| sums::<Square>(scores, theta),
        );
    }
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

/// The root from below, where the first score alone has Σ p ≥ 1. With α = 2 the sum is piecewise
/// linear and the steps end at the root itself; else each one doubles the digits.
#[inline(always)]
fn newton(sums: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut theta = 0.0;
    for _ in 0..MOST_STEPS {
        let (total, falling) = sums(theta);
        let next = theta + (total - 1.0) / falling.max(f64::MIN_POSITIVE);
        if next <= theta * (1.0 + f64::EPSILON) {
            break;
        }
        theta = next;
    }
    theta
}

/// Σ p and Σ p^(2 − α).
#[inline(always)]
fn sums<P: Power>(scores: &[f64], theta: f64) -> (f64, f64) {
    let (mut totals, mut falls) = ([0.0; LANES], [0.0; LANES]);
    let (whole, rest) = scores.as_chunks::<LANES>();
    for chunk in whole {
        for ((total, fall), &z) in totals.iter_mut().zip(&mut falls).zip(chunk) {
            let (p, derivative) = P::probability(z, theta);
            *total += p;
            *fall += derivative;
        }
    }
    for ((total, fall), &z) in totals.iter_mut().zip(&mut falls).zip(rest) {
        let (p, derivative) = P::probability(z, theta);
        *total += p;
        *fall += derivative;
    }
    (totals.into_iter().sum(), falls.into_iter().sum())
}

/// (1 − 1/α) Σ p z + θ/α − z_y with z = x − max x; writes scale · (p − \[y\]) to the gradient. −∞
/// masks a class.
#[inline(always)]
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
    let mut search = SEARCH.take();
    search.find_candidates(row.logits, maximum, alpha);
    let Search { places, scores } = &search;
    let theta = threshold(alpha, scores);
    let own = (row.logits[label] - maximum).to_f64();
    let (mut total, mut others, mut dot) = (0.0, 0.0, 0.0);
    for (&place, &z) in places.iter().zip(scores) {
        let (p, _) = probability(alpha, z, theta);
        total += p;
        others += f64::select(place as usize == label, 0.0, p);
        dot += f64::select(p == 0.0, 0.0, p * z);
    }
    gradient.fill(R::ZERO);
    for (&place, &z) in places.iter().zip(scores) {
        gradient[place as usize] = scale * R::new(probability(alpha, z, theta).0 / total);
    }
    // p − 1 is computed as minus the sum of the other probabilities: the difference would lose all
    // digits as p approaches 1.
    let is_open = own != f64::NEG_INFINITY;
    gradient[label] = R::select(is_open, -scale * R::new(others / total), R::ZERO);
    SEARCH.set(search);
    R::new((1.0 - 1.0 / alpha) * dot / total + theta / alpha - own)
}

/// The classes of a row that may have a probability, and their z.
#[derive(Default)]
struct Search {
    places: Vec<u32>,
    scores: Vec<f64>,
}

thread_local! {
    /// Kept between rows: allocating it for each took longer than the search.
    static SEARCH: Cell<Search> = const { Cell::new(Search { places: Vec::new(), scores: Vec::new() }) };
}

impl Search {
    #[inline(always)]
    fn find_candidates<R: Real>(&mut self, logits: &[R], maximum: R, alpha: f64) {
        /// Scores looked at together: mostly none of them is a candidate.
        const CHUNK: usize = 16;
        // Below the border by far more than the rounding of z.
        let border = R::new(-1.001 / (alpha - 1.0));
        self.places.clear();
        self.scores.clear();
        for (number, chunk) in logits.chunks(CHUNK).enumerate() {
            let mut any = false;
            for &x in chunk {
                any |= x - maximum > border;
            }
            if !any {
                continue;
            }
            for (k, &x) in chunk.iter().enumerate() {
                let z = x - maximum;
                if z > border {
                    self.places.push((number * CHUNK + k) as u32);
                    self.scores.push(z.to_f64());
                }
            }
        }
    }
}

/// Value and gradient of short rows as in [`entmax_loss`], many rows at once; false if the rows are
/// not short, or α is not one of the two that need no power.
#[inline(always)]
pub(crate) fn short_rows<L>(
    loss: &L,
    alpha: f64,
    rows: &Rows<'_, f32, &[i32]>,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
) -> bool
where
    L: for<'a> Rowwise<Target<'a, f32> = usize>,
{
    if !are_short(rows) {
        return false;
    }
    let otherwise = |index: usize, gradient: &mut [f32], value: &mut f32| {
        by_itself(loss, rows, index, gradient, value);
    };
    if alpha == Linear::ALPHA {
        label_tiles(rows, rows.targets, first, gradient, values, short_tile::<Linear>, otherwise);
    } else if alpha == Square::ALPHA {
        label_tiles(rows, rows.targets, first, gradient, values, short_tile::<Square>, otherwise);
    } else {
        return false;
    }
    true
}

#[inline(always)]
fn short_tile<P: Power>(tile: Tile<'_>) -> TileFound {
    let maxima = tile.maxima();
    let taint = tile.taint();
    for column in tile.cells.iter_mut() {
        column.iter_mut().zip(&maxima).for_each(|(z, maximum)| *z -= maximum);
    }
    let mut theta = [0.0_f64; TILE];
    for _ in 0..MOST_STEPS {
        let (mut totals, mut falls) = ([0.0_f64; TILE], [0.0_f64; TILE]);
        for column in tile.cells.iter() {
            for (((total, fall), &z), &theta) in
                totals.iter_mut().zip(&mut falls).zip(column).zip(&theta)
            {
                let (p, derivative) = P::probability(f64::from(z), theta);
                *total += p;
                *fall += derivative;
            }
        }
        let mut moved = false;
        for ((theta, &total), &fall) in theta.iter_mut().zip(&totals).zip(&falls) {
            let next = *theta + (total - 1.0) / Real::max(fall, f64::MIN_POSITIVE);
            let moves = next > *theta * (1.0 + f64::EPSILON);
            *theta = f64::select(moves, next, *theta);
            moved |= moves;
        }
        if !moved {
            break;
        }
    }
    let mut own = [0.0_f32; TILE];
    for (lane, (own, &label)) in own.iter_mut().zip(tile.labels).enumerate() {
        *own = tile.cells[label][lane];
    }
    let (mut totals, mut dots) = ([0.0_f64; TILE], [0.0_f64; TILE]);
    for column in tile.cells.iter() {
        for (((total, dot), &z), &theta) in totals.iter_mut().zip(&mut dots).zip(column).zip(&theta)
        {
            let (p, _) = P::probability(f64::from(z), theta);
            *total += p;
            *dot += p * f64::from(z);
        }
    }
    let mut factor = [0.0_f64; TILE];
    for ((factor, &total), &scale) in factor.iter_mut().zip(&totals).zip(tile.scales) {
        *factor = f64::from(scale) / total;
    }
    // The label's probability is left out of the sum, for its derivative is minus the others'.
    for (lane, &label) in tile.labels.iter().enumerate() {
        tile.cells[label][lane] = f32::NEG_INFINITY;
    }
    let mut others = [0.0_f64; TILE];
    for column in tile.cells.iter_mut() {
        for ((z, other), (&theta, &factor)) in
            column.iter_mut().zip(&mut others).zip(theta.iter().zip(&factor))
        {
            let (p, _) = P::probability(f64::from(*z), theta);
            *other += p;
            *z = (p * factor) as f32;
        }
    }
    let (mut value, mut label) = ([0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let found = (1.0 - 1.0 / P::ALPHA) * dots[lane] / totals[lane] + theta[lane] / P::ALPHA
            - f64::from(own[lane]);
        value[lane] = found as f32 + taint[lane];
        label[lane] = -(others[lane] * factor[lane]) as f32;
    }
    TileFound { value, label }
}
