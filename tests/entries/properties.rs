//! Properties that hold for all shapes, options and inputs: drawn at random, and shrunk on failure.

use crate::drawn::{Draw, drawn};
use crate::support::compare_slices;
use gradus::losses::{Domain, Mean, OneInput, Template};
use gradus::random::Random;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction, Targets};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;

/// One property of a loss, for a draw of its shape, options and inputs.
pub type Property = fn(&Draw) -> Result<(), TestCaseError>;

/// Draws of one loss of predictions and targets.
pub fn draws(name: &'static str) -> BoxedStrategy<Draw> {
    drawn(move |loss| loss.name() == name, [6, 40, 70]).boxed()
}

/// Inputs of one call, owned.
#[derive(Clone)]
struct Data {
    predictions: Array2<f32>,
    dense: Array2<f32>,
    /// Only where the loss takes them, at random.
    labels: Option<Array1<i64>>,
    /// [rows, 1]: a weight [rows] of a square is one for each column.
    weight: Array2<f32>,
    mask: Array2<bool>,
}

impl Data {
    fn inputs(&self) -> Inputs<'_> {
        let targets = match &self.labels {
            Some(labels) => Targets::from(labels),
            None => Targets::from(&self.dense),
        };
        Inputs::new(&self.predictions, targets)
    }

    fn select(&self, rows: &[usize]) -> Data {
        Data {
            predictions: self.predictions.select(Axis(0), rows),
            dense: self.dense.select(Axis(0), rows),
            labels: self.labels.as_ref().map(|labels| labels.select(Axis(0), rows)),
            weight: self.weight.select(Axis(0), rows),
            mask: self.mask.select(Axis(0), rows),
        }
    }
}

fn data_of(draw: &Draw) -> Data {
    let loss = draw.loss();
    let mut random = Random::new(draw.seed, 0);
    let (rows, columns) = (draw.rows, draw.columns);
    let predictions = Array2::from_shape_simple_fn((rows, columns), || {
        let x = 3.0 * random.normal() as f32;
        match loss.predictions() {
            Domain::Probability => 1.0 / (1.0 + (-x).exp()),
            Domain::Cosine => x.tanh(),
            Domain::Positive => x.abs() + 0.1,
            _ => x,
        }
    });
    let mut dense = Array2::from_shape_simple_fn((rows, columns), || {
        let u = random.uniform() as f32;
        match loss.targets() {
            Domain::Real | Domain::Logits => 6.0 * u - 3.0,
            Domain::Sign => (u - 0.5).signum(),
            Domain::ZeroOne => u.round(),
            Domain::NonNegative => (6.0 * u).floor(),
            Domain::Positive => 6.0 * u + 0.01,
            Domain::LogDistribution => (u + 1e-3).ln(),
            Domain::Relevance | Domain::Grade => (5.0 * u).floor() - 1.0,
            Domain::ClassList => (columns as f32 * u).floor() - 1.0,
            _ => u,
        }
    });
    if matches!(loss.targets(), Domain::Class | Domain::Distribution) {
        dense.rows_mut().into_iter().for_each(|mut row| row /= row.sum() + 1e-6);
    }
    let takes_labels =
        loss.targets().takes_labels() && (!loss.targets().takes_dense() || random.uniform() < 0.7);
    let mut label = || match random.uniform() {
        u if u < 0.2 => loss.ignored().first().copied().unwrap_or(0),
        _ => (random.uniform() * columns as f64) as i64,
    };
    let labels = takes_labels.then(|| (0..rows).map(|_| label()).collect());
    let weight = Array2::from_shape_fn((rows, 1), |_| 0.25 + random.uniform() as f32);
    let mask = Array2::from_shape_fn((rows, 1), |_| random.uniform() < 0.7);
    Data { predictions, dense, labels, weight, mask }
}

/// Error scale of a value: the reduction's factor, and the sum of the absolute values. From the
/// reference, unreduced.
struct Terms {
    factor: f64,
    sum: f64,
}

/// Values and gradient within 2e-5 of the size of their terms. Golden cases and comparisons have
/// tighter bounds; here a mean of hundreds of values carries up to a hundred roundings of 6e-8, and
/// exp its 3 + 2|x| ulp. The scale of a sum that cancels is that of its values; of a value or
/// gradient that cancels, like e^x − yx or the softmax minus its target, that of its terms, which
/// are of size 1: a tenth of that is 33 roundings of it.
fn near(
    exact: &Evaluation<f64>,
    found: &Evaluation<f64>,
    terms: &Terms,
) -> Result<(), TestCaseError> {
    let flat = |values: &ndarray::ArrayD<f64>| values.iter().copied().collect::<Vec<_>>();
    let largest = |values: &ndarray::ArrayD<f64>| {
        values.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()))
    };
    let own = 0.1 * terms.factor;
    for (name, exact, found, size) in [
        ("value", &exact.values, &found.values, largest(&exact.values).max(terms.sum) + own),
        ("gradient", &exact.gradient, &found.gradient, largest(&exact.gradient) + own),
    ] {
        prop_assert_eq!(exact.shape(), found.shape());
        for (place, (e, f)) in flat(exact).into_iter().zip(flat(found)).enumerate() {
            let off = (f - e).abs();
            prop_assert!(
                off <= 2e-5 * size + 1e-30,
                "{name} {place} is {f:e} instead of {e:e}, of the size of {size:e}"
            );
        }
    }
    prop_assert_eq!(exact.count, found.count);
    Ok(())
}

