//! Draws the inputs of a case from an entry's domains of predictions and targets, with fixed seeds.

use half::f16;
use ndarray::{Array1, ArrayD, IxDyn};

use crate::cpu::random::Random;
use crate::losses::{Domain, LossDefinition};
use crate::testing::case_generator::{CaseGenerator, Granularity, Size, column_weight_name};
use crate::{Inputs, Reduction, Targets};

/// The inputs of one evaluation, owned.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// For messages.
    pub name: String,
    pub rows: usize,
    pub columns: usize,
    /// The shape of the values before the reduction.
    pub value_shape: Vec<usize>,
    pub predictions: ArrayD<f32>,
    pub dense: Option<ArrayD<f32>>,
    pub labels: Option<ArrayD<i64>>,
    pub weight: Option<ArrayD<f32>>,
    pub mask: Option<ArrayD<bool>>,
    pub column_weight: Option<Array1<f32>>,
    /// Only for losses that take it in addition to `class_weight`.
    pub pos_weight: Option<Array1<f32>>,
    pub class_mask: Option<ArrayD<bool>>,
    pub upstream: Option<ArrayD<f32>>,
    pub reduction: Reduction,
    pub auxiliary: bool,
    pub resident: bool,
    pub half: bool,
}

impl Case {
    /// The inputs for the criterion.
    pub fn inputs(&self, loss: &dyn LossDefinition) -> Inputs<'_> {
        let targets = match (&self.labels, &self.dense) {
            (Some(labels), _) => Targets::from(labels),
            (None, Some(dense)) => Targets::from(dense),
            (None, None) => Targets::from(&self.predictions),
        };
        let mut inputs = Inputs::new(&self.predictions, targets);
        if let Some(weight) = &self.weight {
            inputs = inputs.weight(weight);
        }
        if let Some(mask) = &self.mask {
            inputs = inputs.mask(mask);
        }
        if let Some(weight) = &self.column_weight {
            inputs = inputs.input(column_weight_name(loss).unwrap_or("class_weight"), weight);
        }
        if let Some(weight) = &self.pos_weight {
            inputs = inputs.pos_weight(weight);
        }
        if let Some(mask) = &self.class_mask {
            inputs = inputs.class_mask(mask);
        }
        if let Some(upstream) = &self.upstream {
            inputs = inputs.upstream(upstream);
        }
        if self.auxiliary { inputs.auxiliary() } else { inputs }
    }
}

/// True if it takes both `class_weight` and `pos_weight`.
fn takes_both(loss: &dyn LossDefinition) -> bool {
    let takes = |name: &str| loss.inputs().iter().any(|input| input.name == name);
    takes("class_weight") && takes("pos_weight")
}

