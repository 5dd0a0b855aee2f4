//! Properties of multi-input losses for all shapes, options and inputs: drawn at random.

use crate::drawn::{Draw, drawn};
use crate::properties::Property;
use gradus::losses::{Argument, Domain, SeveralInputs, Template};
use gradus::random::Random;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction};
use ndarray::{ArrayD, Axis};
use proptest::prelude::*;

/// Draws of one multi-input loss.
pub fn draws(name: &'static str) -> BoxedStrategy<Draw> {
    // The gradient of ArcFace's margin is unbounded where a logit approaches 1, and the rounding of
    // the logit grows with it: the device checks have data of its domain.
    let is_bounded = |draw: &Draw| !format!("{:?}", draw.loss()).contains("Some(ArcFace)");
    drawn(move |loss| loss.name() == name, [9, 30, 40])
        .prop_filter("a bounded gradient", is_bounded)
        .boxed()
}

/// Inputs of one call, owned.
#[derive(Clone, Debug)]
struct Data {
    arrays: Vec<(&'static str, ArrayD<f32>)>,
    integers: Vec<(&'static str, ArrayD<i64>)>,
    weight: ArrayD<f32>,
    mask: ArrayD<bool>,
}

fn filled<T>(shape: &[usize], mut draw: impl FnMut() -> T) -> ArrayD<T> {
    ArrayD::from_shape_simple_fn(shape, &mut draw)
}

fn number(random: &mut Random, argument: &Argument) -> f32 {
    let (u, x) = (random.uniform() as f32, 2.0 * random.normal() as f32);
    match argument.domain {
        Domain::Positive | Domain::Variance | Domain::NonNegative => 0.25 + 6.0 * u,
        Domain::Sign => (u - 0.5).signum(),
        Domain::ZeroOne | Domain::Probability => u.round(),
        // Ties, and padding.
        Domain::Time => (8.0 * u).floor() - 1.0,
        Domain::LogProbability => -0.05 - 6.0 * u,
        _ => x,
    }
}

impl Data {
    fn inputs(&self) -> Inputs<'_> {
        let (first, others) = self.arrays.split_first().expect("a loss has an input");
        let inputs =
            others.iter().fold(Inputs::named(first.0, &first.1), |inputs, (name, array)| {
                inputs.input(name, array)
            });
        self.integers.iter().fold(inputs, |inputs, (name, array)| inputs.input(name, array))
    }
}

/// Bounds in order: an upper one below its lower one is moved up by it.
fn order_bounds(arrays: &mut [(&'static str, ArrayD<f32>)]) {
    let of = |name: &str| arrays.iter().position(|(given, _)| *given == name);
    let (Some(lower), Some(upper)) = (of("lower"), of("upper")) else { return };
    let lower = arrays[lower].1.clone();
    let bounds = arrays[upper].1.iter_mut().zip(&lower);
    bounds.filter(|(upper, lower)| **upper < **lower).for_each(|(upper, lower)| *upper += lower);
}

fn data_of(draw: &Draw) -> Data {
    let loss = draw.loss();
    let Template::Several(_, host) = loss.template() else {
        panic!("{} has several inputs", loss.name())
    };
    let mut random = Random::new(draw.seed, 0);
    let (mut arrays, mut integers) = (Vec::new(), Vec::new());
    for example in host.example(draw.rows, draw.columns) {
        let argument =
            loss.arguments().iter().find(|argument| argument.name == example.name).unwrap();
        if argument.role.is_integers() {
            let (from, span) = (example.from as f64, (example.below - example.from) as f64);
            integers.push((
                example.name,
                filled(&example.shape, || (from + random.uniform() * span) as i64),
            ));
        } else {
            arrays.push((example.name, filled(&example.shape, || number(&mut random, argument))));
        }
    }
    order_bounds(&mut arrays);
    let mut data =
        Data { arrays, integers, weight: filled(&[], || 1.0), mask: filled(&[], || true) };
    let each = Criterion::from_boxed(draw.loss(), &Device::reference())
        .unwrap()
        .reduction(Reduction::None);
    let shape = each.evaluate(&data.inputs()).unwrap().values.shape().to_vec();
    data.weight = filled(&shape, || 0.25 + random.uniform() as f32);
    data.mask = filled(&shape, || random.uniform() < 0.7);
    data
}

/// All gradients, in the order of the inputs.
fn gradients<R: Clone + Into<f64>>(found: &Evaluation<R>) -> Vec<Vec<f64>> {
    let others = found.others.iter().map(|(_, gradient)| gradient);
    std::iter::once(&found.gradient)
        .chain(others)
        .map(|all| all.iter().map(|x| x.clone().into()).collect())
        .collect()
}

fn is_same(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan())
}

/// Within `share` of the largest number of the tensor, where sums of hundreds of terms each round
/// by 6e-8.
fn near(exact: &[f64], found: &[f64], share: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(exact.len(), found.len());
    let largest =
        exact.iter().filter(|x| x.is_finite()).fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (place, (&e, &f)) in exact.iter().zip(found).enumerate() {
        prop_assert!(
            is_same(e, f) || (f - e).abs() <= share * largest + 1e-30,
            "{place} is {f:e} instead of {e:e}"
        );
    }
    Ok(())
}

fn values<R>(found: &Evaluation<R>) -> Vec<f64> {
    found.values.iter().copied().collect()
}

/// By how much the terms of a sum are larger together than the sum: each rounds by itself, and what
/// they cancel to keeps their roundings.
fn cancellation(draw: &Draw, inputs: &Inputs) -> f64 {
    let each = Criterion::from_boxed(draw.loss(), &Device::reference())
        .unwrap()
        .reduction(Reduction::None);
    let each = each.evaluate_f64(inputs).unwrap().values;
    let (sum, sizes): (f64, f64) = (each.sum(), each.iter().map(|x| x.abs()).sum());
    let is_reduced = draw.reduction != Reduction::None;
    if is_reduced && sum != 0.0 && sizes.is_finite() { sizes / sum.abs() } else { 1.0 }
}

fn agrees(draw: &Draw, device: &Device) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    for inputs in [data.inputs(), data.inputs().mask(&data.mask).weight(&data.weight)] {
        let exact = draw.criterion(&Device::reference()).evaluate_f64(&inputs).unwrap();
        let found = draw.criterion(device).evaluate_f64(&inputs).unwrap();
        near(&values(&exact), &values(&found), 2e-5 * cancellation(draw, &inputs))?;
        // A gradient's cell may be a difference of terms ten times its tensor's largest: the bound
        // of the golden cases.
        for (exact, found) in gradients(&exact).iter().zip(&gradients(&found)) {
            near(exact, found, 1e-4)?;
        }
        prop_assert_eq!(exact.count, found.count);
    }
    Ok(())
}

fn bits(found: &Evaluation) -> Vec<Vec<u64>> {
    let all = std::iter::once(values(found)).chain(gradients(found));
    all.map(|numbers| numbers.iter().map(|x| x.to_bits()).collect()).collect()
}

fn times(factor: f64, found: &Evaluation) -> Vec<Vec<f64>> {
    gradients(found).into_iter().map(|all| all.into_iter().map(|x| factor * x).collect()).collect()
}

/// The properties by name.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("the cpu agrees with the reference", the_cpu_agrees_with_the_reference),
    ("two runs give the same bits", two_runs_give_the_same_bits),
    (
        "a sum is that of the values and a divisor divides it",
        a_sum_is_that_of_the_values_and_a_divisor_divides_it,
    ),
    (
        "twice the weight is twice the value and the gradients",
        twice_the_weight_is_twice_the_value_and_the_gradients,
    ),
    (
        "the gradients grow with the upstream and the value does not",
        the_gradients_grow_with_the_upstream_and_the_value_does_not,
    ),
    ("a masked sum is that of the values kept", a_masked_sum_is_that_of_the_values_kept),
    (
        "rows in another order give values and gradients in that order",
        rows_in_another_order_give_values_and_gradients_in_that_order,
    ),
];