fn terms_of(draw: &Draw, inputs: &Inputs, exact: &Evaluation<f64>) -> Terms {
    if draw.reduction == Reduction::None {
        return Terms { factor: 1.0, sum: 0.0 };
    }
    let each = draw
        .criterion(&Device::reference())
        .reduction(Reduction::None)
        .evaluate_f64(inputs)
        .unwrap();
    let sum = each.values.sum();
    let factor = if sum == 0.0 { 1.0 } else { (exact.values.sum() / sum).abs() };
    Terms { factor, sum: factor * each.values.mapv(f64::abs).sum() }
}

fn agrees(draw: &Draw, device: &Device) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    for inputs in [
        data.inputs(),
        data.inputs().weight(&data.weight),
        data.inputs().mask(&data.mask).weight(&data.weight),
    ] {
        let exact = draw.criterion(&Device::reference()).evaluate_f64(&inputs).unwrap();
        near(
            &exact,
            &draw.criterion(device).evaluate_f64(&inputs).unwrap(),
            &terms_of(draw, &inputs, &exact),
        )?;
    }
    Ok(())
}

/// The comparison can fail: it detects an error of one in ten thousand of a value, and of one
/// gradient entry.
pub fn an_error_of_one_in_ten_thousand_is_seen() {
    let draw = Draw::once("huber", 6, 7);
    let inputs = data_of(&draw);
    let exact = draw.criterion(&Device::reference()).evaluate_f64(&inputs.inputs()).unwrap();
    let terms = terms_of(&draw, &inputs.inputs(), &exact);
    assert!(near(&exact, &exact.clone(), &terms).is_ok());
    let mut off = exact.clone();
    off.values *= 1.0 + 1e-4;
    assert!(near(&exact, &off, &terms).is_err());
    let mut off = exact.clone();
    let at = exact
        .gradient
        .iter()
        .position(|x| x.abs() == exact.gradient.fold(0.0, |a: f64, x| a.max(x.abs())))
        .unwrap();
    *off.gradient.iter_mut().nth(at).unwrap() *= 1.0 + 1e-4;
    assert!(near(&exact, &off, &terms).is_err());
}

fn bits(found: &Evaluation) -> (Vec<u64>, Vec<u32>) {
    (
        found.values.iter().map(|x| x.to_bits()).collect(),
        found.gradient.iter().map(|x| x.to_bits()).collect(),
    )
}

/// The properties by name.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("the cpu agrees with the reference", the_cpu_agrees_with_the_reference),
    ("a sum is the mean times what it divides by", a_sum_is_the_mean_times_what_it_divides_by),
    (
        "what is masked changes nothing and has no gradient",
        what_is_masked_changes_nothing_and_has_no_gradient,
    ),
    ("masking rows out is leaving them out", masking_rows_out_is_leaving_them_out),
    ("two runs give the same bits", two_runs_give_the_same_bits),
    (
        "rows in another order give the gradients in that order",
        rows_in_another_order_give_the_gradients_in_that_order,
    ),
    (
        "twice the weight is twice the value and the gradient",
        twice_the_weight_is_twice_the_value_and_the_gradient,
    ),
];

fn the_cpu_agrees_with_the_reference(draw: &Draw) -> Result<(), TestCaseError> {
    agrees(draw, &Device::cpu())
}

fn a_sum_is_the_mean_times_what_it_divides_by(draw: &Draw) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    let criterion = Criterion::from_boxed(draw.loss(), &Device::reference()).unwrap();
    let evaluate =
        |reduction| criterion.clone().reduction(reduction).evaluate_f64(&data.inputs()).unwrap();
    let (sum, mean, each) =
        (evaluate(Reduction::Sum), evaluate(Reduction::Mean), evaluate(Reduction::None));
    let elementwise = matches!(draw.loss().template(), Template::OneInput(OneInput::Rowwise(_)))
        && draw.loss().spec().mean == Mean::OverElements;
    let count = (sum.count * if elementwise { draw.columns } else { 1 }) as f64;
    prop_assert!((sum.value() - mean.value() * count).abs() <= 1e-12 * (1.0 + sum.value().abs()));
    prop_assert!((sum.value() - each.value()).abs() <= 1e-12 * (1.0 + sum.value().abs()));
    prop_assert_eq!(sum.gradient, each.gradient);
    Ok(())
}

