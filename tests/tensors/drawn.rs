//! Random inputs of any loss, as arrays and as tensors; the results of both calls are compared to
//! the last bit.
//!
//! On a GPU both run the same kernels, and differ in where weights are multiplied by 1/divisor,
//! masked and divided by lengths: on the host in f64, rounded once, or on the device in f32. The
//! numbers drawn here give the same bits both ways: weights are powers of two from ¼ to 2, so that
//! sums of thousands of them are exact in f32 (multiples of ¼ below 2²²), and so are products by
//! them; 1/n rounds to the same f32 with or without f64 (n < 2²⁴: 1/n is never within 2⁻⁴⁹ of the
//! midpoint of two neighbours, and f64 rounds by 2⁻⁵³).

use gradus::losses::{self, Argument, Domain, LossDefinition, Template};
use gradus::random::Random;
use gradus::{
    Criterion, Device, DeviceEvaluation, Evaluation, Inputs, Reduction, Targets, Tensor,
    TensorInputs,
};
use ndarray::ArrayD;

/// The inputs of one call, owned.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub arrays: Vec<(&'static str, ArrayD<f32>)>,
    pub integers: Vec<(&'static str, ArrayD<i64>)>,
    pub weight: Option<ArrayD<f32>>,
    pub mask: Option<ArrayD<bool>>,
    pub upstream: Option<ArrayD<f32>>,
}

pub fn filled<T>(shape: &[usize], mut draw: impl FnMut() -> T) -> ArrayD<T> {
    ArrayD::from_shape_simple_fn(shape, &mut draw)
}

pub fn power_of_two(random: &mut Random) -> f32 {
    [0.25, 0.5, 1.0, 2.0][random.next_u32() as usize % 4]
}

/// A number in the domain of an input.
pub fn number(random: &mut Random, domain: Domain, columns: usize) -> f32 {
    let (u, x) = (random.uniform() as f32, 2.0 * random.normal() as f32);
    match domain {
        Domain::Positive | Domain::Variance | Domain::NonNegative => 0.25 + 6.0 * u,
        Domain::Sign => (u - 0.5).signum(),
        Domain::ZeroOne => u.round(),
        Domain::Probability | Domain::Class | Domain::Distribution => u,
        Domain::Cosine => x.tanh(),
        Domain::LogProbability => -0.05 - 6.0 * u,
        Domain::LogDistribution => (u + 1e-3).ln(),
        Domain::Relevance | Domain::Grade => (5.0 * u).floor() - 1.0,
        Domain::ClassList => (columns as f32 * u).floor() - 1.0,
        _ => x,
    }
}

/// Predictions and targets, labels if the loss takes them.
pub fn of_predictions(
    random: &mut Random,
    loss: &dyn LossDefinition,
    rows: usize,
    columns: usize,
) -> Data {
    let mut data = Data::default();
    let shape = [rows, columns];
    data.arrays
        .push(("predictions", filled(&shape, || number(random, loss.predictions(), columns))));
    if loss.targets().takes_labels() {
        let label = || match random.uniform() {
            u if u < 0.2 => loss.ignored().first().copied().unwrap_or(0),
            _ => (random.uniform() * loss.classes(columns) as f64) as i64,
        };
        data.integers.push(("targets", filled(&[rows], label)));
    } else if loss.targets() == Domain::ClassList && rows.is_multiple_of(2) {
        data.integers.push((
            "targets",
            filled(&shape, || number(random, Domain::ClassList, columns) as i64),
        ));
    } else {
        data.arrays.push(("targets", filled(&shape, || number(random, loss.targets(), columns))));
    }
    for input in loss.inputs().iter().filter(|input| input.name != "class_mask") {
        if random.uniform() < 0.7 {
            let of_items = input.name == "item_weight";
            let shape = if of_items { &shape[..] } else { &[columns][..] };
            data.arrays.push((input.name, filled(shape, || power_of_two(random))));
        }
    }
    data
}

/// All inputs of a multi-input loss.
pub fn of_several(
    random: &mut Random,
    loss: &dyn LossDefinition,
    rows: usize,
    columns: usize,
) -> Data {
    let Template::Several(_, host) = loss.template() else {
        panic!("{} has several inputs", loss.name())
    };
    let mut data = Data::default();
    for example in host.example(rows, columns) {
        let argument: &Argument =
            loss.arguments().iter().find(|argument| argument.name == example.name).unwrap();
        if argument.role.is_integers() {
            let (from, span) = (example.from as f64, (example.below - example.from) as f64);
            let ignored = loss.inner().map_or(&[][..], |inner| inner.ignored());
            let draw = || match ignored.first() {
                Some(&ignored) if random.uniform() < 0.2 => ignored,
                _ => (from + random.uniform() * span) as i64,
            };
            data.integers.push((example.name, filled(&example.shape, draw)));
        } else if example.name == "class_weight" {
            data.arrays.push((example.name, filled(&example.shape, || power_of_two(random))));
        } else {
            data.arrays.push((
                example.name,
                filled(&example.shape, || number(random, argument.domain, columns)),
            ));
        }
    }
    order_bounds(&mut data.arrays);
    data
}