fn the_cpu_agrees_with_the_reference(draw: &Draw) -> Result<(), TestCaseError> {
    agrees(draw, &Device::cpu())
}

fn two_runs_give_the_same_bits(draw: &Draw) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    let criterion = draw.criterion(&Device::cpu());
    let run = || bits(&criterion.evaluate(&data.inputs().weight(&data.weight)).unwrap());
    prop_assert_eq!(run(), run());
    Ok(())
}

fn a_sum_is_that_of_the_values_and_a_divisor_divides_it(draw: &Draw) -> Result<(), TestCaseError> {
    let data = data_of(draw);
    let criterion = Criterion::from_boxed(draw.loss(), &Device::reference()).unwrap();
    let evaluate =
        |reduction| criterion.clone().reduction(reduction).evaluate_f64(&data.inputs()).unwrap();
    let (sum, each, part) =
        (evaluate(Reduction::Sum), evaluate(Reduction::None), evaluate(Reduction::Divisor(8.0)));
    near(&[sum.value()], &[each.value()], 1e-12)?;
    near(&[sum.value()], &[8.0 * part.value()], 1e-12)?;
    for (sum, each) in gradients(&sum).iter().zip(gradients(&each)) {
        near(sum, &each, 1e-12)?;
    }
    Ok(())
}