/// Draws one case; `number` is its index in the list, which selects its random stream.
pub(super) fn draw(
    loss: &dyn LossDefinition,
    case_generator: &CaseGenerator,
    number: usize,
) -> Case {
    let mut random = Random::new(2024, number as u64);
    let rowwise = !loss.is_pointwise();
    let shape = case_generator.shape;
    let columns = shape[shape.len() - 1];
    let elements: usize = shape.iter().product();
    let leading = if rowwise { &shape[..shape.len() - 1] } else { &shape[..1] };
    let rows: usize = leading.iter().product();
    let has_labels = rowwise && case_generator.labels && loss.targets().takes_labels();

    let mut predictions =
        guesses(&mut random, loss.predictions(), elements, columns, case_generator.size);
    let mut dense =
        (!has_labels).then(|| numbers(&mut random, loss.targets(), elements, columns, Size::Usual));
    let mut labels =
        has_labels.then(|| draw_labels(&mut random, loss, rows, columns, case_generator.ignored));
    let element_shape =
        |granularity| if granularity == Granularity::Element { shape } else { leading };
    let weight = (case_generator.weight != Granularity::None)
        .then(|| weights(&mut random, element_shape(case_generator.weight)));
    let mask = (case_generator.mask != Granularity::None)
        .then(|| flags(&mut random, element_shape(case_generator.mask), elements, 0.7));
    let class_mask = match case_generator.class_mask {
        Granularity::None => None,
        Granularity::Column => Some(flags(&mut random, &[columns], columns, 0.8)),
        _ => Some(flags(&mut random, shape, columns, 0.8)),
    };
    if case_generator.size == Size::Special {
        sprinkle(&mut random, rowwise, columns, &mut predictions, dense.as_deref_mut());
    }
    hide_nan_behind_masks(
        &mut predictions,
        dense.as_deref_mut(),
        labels.as_deref_mut(),
        mask.as_ref(),
        class_mask.as_ref(),
        columns,
    );
    if let (true, Some(truths)) = (loss.targets().pads(), &dense) {
        // Scores of padding are never read.
        predictions
            .iter_mut()
            .zip(truths)
            .filter(|(_, truth)| **truth < 0.0)
            .for_each(|(x, _)| *x = f32::NAN);
    }
    if case_generator.half {
        predictions.iter_mut().chain(dense.iter_mut().flatten()).for_each(|x| *x = rounded(*x));
    }
    let value_shape = if rowwise { leading } else { shape };
    let upstream = case_generator.upstream.then(|| {
        let wanted = if case_generator.reduction == Reduction::None { value_shape } else { &[] };
        array(wanted, || random.normal() as f32)
    });
    Case {
        name: name(case_generator, has_labels),
        rows,
        columns,
        value_shape: value_shape.to_vec(),
        predictions: filled(shape, predictions),
        dense: dense.map(|dense| filled(shape, dense)),
        labels: labels.map(|labels| filled(leading, labels)),
        weight,
        mask,
        column_weight: case_generator
            .column_weight
            .then(|| weights(&mut random, &[columns]).iter().copied().collect()),
        pos_weight: (case_generator.column_weight && takes_both(loss))
            .then(|| weights(&mut random, &[columns]).iter().copied().collect()),
        class_mask,
        upstream,
        reduction: case_generator.reduction,
        auxiliary: case_generator.auxiliary,
        resident: case_generator.resident,
        half: case_generator.half,
    }
}

/// Rounds to f16, clamping finite values to the finite range.
fn rounded(x: f32) -> f32 {
    let largest = f16::MAX.to_f32();
    f16::from_f32(if x.is_finite() { x.clamp(-largest, largest) } else { x }).to_f32()
}

/// Writes NaN and invalid labels wherever a mask excludes an element.
fn hide_nan_behind_masks(
    predictions: &mut [f32],
    mut dense: Option<&mut [f32]>,
    mut labels: Option<&mut [i64]>,
    mask: Option<&ArrayD<bool>>,
    class_mask: Option<&ArrayD<bool>>,
    columns: usize,
) {
    let elements = predictions.len();
    let flat = |mask: &ArrayD<bool>| mask.iter().copied().collect::<Vec<_>>();
    let (mask, class_mask) = (mask.map(flat), class_mask.map(flat));
    for i in 0..elements {
        // One per element or row; one per cell or column.
        let row = mask.as_ref().is_none_or(|mask| mask[i / (elements / mask.len())]);
        let class = class_mask.as_ref().is_none_or(|mask| mask[i % mask.len()]);
        if !row || !class {
            predictions[i] = f32::NAN;
        }
        if let Some(dense) = &mut dense {
            // A masked class that is a target makes the loss infinite: the special cases cover
            // that.
            dense[i] = match (row, class) {
                (false, _) => f32::NAN,
                (true, false) => 0.0,
                (true, true) => dense[i],
            };
        }
        if let Some(labels) = &mut labels {
            let label = &mut labels[i / columns];
            if !row {
                // Not a class, and beyond 32 bits: masked labels are never read.
                *label = 1 << 40;
            } else if !class && *label == (i % columns) as i64 {
                // The first class is never masked.
                *label = 0;
            }
        }
    }
}

/// Description of the case, for messages.
fn name(case_generator: &CaseGenerator, labels: bool) -> String {
    let mut words = vec![format!("{:?} {:?}", case_generator.shape, case_generator.reduction)];
    let switches = [
        ("labels", labels),
        ("weight", case_generator.weight != Granularity::None),
        ("mask", case_generator.mask != Granularity::None),
        ("column weight", case_generator.column_weight),
        ("class mask", case_generator.class_mask != Granularity::None),
        ("upstream", case_generator.upstream),
        ("on the device", case_generator.resident),
        ("f16", case_generator.half),
        ("NaN and infinities", case_generator.size == Size::Special),
    ];
    words.extend(switches.iter().filter(|(_, on)| *on).map(|(word, _)| (*word).to_string()));
    if let Size::Large(size) = case_generator.size {
        words.push(format!("up to {size}"));
    }
    words.join(", ")
}