/// Bounds in order: an upper one below its lower one is moved up by it.
fn order_bounds(arrays: &mut [(&'static str, ArrayD<f32>)]) {
    let of = |name: &str| arrays.iter().position(|(given, _)| *given == name);
    let (Some(lower), Some(upper)) = (of("lower"), of("upper")) else { return };
    let lower = arrays[lower].1.clone();
    let bounds = arrays[upper].1.iter_mut().zip(&lower);
    bounds.filter(|(upper, lower)| **upper < **lower).for_each(|(upper, lower)| *upper += lower);
}

/// Optional inputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct With {
    pub weight: bool,
    pub mask: bool,
    /// Weight and mask per row, where they may also be per element.
    pub per_row: bool,
    pub upstream: bool,
}

impl Data {
    /// Draws the optional inputs, in the shape of the values, taken from the reference.
    pub fn with(mut self, random: &mut Random, criterion: &Criterion, with: With) -> Data {
        // Weights of items on a device are not summed, which an error says.
        if criterion_reduction(criterion) == "WeightedMean" {
            self.arrays.retain(|(name, _)| *name != "item_weight");
        }
        let reference = again(criterion, &Device::reference()).reduction(Reduction::None);
        let shape = reference.evaluate(&self.inputs()).unwrap().values.shape().to_vec();
        // [rows] of a square are columns of arrays, and rows of tensors.
        let is_square = matches!(shape[..], [rows, columns] if rows == columns);
        let per_row = with.per_row && !shape.is_empty() && !is_square;
        let spread = if per_row { &shape[..1] } else { &shape[..] };
        self.weight = with.weight.then(|| filled(spread, || power_of_two(random)));
        self.mask = with
            .mask
            .then(|| filled(if with.weight { &shape } else { spread }, || random.uniform() < 0.7));
        let each = criterion_reduction(criterion) == "None";
        self.upstream = with
            .upstream
            .then(|| filled(if each { &shape } else { &[] }, || -power_of_two(random)));
        self
    }

    pub fn inputs(&self) -> Inputs<'_> {
        let mut given: Vec<(&str, Targets<'_>)> =
            self.arrays.iter().map(|(name, array)| (*name, Targets::from(array))).collect();
        given.extend(self.integers.iter().map(|(name, array)| (*name, Targets::from(array))));
        let mut given = given.into_iter();
        let (name, first) = given.next().unwrap();
        let mut inputs = given
            .fold(Inputs::named(name, first), |inputs, (name, array)| inputs.input(name, array));
        if let Some(weight) = &self.weight {
            inputs = inputs.weight(weight);
        }
        if let Some(mask) = &self.mask {
            inputs = inputs.mask(mask);
        }
        if let Some(upstream) = &self.upstream {
            inputs = inputs.upstream(upstream);
        }
        inputs
    }

    pub fn upload(&self, device: &Device) -> Uploaded {
        let floats = |array: &ArrayD<f32>| Tensor::from_array(device, array.view()).unwrap();
        let whole = |array: &ArrayD<i64>| Tensor::from_integers(device, array).unwrap();
        let mut tensors: Vec<_> =
            self.arrays.iter().map(|(name, array)| (*name, floats(array))).collect();
        tensors.extend(self.integers.iter().map(|(name, array)| (*name, whole(array))));
        Uploaded {
            tensors,
            weight: self.weight.as_ref().map(floats),
            mask: self.mask.as_ref().map(|mask| Tensor::from_mask(device, mask).unwrap()),
            upstream: self.upstream.as_ref().map(|array| match array.ndim() {
                0 => Upload::Number(array.sum()),
                _ => Upload::Each(floats(array)),
            }),
        }
    }
}

/// The same inputs on a device.
pub struct Uploaded {
    tensors: Vec<(&'static str, Tensor)>,
    weight: Option<Tensor>,
    mask: Option<Tensor>,
    upstream: Option<Upload>,
}

/// A number if the value is reduced: passed to the kernel with the same bits as for arrays.
enum Upload {
    Number(f32),
    Each(Tensor),
}

impl Uploaded {
    pub fn inputs(&self) -> TensorInputs<'_> {
        let ((name, first), others) = self.tensors.split_first().unwrap();
        let mut inputs = TensorInputs::named(name, first);
        for (name, tensor) in others {
            inputs = inputs.input(name, tensor);
        }
        if let Some(weight) = &self.weight {
            inputs = inputs.weight(weight);
        }
        if let Some(mask) = &self.mask {
            inputs = inputs.mask(mask);
        }
        match &self.upstream {
            None => inputs,
            Some(Upload::Number(number)) => inputs.upstream(*number),
            Some(Upload::Each(tensor)) => inputs.upstream(tensor),
        }
    }
}

pub fn again(criterion: &Criterion, device: &Device) -> Criterion {
    let loss = losses::from_name(criterion.loss().name(), &criterion.loss().options()).unwrap();
    Criterion::from_boxed(loss, device).unwrap()
}

/// The name of its reduction, which a criterion only shows in its `Debug` output.
pub fn criterion_reduction(criterion: &Criterion) -> String {
    let text = format!("{criterion:?}");
    let start = text.find("reduction: ").unwrap() + "reduction: ".len();
    text[start..].chars().take_while(|c| c.is_alphabetic()).collect()
}

/// The first place where the bits differ; all NaNs are equal.
pub fn difference(name: &str, expected: &[f32], found: &[f32]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{name}: {} numbers instead of {}", found.len(), expected.len()));
    }
    let is_same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    let place = expected.iter().zip(found).position(|(&a, &b)| !is_same(a, b))?;
    Some(format!("{name}[{place}] is {:e} instead of {:e}", found[place], expected[place]))
}