fn twice_the_weight_is_twice_the_value_and_the_gradients(draw: &Draw) -> Result<(), TestCaseError> {
    if draw.reduction == Reduction::WeightedMean {
        return Ok(());
    }
    let data = data_of(draw);
    let double = data.weight.mapv(|w| 2.0 * w);
    let criterion = draw.criterion(&Device::reference());
    let once = criterion.evaluate_f64(&data.inputs().weight(&data.weight)).unwrap();
    let twice = criterion.evaluate_f64(&data.inputs().weight(&double)).unwrap();
    near(&values(&once).iter().map(|x| 2.0 * x).collect::<Vec<_>>(), &values(&twice), 1e-12)?;
    for (once, twice) in gradients(&once).iter().zip(gradients(&twice)) {
        near(&once.iter().map(|x| 2.0 * x).collect::<Vec<_>>(), &twice, 1e-12)?;
    }
    Ok(())
}

fn the_gradients_grow_with_the_upstream_and_the_value_does_not(
    draw: &Draw,
) -> Result<(), TestCaseError> {
    if draw.reduction == Reduction::None {
        return Ok(());
    }
    let data = data_of(draw);
    let upstream = ndarray::arr0(-4.0_f32);
    let criterion = draw.criterion(&Device::cpu());
    let plain = criterion.evaluate(&data.inputs()).unwrap();
    let scaled = criterion.evaluate(&data.inputs().upstream(&upstream)).unwrap();
    near(&values(&plain), &values(&scaled), 0.0)?;
    // A factor of four is exact, but a sum of subnormal terms is not.
    for (plain, scaled) in times(-4.0, &plain).iter().zip(gradients(&scaled)) {
        near(plain, &scaled, 2e-7)?;
    }
    Ok(())
}

fn a_masked_sum_is_that_of_the_values_kept(draw: &Draw) -> Result<(), TestCaseError> {
    // The candidates of a similarity affect the values of other rows.
    let loss = draw.loss();
    if matches!(loss.template(), Template::Several(SeveralInputs::Similarity(_), _)) {
        return Ok(());
    }
    let data = data_of(draw);
    let criterion = Criterion::from_boxed(loss, &Device::reference()).unwrap();
    let each = criterion.clone().reduction(Reduction::None).evaluate_f64(&data.inputs()).unwrap();
    let kept: f64 =
        each.values.iter().zip(&data.mask).filter(|(_, kept)| **kept).map(|(value, _)| value).sum();
    let masked =
        criterion.reduction(Reduction::Sum).evaluate_f64(&data.inputs().mask(&data.mask)).unwrap();
    prop_assert!(
        is_same(kept, masked.value())
            || (kept - masked.value()).abs() <= 1e-12 * (1.0 + kept.abs())
    );
    Ok(())
}

fn rows_in_another_order_give_values_and_gradients_in_that_order(
    draw: &Draw,
) -> Result<(), TestCaseError> {
    let loss = draw.loss();
    let is_by_row = matches!(
        loss.template(),
        Template::Several(
            SeveralInputs::TwoInput
                | SeveralInputs::Preference
                | SeveralInputs::Boxes
                | SeveralInputs::Distance
                | SeveralInputs::Policy(_)
                | SeveralInputs::Survival,
            _
        )
    );
    if !is_by_row {
        return Ok(());
    }
    let data = data_of(draw);
    let mut order: Vec<usize> = (0..draw.rows).collect();
    order.rotate_left(draw.seed as usize % draw.rows);
    let mut moved = data.clone();
    moved.arrays.iter_mut().for_each(|(_, array)| *array = array.select(Axis(0), &order));
    moved.integers.iter_mut().for_each(|(_, array)| *array = array.select(Axis(0), &order));
    let criterion =
        Criterion::from_boxed(loss, &Device::reference()).unwrap().reduction(Reduction::None);
    let (here, there) = (
        criterion.evaluate_f64(&data.inputs()).unwrap(),
        criterion.evaluate_f64(&moved.inputs()).unwrap(),
    );
    prop_assert_eq!(here.values.select(Axis(0), &order), there.values);
    prop_assert_eq!(here.gradient.select(Axis(0), &order), there.gradient);
    for ((_, here), (_, there)) in here.others.iter().zip(&there.others) {
        prop_assert_eq!(&here.select(Axis(0), &order), there);
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