/// An array of this shape; if the number of values does not match it is empty, and every comparison
/// fails.
fn filled<T: Default>(shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap_or_default()
}

fn array<T>(shape: &[usize], next: impl FnMut() -> T) -> ArrayD<T> {
    ArrayD::from_shape_simple_fn(IxDyn(shape), next)
}

fn weights(random: &mut Random, shape: &[usize]) -> ArrayD<f32> {
    let mut count = 0;
    array(shape, || {
        count += 1;
        // One in eight is 0, but never the first: the divisor stays positive.
        if count % 8 == 0 { 0.0 } else { 0.5 + 1.5 * random.uniform() as f32 }
    })
}

/// True for this fraction, and always for the first of each `width`, so that each row has one.
fn flags(random: &mut Random, shape: &[usize], width: usize, share: f64) -> ArrayD<bool> {
    let mut count = 0;
    array(shape, || {
        count += 1;
        random.uniform() < share || (count - 1) % width == 0
    })
}

/// Predictions in a domain: in its interior, for central differences on both sides; at its ends for
/// large sizes.
fn guesses(
    random: &mut Random,
    domain: Domain,
    elements: usize,
    columns: usize,
    size: Size,
) -> Vec<f32> {
    let mut each =
        |one: &dyn Fn(f64) -> f64| (0..elements).map(|_| one(random.uniform()) as f32).collect();
    match (domain, size) {
        // 0, 1, and values near both on a logarithmic scale.
        (Domain::Probability, Size::Large(size)) => each(&|u| match 2.0 * u - 1.0 {
            s if s.abs() < 0.1 => f64::from(u8::from(s > 0.0)),
            s if s < 0.0 => size.powf(2.0 * s),
            s => 1.0 - size.powf(-2.0 * s),
        }),
        // Includes both ends, where an angle's sine is 0.
        (Domain::Cosine, Size::Large(_)) => each(&|u| (2.2 * u - 1.1).clamp(-1.0, 1.0)),
        (Domain::Probability, _) => each(&|u| 0.1 + 0.8 * u),
        (Domain::Positive, Size::Large(size)) => each(&|u| size.powf(2.0 * u - 1.0)),
        // A thousand terms of e^27 cubed still fit an f32. The edge tests go further.
        (Domain::Exponent, Size::Large(size)) => {
            numbers(random, Domain::Real, elements, columns, Size::Large(size.min(27.0)))
        }
        _ => numbers(random, domain, elements, columns, size),
    }
}

/// Numbers of a domain, row by row.
pub(super) fn numbers(
    random: &mut Random,
    domain: Domain,
    elements: usize,
    columns: usize,
    size: Size,
) -> Vec<f32> {
    let draw = |random: &mut Random| match size {
        Size::Large(size) => size * (2.0 * random.uniform() - 1.0),
        _ => 3.0 * random.normal(),
    };
    if domain == Domain::ClassList {
        return (0..elements / columns).flat_map(|_| class_list(random, columns)).collect();
    }
    let mut each =
        |one: &dyn Fn(f64) -> f64| (0..elements).map(|_| one(random.uniform()) as f32).collect();
    match domain {
        Domain::Real | Domain::Exponent | Domain::Logits => {
            (0..elements).map(|_| draw(random) as f32).collect()
        }
        Domain::Cosine => each(&|u| 1.8 * u - 0.9),
        Domain::Sign => each(&|u| if u < 0.5 { -1.0 } else { 1.0 }),
        Domain::ZeroOne => each(&|u| if u < 0.5 { 0.0 } else { 1.0 }),
        // Padding, tied grades, and some non-integer grades.
        Domain::Relevance | Domain::Grade | Domain::Time => each(&|u| match (8.0 * u).fract() {
            _ if u < 0.125 => -1.0,
            v if u < 0.875 => (5.0 * v).floor(),
            v => 4.0 * v,
        }),
        Domain::Positive | Domain::Variance => each(&|u| 0.25 + 6.0 * u),
        Domain::LogProbability => each(&|u| -0.05 - 6.0 * u),
        // Zeros, counts, non-integers, and counts up to a million.
        Domain::NonNegative => each(&|u| match (10.0 * u).fract() {
            _ if u < 0.2 => 0.0,
            v if u < 0.6 => (10.0 * v).floor(),
            v if u < 0.9 => 6.0 * v,
            v => 1e6_f64.powf(v).floor(),
        }),
        // Drawn earlier, row by row.
        Domain::ClassList => Vec::new(),
        // Includes both ends.
        Domain::Probability => each(&|u| (1.2 * u - 0.1).clamp(0.0, 1.0)),
        Domain::Distribution | Domain::Class | Domain::Label | Domain::LogDistribution => {
            let mut all = Vec::with_capacity(elements);
            for _ in 0..elements / columns {
                let row: Vec<f64> = (0..columns).map(|_| draw(random)).collect();
                all.extend(distribution(&row, domain == Domain::LogDistribution));
            }
            all
        }
    }
}

