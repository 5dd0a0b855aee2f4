//! Softmax cross-entropy of labels where nothing else is asked for: the row read once from memory, the rest in the caches.
//!
//! With m the row's maximum, S the sum of e^(x − m) over all classes but the label, l = e^(x_label − m) and T = S + l, the value is
//! ln T − (x_label − m) and the gradient e^(x − m)/T, at the label −S/T, which keeps its digits where l/T goes to 1. Label smoothing
//! and z-loss change the numbers by which these are multiplied, not the passes.
//!
//! A long row takes three passes (maximum; exponentials and their sum; the factor), the second and third out of the second-level
//! cache. Of short rows [`TILE`] are turned into columns, so that each vector holds the same class of many rows: 10 classes
//! would fill no vector, and a sum along them would go through all lanes of one. Rows with NaN, with infinities that decide the
//! result, or without a finite maximum are left to the general way, one at a time.

use super::rowwise::{Rows, Targets, is_ignored};
use crate::real::{Real, single};

/// Numbers in a chunk: one vector on AVX-512, two on AVX2, four on NEON.
const CHUNK: usize = 16;

/// Rows in a tile of short rows.
pub(crate) const TILE: usize = 64;

/// Rows up to this many classes go through tiles.
const SHORT: usize = 64;

/// Longer rows that are taken together; a piece of work holds no more of them than fit the second-level cache.
const GROUP: usize = 16;

/// What the options make of the plain loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelOptions {
    /// Share of the target spread over all classes.
    pub smoothing: f32,
    /// Weight of lse².
    pub z_loss: f32,
}

/// Value and gradient of the rows from `first` on, as many as there are values; `otherwise` is called for each row that is none of
/// the plain ones, with its number, its gradient and its value.
#[inline(always)]
pub(crate) fn label_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    if rows.columns <= SHORT {
        return short_rows(rows, labels, options, first, gradient, values, otherwise);
    }
    let pieces = gradient.chunks_mut(GROUP * rows.columns).zip(values.chunks_mut(GROUP));
    for (number, (gradient, values)) in pieces.enumerate() {
        long_rows(rows, labels, options, first + number * GROUP, gradient, values, &mut otherwise);
    }
}

/// As [`label_rows`] for up to [`GROUP`] rows: what is done once for a row is done for all of them in one vector.
#[inline(always)]
fn long_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    otherwise: &mut impl FnMut(usize, &mut [f32], &mut f32),
) {
    let mut plain = [false; GROUP];
    let mut found = [LabelRow::default(); GROUP];
    let (mut weights, mut scales) = ([0.0; GROUP], [0.0; GROUP]);
    for (k, gradient) in gradient.chunks_exact_mut(rows.columns).enumerate() {
        let index = first + k;
        plain[k] = rows.keeps(index) && !is_ignored(rows.ignored, labels[index]);
        if plain[k] {
            let logits = &rows.logits[index * rows.columns..][..rows.columns];
            found[k] = row_sums(logits, labels[index] as usize, options, gradient);
            (weights[k], scales[k]) = rows.weight_and_scale(index);
        }
    }
    let mut slopes = [Slopes::default(); GROUP];
    for (slopes, (row, &scale)) in slopes.iter_mut().zip(found.iter().zip(&scales)) {
        *slopes = row.slopes(options, rows.columns, scale);
    }
    for (k, (gradient, value)) in gradient.chunks_exact_mut(rows.columns).zip(values).enumerate() {
        let index = first + k;
        if !(plain[k] && slopes[k].value.is_finite()) {
            otherwise(index, gradient, value);
            continue;
        }
        *value = weights[k] * slopes[k].value;
        for cell in gradient.iter_mut() {
            *cell = slopes[k].factor * *cell - slopes[k].share;
        }
        gradient[labels[index] as usize] = slopes[k].label;
    }
}

/// The first two passes over a row: `gradient` holds e^(x − maximum) afterwards.
#[inline(always)]
fn row_sums(logits: &[f32], label: usize, options: &LabelOptions, gradient: &mut [f32]) -> LabelRow {
    let maximum = largest(logits);
    let others = exponentials(logits, maximum, label, gradient) as f32;
    let spread = if options.smoothing == 0.0 { 0.0 } else { sum_below(logits, maximum) };
    LabelRow { maximum, below: logits[label] - maximum, others, spread }
}

/// What the passes over a row found.
#[derive(Clone, Copy, Default)]
struct LabelRow {
    maximum: f32,
    /// The label's logit less the maximum.
    below: f32,
    /// Σ e^(x − maximum) of all classes but the label.
    others: f32,
    /// Σ (x − maximum), for the smoothing.
    spread: f32,
}

