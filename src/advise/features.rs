//! The features as numbers: a sample of the rows, standardized, and at most so many columns.

use ndarray::{Array2, Axis};

use crate::Result;
use crate::advise::moments::correlation;
use crate::data::shuffled_rows;

/// Rows that models are fitted on: more do not move a statistic by a printed digit.
const MOST_ROWS: usize = 10_000;

/// Numbers that are kept of all rows and columns together.
const MOST_NUMBERS: usize = 4_000_000;

/// With many columns at least so many rows are kept.
const FEWEST_ROWS: usize = 2_000;

/// Columns of a pilot model.
const MOST_COLUMNS: usize = 64;

/// Squares of columns, and columns of which the products are taken, of a model that bends.
const MOST_SQUARES: usize = 16;
const MOST_IN_PRODUCTS: usize = 6;

/// Features of sampled rows.
#[derive(Debug, Clone)]
pub(super) struct Features {
    /// Names of the columns.
    pub(super) names: Vec<String>,
    /// [sampled rows, columns]: mean 0 and standard deviation 1, or all 0.
    pub(super) values: Array2<f64>,
    /// The places of the sampled rows among those with a target.
    pub(super) places: Vec<usize>,
}

/// The places of the rows to look at, in random order.
pub(super) fn sample(rows: usize, columns: usize, seed: u64) -> Result<Vec<usize>> {
    let most = (MOST_NUMBERS / columns.max(1)).clamp(FEWEST_ROWS, MOST_ROWS);
    let mut places = shuffled_rows(rows, seed)?;
    places.truncate(most);
    Ok(places)
}

impl Features {
    pub(super) fn new(names: Vec<String>, values: &Array2<f32>, places: Vec<usize>) -> Self {
        let mut values = values.mapv(f64::from);
        standardize(&mut values);
        Features { names, values, places }
    }

    /// Pixels, which have one unit: those that hardly vary stay so.
    pub(super) fn of_images(names: Vec<String>, values: &Array2<f32>, places: Vec<usize>) -> Self {
        let mut values = values.mapv(f64::from);
        let scale = values.std(0.0);
        if scale > 0.0 {
            values /= scale;
        }
        Features { names, values, places }
    }

    /// The values of the sampled rows.
    pub(super) fn of<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.places.iter().map(|&place| values[place]).collect()
    }

    /// The columns for a linear model of y: all, or those with the largest correlation.
    pub(super) fn screened(&self, y: &[f64]) -> Array2<f64> {
        self.values.select(Axis(1), &largest(&self.values, y, MOST_COLUMNS))
    }

    /// Those columns, with squares and products of some: a model that bends.
    pub(super) fn bent(&self, y: &[f64]) -> Array2<f64> {
        let linear = self.screened(y);
        // A column of two values is its own square.
        let has_square = |column: &ndarray::ArrayView1<f64>| {
            let first = column[0];
            let other = column.iter().find(|value| **value != first);
            other.is_some_and(|other| column.iter().any(|value| value != other && *value != first))
        };
        let squares: Vec<Vec<f64>> = self
            .values
            .columns()
            .into_iter()
            .filter(has_square)
            .map(|column| column.iter().map(|value| value * value).collect())
            .collect();
        let squares = columns(linear.nrows(), &squares);
        let squares = squares.select(Axis(1), &largest(&squares, y, MOST_SQUARES));
        let kept = largest(&linear, y, MOST_IN_PRODUCTS);
        let mut products = Vec::new();
        for (at, &one) in kept.iter().enumerate() {
            for &other in &kept[at + 1..] {
                products.push((&linear.column(one) * &linear.column(other)).to_vec());
            }
        }
        let products = columns(linear.nrows(), &products);
        let mut all = Array2::zeros((linear.nrows(), 0));
        for part in [&squares, &products] {
            // Columns of the same rows have the same length.
            let _ = all.append(Axis(1), part.view());
        }
        standardize(&mut all);
        let mut joined = linear;
        let _ = joined.append(Axis(1), all.view());
        joined
    }
}

/// Columns side by side.
fn columns(rows: usize, columns: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns.len()), |(row, column)| columns[column][row])
}