/// Some of the classes, none or all, then −1 and values that are never read.
fn class_list(random: &mut Random, columns: usize) -> Vec<f32> {
    let listed = (random.uniform() * (columns + 1) as f64) as usize;
    let first = (random.uniform() * columns as f64) as usize;
    let class = |place: usize| match place {
        place if place < listed => ((first + place) % columns) as f32,
        place if place == listed => -1.0,
        place => (place % 3) as f32 - 1.0,
    };
    (0..columns).map(class).collect()
}

/// A row of numbers as probabilities (those below a thousandth are exactly 0), or as their
/// logarithms.
fn distribution(row: &[f64], logarithms: bool) -> impl Iterator<Item = f32> {
    let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = maximum + row.iter().map(|x| (x - maximum).exp()).sum::<f64>().ln();
    row.iter().map(move |x| {
        let log = x - log_sum;
        if logarithms {
            log as f32
        } else if log.exp() < 1e-3 {
            0.0
        } else {
            log.exp() as f32
        }
    })
}

fn draw_labels(
    random: &mut Random,
    loss: &dyn LossDefinition,
    rows: usize,
    columns: usize,
    ignored: f64,
) -> Vec<i64> {
    let left_out = loss.ignored();
    let mut next = 0;
    let label = |_| {
        if random.uniform() < ignored && !left_out.is_empty() {
            next += 1;
            return left_out[next % left_out.len()];
        }
        (random.uniform() * loss.classes(columns) as f64) as i64
    };
    (0..rows).map(label).collect()
}

/// Inserts NaN and infinities: in a few elements for a pointwise loss, else each kind in separate
/// rows.
fn sprinkle(
    random: &mut Random,
    rowwise: bool,
    columns: usize,
    predictions: &mut [f32],
    dense: Option<&mut [f32]>,
) {
    const SPECIAL: [f32; 3] = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
    if !rowwise {
        for (i, x) in predictions.iter_mut().enumerate().step_by(5) {
            *x = SPECIAL[i / 5 % 3];
        }
        for truth in dense.into_iter().flatten().skip(2).step_by(7) {
            *truth = f32::NAN;
        }
        return;
    }
    for (number, row) in predictions.chunks_exact_mut(columns).enumerate() {
        match number % 5 {
            0 => row[random.next_u32() as usize % columns] = f32::NAN,
            // A masked class is -inf; it may or may not be the label.
            1 | 2 => row
                .iter_mut()
                .for_each(|x| *x = if random.uniform() < 0.3 { f32::NEG_INFINITY } else { *x }),
            3 if number % 2 == 0 => row.fill(f32::NEG_INFINITY),
            4 if number % 2 == 1 => row[random.next_u32() as usize % columns] = f32::INFINITY,
            _ => {}
        }
    }
    for (number, row) in
        dense.into_iter().flat_map(|dense| dense.chunks_exact_mut(columns)).enumerate()
    {
        if number % 10 == 4 {
            row[random.next_u32() as usize % columns] = f32::NAN;
        }
    }
}