/// What turns e^(x − maximum) into the gradient.
#[derive(Clone, Copy, Default)]
struct Slopes {
    value: f32,
    factor: f32,
    share: f32,
    label: f32,
}

impl LabelRow {
    /// With q = 1 − s + s/K at the label and s/K elsewhere: value ln T − (1 − s)(x_label − m) − s/K Σ(x − m) + λ lse².
    #[inline(always)]
    fn slopes(self, options: &LabelOptions, classes: usize, scale: f32) -> Slopes {
        let share = options.smoothing / classes as f32;
        let label_exp = single::exp_below(self.below);
        let total = self.others + label_exp;
        let log_total = f32::select(label_exp == 1.0, single::ln_1p(self.others), single::ln(total));
        let lse = self.maximum + log_total;
        let pull = 2.0 * options.z_loss * lse;
        let value = log_total - (1.0 - options.smoothing) * self.below - share * self.spread
            + f32::select(options.z_loss != 0.0, options.z_loss * lse * lse, 0.0);
        let inverse = 1.0 / total;
        let others_smoothed = options.smoothing - share;
        let label = (others_smoothed - self.others * inverse) + pull * label_exp * inverse;
        Slopes { value, factor: scale * ((1.0 + pull) * inverse), share: scale * share, label: scale * label }
    }
}

/// The largest number that is no NaN.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (whole, tail) = row.as_chunks::<CHUNK>();
    let (fours, rest) = whole.as_chunks::<4>();
    let mut lanes = [[f32::NEG_INFINITY; CHUNK]; 4];
    for four in fours {
        for (lanes, chunk) in lanes.iter_mut().zip(four) {
            keep_larger(lanes, chunk);
        }
    }
    for chunk in rest {
        keep_larger(&mut lanes[0], chunk);
    }
    let [mut found, second, third, fourth] = lanes;
    keep_larger(&mut found, &padded(tail, f32::NEG_INFINITY));
    keep_larger(&mut found, &second);
    keep_larger(&mut found, &third);
    keep_larger(&mut found, &fourth);
    found.into_iter().fold(f32::NEG_INFINITY, |found, value| f32::select(value > found, value, found))
}

#[inline(always)]
fn keep_larger(found: &mut [f32; CHUNK], chunk: &[f32; CHUNK]) {
    for (found, &value) in found.iter_mut().zip(chunk) {
        *found = f32::select(value > *found, value, *found);
    }
}