/// The places of the columns with the largest correlation with y, in order; all if there are few.
fn largest(values: &Array2<f64>, y: &[f64], most: usize) -> Vec<usize> {
    let count = values.ncols();
    if count <= most {
        return (0..count).collect();
    }
    let size = |place: usize| correlation(&values.column(place).to_vec(), y).abs();
    let mut sizes: Vec<(usize, f64)> = (0..count).map(|place| (place, size(place))).collect();
    sizes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut kept: Vec<usize> = sizes.into_iter().take(most).map(|(place, _)| place).collect();
    kept.sort_unstable();
    kept
}

/// Mean 0 and standard deviation 1 in each column, or all 0.
fn standardize(values: &mut Array2<f64>) {
    for mut column in values.columns_mut() {
        let rows = column.len() as f64;
        let mean = column.sum() / rows;
        let size = column.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        column -= mean;
        let deviation = (column.iter().map(|value| value * value).sum::<f64>() / rows).sqrt();
        // A constant column has rounding errors left, of the size of f32's.
        if deviation > 1e-6 * size {
            column /= deviation;
        } else {
            column.fill(0.0);
        }
    }
}

/// How well levels in an order explain the features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LinearShare {
    /// Of the variation between the levels, the share along a straight line in their numbers: near
    /// 1 for quantities and steps of a scale, near 1/(K − 1) for names of K classes.
    pub(super) share: f64,
    /// True if a feature differs between the levels by more than chance.
    pub(super) has_signal: bool,
}

/// Columns that differ between the levels: r² of the level's number over η² of the level, each
/// without the share of it that chance gives, summed over the columns.
pub(super) fn linear_share(features: &Features, codes: &[usize], levels: usize) -> LinearShare {
    let codes = features.of(codes);
    let rows = codes.len() as f64;
    let mut counts = vec![0.0; levels];
    codes.iter().for_each(|&code| counts[code] += 1.0);
    let numbers: Vec<f64> = codes.iter().map(|&code| code as f64).collect();
    let groups = counts.iter().filter(|&&count| count > 0.0).count() as f64 - 1.0;
    let (mut straight, mut all) = (0.0, 0.0);
    if groups < 1.0 || rows <= groups + 1.0 {
        return LinearShare { share: 0.0, has_signal: false };
    }
    for column in features.values.columns() {
        let mut sums = vec![0.0; levels];
        column.iter().zip(&codes).for_each(|(value, &code)| sums[code] += value);
        // The columns have variance 1.
        let between = sums
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count > 0.0)
            .map(|(sum, count)| sum * sum / count)
            .sum::<f64>()
            / rows;
        // Chance gives (rows − 1) η² the mean K − 1 and the variance 2 (K − 1).
        if between * (rows - 1.0) <= groups + 6.0 * (2.0 * groups).sqrt() {
            continue;
        }
        let r = correlation(&column.to_vec(), &numbers);
        straight += (r * r - 1.0 / (rows - 1.0)).max(0.0);
        all += between - groups / (rows - 1.0);
    }
    let has_signal = all > 0.0;
    LinearShare { share: if has_signal { (straight / all).min(1.0) } else { 0.0 }, has_signal }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of the values, and one of noise that has nothing to do with them.
    fn features(values: &[f32]) -> Features {
        let column = |row: usize, column: usize| match column {
            0 => values[row] + ((row * 37) % 11) as f32 / 100.0,
            _ => ((row * 53) % 97) as f32,
        };
        let all = Array2::from_shape_fn((values.len(), 2), |(row, place)| column(row, place));
        Features::new(vec!["x".into(), "noise".into()], &all, (0..values.len()).collect())
    }

    #[test]
    fn the_share_is_that_of_the_straight_line_in_what_the_levels_explain() {
        let codes: Vec<usize> = (0..300).map(|row| row % 3).collect();
        let of = |means: [f32; 3]| {
            let values: Vec<f32> = codes.iter().map(|&code| means[code]).collect();
            linear_share(&features(&values), &codes, 3)
        };
        let straight = of([0.0, 1.0, 2.0]);
        assert!(straight.has_signal && (0.99..=1.0).contains(&straight.share), "{straight:?}");
        // Between 0, 3, 0 no line goes up.
        let bent = of([0.0, 3.0, 0.0]);
        assert!(bent.has_signal && bent.share < 0.01, "{bent:?}");
        // 0, 0, 1: r² = 3/4 of η².
        let step = of([0.0, 0.0, 1.0]);
        assert!((step.share - 0.75).abs() < 0.01, "{step:?}");
        assert!(!of([0.0; 3]).has_signal);
    }
}