fn what_is_masked_changes_nothing_and_has_no_gradient(draw: &Draw) -> Result<(), TestCaseError> {
    let mut data = data_of(draw);
    data.mask[[0, 0]] = true;
    let criterion = draw.criterion(&Device::cpu());
    let before = criterion.evaluate(&data.inputs().mask(&data.mask)).unwrap();
    let mask = data.mask.clone();
    for (row, _) in mask.iter().enumerate().filter(|(_, kept)| !**kept) {
        data.predictions.row_mut(row).fill(f32::NAN);
        data.dense.row_mut(row).fill(f32::NAN);
        if let Some(labels) = &mut data.labels {
            labels[row] = i64::MIN;
        }
    }
    let after = criterion.evaluate(&data.inputs().mask(&data.mask)).unwrap();
    prop_assert_eq!(bits(&before), bits(&after));
    let width = draw.columns;
    for (place, gradient) in after.gradient.iter().enumerate() {
        prop_assert!(
            mask[[place / width, 0]] || *gradient == 0.0,
            "element {place} has gradient {gradient}"
        );
    }
    Ok(())
}

fn masking_rows_out_is_leaving_them_out(draw: &Draw) -> Result<(), TestCaseError> {
    // `batch_mean` divides by the number of rows.
    if draw.reduction == Reduction::BatchMean {
        return Ok(());
    }
    let mut data = data_of(draw);
    data.mask[[0, 0]] = true;
    let kept: Vec<usize> = (0..draw.rows).filter(|&row| data.mask[[row, 0]]).collect();
    let fewer = data.select(&kept);
    let criterion = draw.criterion(&Device::reference());
    let masked =
        criterion.evaluate_f64(&data.inputs().mask(&data.mask).weight(&data.weight)).unwrap();
    let left = criterion.evaluate_f64(&fewer.inputs().weight(&fewer.weight)).unwrap();
    prop_assert!((masked.value() - left.value()).abs() <= 1e-12 * (1.0 + left.value().abs()));
    prop_assert_eq!(masked.gradient.select(Axis(0), &kept), left.gradient);
    prop_assert_eq!(masked.count, left.count);
    Ok(())
}

fn two_runs_give_the_same_bits(draw: &Draw) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    let criterion = draw.criterion(&Device::cpu());
    let run = || bits(&criterion.evaluate(&data.inputs().weight(&data.weight)).unwrap());
    prop_assert_eq!(run(), run());
    Ok(())
}

fn rows_in_another_order_give_the_gradients_in_that_order(
    draw: &Draw,
) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    let mut order: Vec<usize> = (0..draw.rows).collect();
    order.rotate_left(draw.seed as usize % draw.rows);
    order.swap(0, draw.rows - 1);
    let moved = data.select(&order);
    let criterion = draw.criterion(&Device::cpu());
    let here = criterion.evaluate(&data.inputs().weight(&data.weight)).unwrap();
    let there = criterion.evaluate(&moved.inputs().weight(&moved.weight)).unwrap();
    // The factor of `weighted_mean` is summed in another order: its last bit may differ.
    let expected: Vec<f64> =
        here.gradient.select(Axis(0), &order).iter().map(|&x| f64::from(x)).collect();
    let found: Vec<f64> = there.gradient.iter().map(|&x| f64::from(x)).collect();
    let worst = compare_slices("gradient", &expected, &found);
    prop_assert!(worst.relative <= 2e-7, "{worst}");
    Ok(())
}

fn twice_the_weight_is_twice_the_value_and_the_gradient(draw: &Draw) -> Result<(), TestCaseError> {
    if draw.reduction == Reduction::WeightedMean {
        return Ok(());
    }
    let data = data_of(draw);
    let double = data.weight.mapv(|w| 2.0 * w);
    let criterion = draw.criterion(&Device::cpu());
    let once = criterion.evaluate(&data.inputs().weight(&data.weight)).unwrap();
    let twice = criterion.evaluate(&data.inputs().weight(&double)).unwrap();
    prop_assert_eq!(once.values.mapv(|v| 2.0 * v), twice.values);
    // Doubling is exact, except for a subnormal term (the gradients of `approx_mrr` go down to
    // e⁻¹⁰⁰): each is off by up to 1.4e-45.
    for (once, twice) in once.gradient.iter().zip(&twice.gradient) {
        prop_assert!((2.0 * once - twice).abs() <= 1e-42, "twice {once:e} is {twice:e}");
    }
    Ok(())
}

/// On a GPU: two runs give the same bits, and they agree with the reference.
pub fn holds_on(draw: &Draw, device: &Device) -> Result<(), TestCaseError> {
    agrees(draw, device)?;
    let data = data_of(draw);
    let criterion = draw.criterion(device);
    let run = || bits(&criterion.evaluate(&data.inputs().mask(&data.mask)).unwrap());
    prop_assert_eq!(run(), run());
    Ok(())
}