/// The end of a row, filled up to a chunk.
#[inline(always)]
fn padded(tail: &[f32], with: f32) -> [f32; CHUNK] {
    let mut chunk = [with; CHUNK];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

/// Writes e^(x − maximum), 0 at the label, and returns their sum.
#[inline(always)]
fn exponentials(logits: &[f32], maximum: f32, label: usize, output: &mut [f32]) -> f64 {
    /// Numbers that are written before they are summed: the label's is taken out in between.
    const BLOCK: usize = 512;
    let mut sums = [0.0; CHUNK];
    let blocks = logits.chunks(BLOCK).zip(output.chunks_mut(BLOCK));
    for (number, (logits, output)) in blocks.enumerate() {
        let (whole, tail) = logits.as_chunks::<CHUNK>();
        let (whole_output, tail_output) = output.as_chunks_mut::<CHUNK>();
        for (chunk, output) in whole.iter().zip(whole_output) {
            *output = exp_chunk(chunk, maximum);
        }
        if !tail.is_empty() {
            let chunk = exp_chunk(&padded(tail, f32::NEG_INFINITY), maximum);
            tail_output.copy_from_slice(&chunk[..tail.len()]);
        }
        if let Some(slot) = label.checked_sub(number * BLOCK).and_then(|place| output.get_mut(place)) {
            *slot = 0.0;
        }
        let (whole, tail) = output.as_chunks::<CHUNK>();
        for chunk in whole {
            add(&mut sums, chunk);
        }
        if !tail.is_empty() {
            add(&mut sums, &padded(tail, 0.0));
        }
    }
    fold(sums)
}

#[inline(always)]
fn exp_chunk(chunk: &[f32; CHUNK], maximum: f32) -> [f32; CHUNK] {
    let mut output = [0.0; CHUNK];
    for (slot, &value) in output.iter_mut().zip(chunk) {
        *slot = single::exp_below(value - maximum);
    }
    output
}

#[inline(always)]
fn add(sums: &mut [f64; CHUNK], chunk: &[f32; CHUNK]) {
    for (sum, &value) in sums.iter_mut().zip(chunk) {
        *sum += f64::from(value);
    }
}

#[inline(always)]
fn fold(mut sums: [f64; CHUNK]) -> f64 {
    let mut width = CHUNK / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Σ (x − maximum).
#[inline(always)]
fn sum_below(logits: &[f32], maximum: f32) -> f32 {
    let mut sums = [0.0; CHUNK];
    let (whole, tail) = logits.as_chunks::<CHUNK>();
    for chunk in whole {
        add(&mut sums, &chunk.map(|x| x - maximum));
    }
    add(&mut sums, &padded(tail, maximum).map(|x| x - maximum));
    fold(sums) as f32
}

/// One number for each row of a tile.
type Lanes = [f32; TILE];

/// As [`label_rows`], a tile after another.
#[inline(always)]
fn short_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    let columns = rows.columns;
    let mut cells = [[0.0; TILE]; SHORT];
    let cells = &mut cells[..columns];
    let pieces = gradient.chunks_mut(TILE * columns).zip(values.chunks_mut(TILE));
    for (number, (gradient, values)) in pieces.enumerate() {
        let first = first + number * TILE;
        let logits = &rows.logits[first * columns..][..gradient.len()];
        let mut places = [0_usize; TILE];
        let mut plain = [false; TILE];
        let (mut weights, mut scales) = ([0.0; TILE], [0.0; TILE]);
        for (k, &label) in labels[first..][..values.len()].iter().enumerate() {
            plain[k] = rows.keeps(first + k) && !is_ignored(rows.ignored, label);
            places[k] = if plain[k] { label as usize } else { 0 };
            (weights[k], scales[k]) = rows.weight_and_scale(first + k);
        }
        for (lane, row) in logits.chunks_exact(columns).enumerate() {
            for (column, &x) in cells.iter_mut().zip(row) {
                column[lane] = x;
            }
        }
        let found = tile(cells, &places, options, &scales);
        for (lane, row) in gradient.chunks_exact_mut(columns).enumerate() {
            for (column, slot) in cells.iter().zip(row.iter_mut()) {
                *slot = column[lane];
            }
            row[places[lane]] = found.label[lane];
            values[lane] = weights[lane] * found.value[lane];
            if !(plain[lane] && found.value[lane].is_finite()) {
                otherwise(first + lane, row, &mut values[lane]);
            }
        }
    }
}

/// Value and derivative at the label for each row of a tile; a row that needs the general way has a value that is not finite.
struct TileFound {
    value: Lanes,
    label: Lanes,
}

/// Takes the logits of a tile, [classes][rows], to their gradient but for the labels'.
#[inline(always)]
fn tile(cells: &mut [Lanes], places: &[usize; TILE], options: &LabelOptions, scales: &Lanes) -> TileFound {
    let mut maxima = [f32::NEG_INFINITY; TILE];
    for column in cells.iter() {
        for (maximum, &x) in maxima.iter_mut().zip(column) {
            *maximum = f32::select(x > *maximum, x, *maximum);
        }
    }
    let mut spread = [0.0_f32; TILE];
    if options.smoothing != 0.0 {
        for column in cells.iter() {
            for (spread, (&x, &maximum)) in spread.iter_mut().zip(column.iter().zip(&maxima)) {
                *spread += x - maximum;
            }
        }
    }
    let mut below = [0.0; TILE];
    for (lane, &place) in places.iter().enumerate() {
        let cell = &mut cells[place][lane];
        below[lane] = *cell - maxima[lane];
        *cell = f32::NEG_INFINITY;
    }
    let mut others = [0.0_f64; TILE];
    for column in cells.iter_mut() {
        for ((cell, &maximum), sum) in column.iter_mut().zip(&maxima).zip(&mut others) {
            *cell = single::exp_below(*cell - maximum);
            *sum += f64::from(*cell);
        }
    }
    let (mut value, mut factor, mut share, mut label) = ([0.0; TILE], [0.0; TILE], [0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let row =
            LabelRow { maximum: maxima[lane], below: below[lane], others: others[lane] as f32, spread: spread[lane] };
        let slopes = row.slopes(options, cells.len(), scales[lane]);
        (value[lane], factor[lane], share[lane], label[lane]) =
            (slopes.value, slopes.factor, slopes.share, slopes.label);
    }
    for column in cells.iter_mut() {
        for ((cell, &factor), &share) in column.iter_mut().zip(&factor).zip(&share) {
            *cell = factor * *cell - share;
        }
    }
    TileFound { value, label }
}

/// The labels, where they are all that the rows are compared with.
pub(crate) fn plain_labels<'a>(rows: &Rows<'a, f32>) -> Option<&'a [i32]> {
    match rows.targets {
        Targets::Labels(labels) if rows.has_all_classes_alike() => Some(labels),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::host::rowwise::{Rows, RowwiseHost, Targets};
    use crate::losses::CrossEntropy;
    use crate::real::Real;

    /// 70 rows of which one is ignored, one masked, and four are left to the general way: NaN, ∞, nothing but −∞, and a label at −∞.
    const ROWS: usize = 70;

    struct Problem {
        logits: Vec<f32>,
        labels: Vec<i32>,
        mask: Vec<bool>,
    }

    fn problem(columns: usize) -> Problem {
        let number = |i: usize| ((i * 7919) % 2003) as f32 / 250.0 - 4.0;
        let mut logits: Vec<f32> = (0..ROWS * columns).map(number).collect();
        let mut labels: Vec<i32> = (0..ROWS).map(|row| (row * 31 % columns) as i32).collect();
        let mut mask = vec![true; ROWS];
        (labels[3], mask[64]) = (-100, false);
        logits[5 * columns] = f32::NAN;
        logits[66 * columns + columns / 2] = f32::INFINITY;
        logits[67 * columns..68 * columns].fill(f32::NEG_INFINITY);
        logits[8 * columns + labels[8] as usize] = f32::NEG_INFINITY;
        logits[9 * columns + (labels[9] as usize + 1) % columns] = f32::NEG_INFINITY;
        Problem { logits, labels, mask }
    }

    fn rows<'a, R: Real>(problem: &'a Problem, logits: &'a [R], columns: usize) -> Rows<'a, R> {
        Rows {
            logits,
            columns,
            targets: Targets::Labels(&problem.labels),
            ignored: &[-100],
            class_weight: &[],
            pos_weight: &[],
            class_mask: &[],
            weight: &[],
            mask: &problem.mask,
            factor: R::ONE,
            upstream: R::ONE,
            upstreams: &[],
        }
    }

    fn close(found: f32, exact: f64, limit: f64) -> bool {
        let exact_is_odd = !exact.is_finite();
        if exact_is_odd {
            found.is_nan() == exact.is_nan() && (exact.is_nan() || f64::from(found) == exact)
        } else {
            (f64::from(found) - exact).abs() <= limit
        }
    }

    #[test]
    fn rows_of_every_width_and_kind_agree_with_the_reference() {
        for columns in [2, 3, 10, 16, 63, 64, 65, 100, 511, 512, 513, 1000] {
            let problem = problem(columns);
            let wide: Vec<f64> = problem.logits.iter().map(|&x| f64::from(x)).collect();
            for loss in [CrossEntropy::new(), CrossEntropy::new().label_smoothing(0.2).z_loss(0.01)] {
                let (mut gradient, mut values) = (vec![9.0_f32; ROWS * columns], vec![9.0_f32; ROWS]);
                let (mut exact_gradient, mut exact) = (vec![0.0_f64; ROWS * columns], vec![0.0_f64; ROWS]);
                loss.run_f32(&rows(&problem, &problem.logits, columns), &mut gradient, &mut values, &mut []);
                loss.run_f64(&rows(&problem, &wide, columns), &mut exact_gradient, &mut exact, &mut []);
                for (row, (&found, &exact)) in values.iter().zip(&exact).enumerate() {
                    // Logits within ±4: x − m below 8 is rounded at 2⁻²², ln T and lse² at their size, below 16 and 1.2;
                    // with 2 ulp for ln and exp each that is below 16·4 + 16 units of 2⁻²⁴.
                    assert!(close(found, exact, 80.0 * 2.0_f64.powi(-24)), "{columns}, row {row}: {found} {exact}");
                }
                for (cell, (&found, &exact)) in gradient.iter().zip(&exact_gradient).enumerate() {
                    // A power is off by |x − m| ≤ 8 half units of 2⁻²³ and 1 ulp, their sum no more, then four roundings; a cell is at most 1.2.
                    let place = (cell / columns, cell % columns);
                    assert!(
                        close(found, exact, 1.2 * 32.0 * 2.0_f64.powi(-24)),
                        "{columns}, {place:?}: {found} {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_bits_wherever_it_stands() {
        for columns in [10, 100] {
            let problem = problem(columns);
            let alone = |row: usize| {
                let (mut gradient, mut value) = (vec![0.0; columns], [0.0]);
                let one =
                    Problem { logits: Vec::new(), labels: vec![problem.labels[row]], mask: vec![problem.mask[row]] };
                let logits = &problem.logits[row * columns..][..columns];
                CrossEntropy::new().run_f32(&rows(&one, logits, columns), &mut gradient, &mut value, &mut []);
                (gradient, value[0])
            };
            let (mut gradient, mut values) = (vec![0.0; ROWS * columns], vec![0.0; ROWS]);
            CrossEntropy::new().run_f32(&rows(&problem, &problem.logits, columns), &mut gradient, &mut values, &mut []);
            for row in [0, 1, 17, 63, 69] {
                assert_eq!(
                    (gradient[row * columns..][..columns].to_vec(), values[row]),
                    alone(row),
                    "row {row} of {columns}"
                );
            }
        }
    }
}