pub fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_array().unwrap().iter().copied().collect()
}

/// Compares all results of both calls.
pub fn differences(expected: &Evaluation, found: &DeviceEvaluation) -> Option<String> {
    if let Some(values) = &found.values {
        let wide: Vec<f32> = expected.values.iter().map(|&x| x as f32).collect();
        if values.shape() != expected.values.shape() {
            return Some(format!(
                "values are {:?} instead of {:?}",
                values.shape(),
                expected.values.shape()
            ));
        }
        if let Some(difference) = difference("values", &wide, &flat(values)) {
            return Some(difference);
        }
    }
    let value = found.value().unwrap() as f32;
    if let Some(difference) = difference("value", &[expected.value() as f32], &[value]) {
        return Some(difference);
    }
    if found.count().unwrap() != expected.count {
        return Some(format!("count is {} instead of {}", found.count().unwrap(), expected.count));
    }
    let others = |(name, gradient): &(&'static str, ArrayD<f32>)| (*name, gradient.clone());
    let gradients: Vec<_> = std::iter::once(("gradient", expected.gradient.clone()))
        .chain(expected.others.iter().map(others))
        .collect();
    if gradients.len() != 1 + found.others.len() {
        return Some(format!(
            "{} gradients instead of {}",
            1 + found.others.len(),
            gradients.len()
        ));
    }
    let tensors =
        std::iter::once(&found.gradient).chain(found.others.iter().map(|(_, tensor)| tensor));
    gradients.iter().zip(tensors).find_map(|((name, gradient), tensor)| {
        if tensor.shape() != gradient.shape() {
            return Some(format!(
                "{name} is {:?} instead of {:?}",
                tensor.shape(),
                gradient.shape()
            ));
        }
        difference(name, gradient.iter().copied().collect::<Vec<_>>().as_slice(), &flat(tensor))
    })
}

/// Runs both calls and compares.
pub fn agrees(criterion: &Criterion, data: &Data) -> Result<(), String> {
    let name = criterion.loss().name();
    let expected =
        criterion.evaluate(&data.inputs()).map_err(|error| format!("arrays: {error}"))?;
    let uploaded = data.upload(criterion.device());
    let found = criterion
        .evaluate_tensors(&uploaded.inputs())
        .map_err(|error| format!("tensors: {error}"))?;
    match differences(&expected, &found) {
        None => Ok(()),
        Some(difference) => Err(format!("{name} {}: {difference}", criterion_reduction(criterion))),
    }
}

/// The inputs of any loss.
pub fn draw(random: &mut Random, loss: &dyn LossDefinition, rows: usize, columns: usize) -> Data {
    if loss.arguments().is_empty() {
        of_predictions(random, loss, rows, columns)
    } else {
        of_several(random, loss, rows, columns)
    }
}
