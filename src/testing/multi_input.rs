//! Checks of the multi-input losses: the same rules as for predictions and targets, over every
//! floating-point input.

use std::iter::repeat_n;

use ndarray::ArrayD;
use serde_json::Value;

use crate::cpu::random::Random;
use crate::losses::{Argument, LossDefinition, SeveralInputs, Template};
use crate::templates::multi_input::cpu::{Array, MultiInput, MultiInputCpu, Shapes, Units};
use crate::testing::case_generator::Size;
use crate::testing::draw::numbers;
use crate::testing::exact::finite;
use crate::testing::report::{Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP};
use crate::{Criterion, Device, Entry, Inputs, Reduction, Result};

/// Generator of one case.
struct CaseGenerator {
    rows: usize,
    columns: usize,
    reduction: Reduction,
    /// Weights and a mask; NaN in masked elements is covered by the kernel templates' own tests.
    weighted: bool,
    upstream: bool,
    /// Magnitude of the numbers.
    size: Size,
}

const PLAIN: CaseGenerator = CaseGenerator {
    rows: 6,
    columns: 13,
    reduction: Reduction::Mean,
    weighted: false,
    upstream: false,
    size: Size::Usual,
};

const CASE_GENERATORS: &[CaseGenerator] = &[
    PLAIN,
    CaseGenerator { rows: 1, columns: 1, ..PLAIN },
    CaseGenerator { rows: 2, columns: 1, ..PLAIN },
    CaseGenerator {
        rows: 7,
        columns: 5,
        reduction: Reduction::None,
        weighted: true,
        upstream: true,
        ..PLAIN
    },
    CaseGenerator { rows: 33, columns: 17, reduction: Reduction::Sum, ..PLAIN },
    CaseGenerator {
        rows: 40,
        columns: 65,
        reduction: Reduction::BatchMean,
        upstream: true,
        ..PLAIN
    },
    CaseGenerator {
        rows: 21,
        columns: 64,
        reduction: Reduction::WeightedMean,
        weighted: true,
        ..PLAIN
    },
    CaseGenerator { rows: 130, columns: 31, weighted: true, ..PLAIN },
    CaseGenerator {
        rows: 9,
        columns: 200,
        reduction: Reduction::Divisor(7.0),
        size: Size::Large(30.0),
        ..PLAIN
    },
];

/// One case: its inputs for the criterion.
struct Case {
    name: String,
    arrays: Vec<(&'static str, ArrayD<f32>)>,
    integers: Vec<(&'static str, ArrayD<i64>)>,
    weight: Option<ArrayD<f32>>,
    mask: Option<ArrayD<bool>>,
    upstream: Option<ArrayD<f32>>,
    reduction: Reduction,
    units: Units,
}

fn argument<'a>(loss: &'a dyn LossDefinition, name: &str) -> Option<&'a Argument> {
    loss.arguments().iter().find(|argument| argument.name == name)
}

fn draw(
    loss: &dyn LossDefinition,
    host: &dyn MultiInputCpu,
    case_generator: &CaseGenerator,
    number: usize,
) -> Result<Case> {
    let mut random = Random::new(2026, number as u64);
    let (mut arrays, mut integers, mut given) = (Vec::new(), Vec::new(), Vec::new());
    for example in host.example(case_generator.rows, case_generator.columns) {
        let Some(argument) = argument(loss, example.name) else { continue };
        let length: usize = example.shape.iter().product();
        given.push((example.name, example.shape.clone()));
        if argument.role.is_integers() {
            let draw = || {
                (example.from as f64 + random.uniform() * (example.below - example.from) as f64)
                    as i64
            };
            let values: Vec<i64> = std::iter::repeat_with(draw).take(length).collect();
            integers.push((example.name, shaped(&example.shape, values)));
        } else {
            let columns = example.shape.last().copied().unwrap_or(1);
            let values =
                numbers(&mut random, argument.domain, length, columns, case_generator.size);
            arrays.push((example.name, shaped(&example.shape, values)));
        }
    }
    order_bounds(&mut arrays);
    let units = host.units(&Shapes { loss: loss.name(), given })?;
    let weight = case_generator.weighted.then(|| {
        let count = units.shape.iter().product();
        let values = (0..count)
            .map(|_| if random.uniform() < 0.1 { 0.0 } else { 2.0 * random.uniform() as f32 });
        shaped(&units.shape, values.collect())
    });
    let mask = case_generator.weighted.then(|| {
        let count = units.shape.iter().product();
        shaped(&units.shape, (0..count).map(|_| random.uniform() < 0.7).collect())
    });
    let upstream = case_generator.upstream.then(|| {
        let shape: &[usize] =
            if case_generator.reduction == Reduction::None { &units.shape } else { &[] };
        shaped(shape, (0..shape.iter().product()).map(|_| random.normal() as f32).collect())
    });
    let name = format!(
        "{}x{} {:?}",
        case_generator.rows, case_generator.columns, case_generator.reduction
    );
    Ok(Case {
        name,
        arrays,
        integers,
        weight,
        mask,
        upstream,
        reduction: case_generator.reduction,
        units,
    })
}

/// Bounds in order: an upper one below its lower one is moved up by it.
fn order_bounds(arrays: &mut [(&'static str, ArrayD<f32>)]) {
    let of = |name: &str| arrays.iter().position(|(given, _)| *given == name);
    let (Some(lower), Some(upper)) = (of("lower"), of("upper")) else { return };
    let lower = arrays[lower].1.clone();
    let bounds = arrays[upper].1.iter_mut().zip(&lower);
    bounds.filter(|(upper, lower)| **upper < **lower).for_each(|(upper, lower)| *upper += lower);
}

/// The shape always matches the number of values: both come from the same example.
fn shaped<T: Clone>(shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    let flat = ndarray::Array1::from(values).into_dyn();
    flat.to_shape(shape).map_or_else(|_| flat.clone(), |shaped| shaped.to_owned())
}

impl Case {
    fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::none();
        for (name, array) in &self.arrays {
            inputs = inputs.input(name, array);
        }
        for (name, array) in &self.integers {
            inputs = inputs.input(name, array);
        }
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

    /// In f64, in the order of the loss's arguments.
    fn multi_input(
        &self,
        loss: &dyn LossDefinition,
        host: &dyn MultiInputCpu,
    ) -> Result<MultiInput<'static, f64>> {
        let wide =
            |array: &ArrayD<f32>| -> Vec<f64> { array.iter().map(|&x| f64::from(x)).collect() };
        let numbers = loss.arguments().iter().filter_map(|argument| {
            let (name, array) = self.arrays.iter().find(|(name, _)| *name == argument.name)?;
            Some(Array { name, shape: array.shape().to_vec(), values: wide(array).into() })
        });
        let whole = self.integers.iter().map(|(name, array)| Array {
            name,
            shape: array.shape().to_vec(),
            values: array.iter().map(|&x| x as i32).collect::<Vec<_>>().into(),
        });
        let (upstream, upstreams) = match (&self.upstream, self.reduction) {
            (Some(upstream), Reduction::None) => (1.0, wide(upstream)),
            (Some(upstream), _) => (f64::from(upstream.sum()), Vec::new()),
            (None, _) => (1.0, Vec::new()),
        };
        let mut multi_input = MultiInput {
            arrays: numbers.collect(),
            integers: whole.collect(),
            units: self.units.shape.iter().product(),
            weight: self.weight.as_ref().map(wide).unwrap_or_default().into(),
            mask: self.mask.iter().flatten().copied().collect::<Vec<_>>().into(),
            factor: 1.0,
            upstream,
            upstreams: upstreams.into(),
        };
        self.reduction_factor(host, &mut multi_input)?;
        Ok(multi_input)
    }

    /// The reduction, implemented independently from its definition.
    fn reduction_factor(
        &self,
        host: &dyn MultiInputCpu,
        multi_input: &mut MultiInput<'static, f64>,
    ) -> Result<()> {
        let narrow = |array: &Array<'_, f64>| Array {
            name: array.name,
            shape: array.shape.clone(),
            values: array.values.iter().map(|&x| x as f32).collect::<Vec<_>>().into(),
        };
        let single = MultiInput {
            arrays: multi_input.arrays.iter().map(narrow).collect(),
            integers: multi_input.integers.clone(),
            units: multi_input.units,
            weight: Vec::new().into(),
            mask: Vec::new().into(),
            factor: 1.0,
            upstream: 1.0,
            upstreams: Vec::new().into(),
        };
        let terms = host.divisor_terms(&single)?;
        let or_ones = |values: &[f64]| {
            if values.is_empty() { vec![1.0; multi_input.units] } else { values.to_vec() }
        };
        let counts = |unit: &usize| {
            multi_input.mask.get(*unit).copied().unwrap_or(true)
                && terms.kept.get(*unit).copied().unwrap_or(true)
        };
        let kept: Vec<usize> = (0..multi_input.units).filter(counts).collect();
        let (mut weight, mean) = (or_ones(&multi_input.weight), or_ones(&terms.mean));
        let divisor: f64 = match self.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Divisor(divisor) => divisor,
            Reduction::BatchMean => self.units.rows as f64,
            Reduction::WeightedMean => kept.iter().map(|&unit| weight[unit]).sum(),
            Reduction::Mean => kept.iter().map(|&unit| mean[unit]).sum(),
        };
        if self.reduction == Reduction::Mean && !terms.scale.is_empty() {
            weight.iter_mut().zip(&terms.scale).for_each(|(weight, scale)| *weight *= scale);
        }
        multi_input.factor = if divisor == 0.0 { 0.0 } else { 1.0 / divisor };
        multi_input.weight = weight.into();
        multi_input.mask =
            (0..multi_input.units).map(|unit| kept.contains(&unit)).collect::<Vec<_>>().into();
        Ok(())
    }
}

/// Values and gradients in f64.
struct Exact {
    values: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

fn run(
    loss: &dyn LossDefinition,
    host: &dyn MultiInputCpu,
    multi_input: &MultiInput<'_, f64>,
) -> Result<Exact> {
    let names = loss.differentiated();
    let named = multi_input.arrays.iter().filter(|array| names.contains(&array.name));
    let mut gradients: Vec<Vec<f64>> = named.map(|array| vec![0.0; array.values.len()]).collect();
    let mut values = vec![0.0; multi_input.units];
    host.run_f64(multi_input, &mut gradients, &mut values)?;
    Ok(Exact { values, gradients })
}

/// The same with the numbers of one input perturbed, with random signs.
fn moved(
    loss: &dyn LossDefinition,
    host: &dyn MultiInputCpu,
    multi_input: &MultiInput<'static, f64>,
    which: usize,
    share: f64,
) -> Result<Exact> {
    let mut multi_input = multi_input.clone();
    for (index, x) in multi_input.arrays[which].values.to_mut().iter_mut().enumerate() {
        let words = crate::cpu::random::philox([index as u32, which as u32, 0, 0], [17, 0]);
        *x *= 1.0 + share * if words[0] & 1 == 0 { 1.0 } else { -1.0 };
    }
    run(loss, host, &multi_input)
}

/// Checks a multi-input loss on a device against the f64 reference.
pub(super) fn check(
    entry: &'static Entry<dyn LossDefinition>,
    options: &Value,
    host: &dyn MultiInputCpu,
    device: &Device,
    title: String,
) -> Result<Report> {
    let mut report = Report::new(title);
    let criterion = Criterion::from_boxed((entry.make)(options)?, device)?;
    let reference = Criterion::from_boxed((entry.make)(options)?, &Device::Reference)?;
    for (number, case_generator) in CASE_GENERATORS.iter().enumerate() {
        let case = draw(criterion.loss(), host, case_generator, number)?;
        let multi_input = case.multi_input(criterion.loss(), host)?;
        let exact = run(criterion.loss(), host, &multi_input)?;
        // A score or a layer's output is a sum over the columns: its rounding acts like a
        // perturbation of its inputs, and a temperature or γ amplifies it as it does the inputs'
        // own.
        let shares =
            (INPUT_ULPS + chain_of_outputs(criterion.loss(), case_generator.columns) / 2.0) * ULP;
        let moves: Vec<Exact> = (0..multi_input.arrays.len())
            .flat_map(|which| {
                [shares, -shares]
                    .map(|share| moved(criterion.loss(), host, &multi_input, which, share))
            })
            .collect::<Result<_>>()?;
        for (criterion, is_device) in [(&reference, false), (&criterion, true)] {
            let found = criterion.clone().reduction(case.reduction).evaluate_f64(&case.inputs())?;
            let (value, gradients) = bounds(
                criterion.loss(),
                &case,
                &multi_input,
                &exact,
                &moves,
                case_generator.columns,
                is_device,
            );
            report.add_value(&case.name, "value", value.compare(&found.values));
            let others = found.others.iter().map(|(_, gradient)| gradient);
            for ((name, bounded), found) in
                gradients.iter().zip(std::iter::once(&found.gradient).chain(others))
            {
                report.add_gradient(&case.name, name, bounded.compare(found));
            }
            if gradients.len() != 1 + found.others.len() {
                report.refuse(format!(
                    "{}: {} gradients came back",
                    case.name,
                    1 + found.others.len()
                ));
            }
        }
        report.cases += 1;
    }
    Ok(report)
}

/// Longest chain of additions in a sum over `columns` columns.
fn chain(columns: usize) -> f64 {
    if columns <= 64 { columns as f64 } else { columns as f64 / 8.0 + 3.0 }
}

/// Perturbation of the inputs, in half ulps, equivalent to the roundings of a score or a linear
/// layer's output: products that are added up before the loss uses their sum. Scores are added in
/// several threads. An output of D products, added sequentially, has an error of up to D roundings
/// of Σ|x w|; random perturbations contribute √Σ(x w)² of theirs, √D times less.
fn chain_of_outputs(loss: &dyn LossDefinition, columns: usize) -> f64 {
    match loss.template() {
        Template::Several(SeveralInputs::Linear | SeveralInputs::Completions { .. }, _) => {
            (columns as f64).powf(1.5)
        }
        Template::Several(SeveralInputs::Similarity(_) | SeveralInputs::Proxies { .. }, _) => {
            chain(columns)
        }
        _ => 0.0,
    }
}

/// Roundings of a path through a transducer, in half ulps. A path of T rows and U labels has T + U
/// steps, and its probability is a product with a factor for each: an exponential of 1.5 ulp, its
/// division by the sum of the row of 2.5, a product and a sum of ½ each.
fn path_roundings(loss: &dyn LossDefinition, multi_input: &MultiInput<'static, f64>) -> f64 {
    let Template::Several(SeveralInputs::Transducer { .. }, _) = loss.template() else {
        return 0.0;
    };
    let shape = multi_input.array("predictions").map_or(&[][..], |array| &array.shape[..]);
    let &[_, time, nodes, _] = shape else { return 0.0 };
    10.0 * (time + nodes) as f64
}

fn is_linear(loss: &dyn LossDefinition) -> bool {
    matches!(
        loss.template(),
        Template::Several(SeveralInputs::Linear | SeveralInputs::Completions { .. }, _)
    )
}

/// The expected numbers with the tolerance of each, as derived in the module docs of
/// [`crate::testing`]. A gradient's cell is a sum of terms common to its row, so each has the error
/// of the largest of them.
fn bounds(
    loss: &dyn LossDefinition,
    case: &Case,
    multi_input: &MultiInput<'static, f64>,
    exact: &Exact,
    moves: &[Exact],
    columns: usize,
    is_device: bool,
) -> (Bounded, Vec<(&'static str, Bounded)>) {
    // The products of a linear layer's loss are sums over all classes and over all rows, added
    // sequentially.
    let rows = multi_input
        .array("predictions")
        .map_or(multi_input.units, |x| x.values.len() / columns.max(1));
    let links = if is_linear(loss) { (columns + rows) as f64 } else { chain(columns) };
    let links = links + path_roundings(loss, multi_input);
    let roundings = (RESULT_ULPS + links / 2.0) * ULP;
    let off = |pick: &dyn Fn(&Exact) -> f64| -> f64 {
        let here = pick(exact);
        moves.iter().map(|there| (pick(there) - here).abs()).filter(|off| off.is_finite()).sum()
    };
    let near = |x: f64, size: f64| 1e-12 * (finite(x) + size) + 1e-300;
    let magnitude: f64 = exact.values.iter().map(|&v| finite(v)).sum();
    let tolerances: Vec<f64> = (0..exact.values.len())
        .map(|u| {
            let x = exact.values[u];
            if is_device {
                off(&|e| e.values[u]) + roundings * finite(x) + FLUSHED
            } else {
                near(x, 0.0)
            }
        })
        .collect();
    let value = if case.reduction == Reduction::None {
        let shape = &case.units.shape;
        Bounded {
            expected: shaped(shape, exact.values.clone()),
            tolerance: shaped(shape, tolerances),
        }
    } else {
        let length = exact.values.len() as f64;
        let reduction = 0.5 * ULP * length.min(64.0 + length / 1024.0);
        let tolerance = if is_device {
            tolerances.iter().sum::<f64>() + reduction * magnitude
        } else {
            near(exact.values.iter().sum(), magnitude)
        };
        Bounded {
            expected: shaped(&[], vec![exact.values.iter().sum()]),
            tolerance: shaped(&[], vec![tolerance]),
        }
    };
    let names = loss.differentiated();
    let arrays = multi_input.arrays.iter().filter(|array| names.contains(&array.name));
    let gradients = arrays.zip(0..).map(|(array, g)| {
        let gradient = &exact.gradients[g];
        let elements = multi_input.units;
        let is_pointwise = matches!(
            loss.template(),
            Template::Several(SeveralInputs::TwoInput | SeveralInputs::Preference, _)
        );
        // Each number of a pair has its own derivative, unless it is a sum over a row.
        let width = match is_pointwise {
            true if array.values.len() == elements => 1,
            true => array.values.len(),
            // A class's gradient is a difference of terms common to all classes, which weights and
            // bias sum over the rows.
            false if is_linear(loss) && g > 0 => array.values.len(),
            false => array.shape.last().copied().unwrap_or(1),
        };
        let largest = gradient.chunks(width.max(1)).flat_map(|row| {
            let largest = row.iter().fold(0.0, |largest: f64, &x| largest.max(finite(x)));
            repeat_n(largest, row.len())
        });
        let mut moved: Vec<f64> =
            (0..gradient.len()).map(|i| off(&|e| e.gradients[g][i])).collect();
        if is_linear(loss) {
            // Errors of the outputs affect all cells they are summed into, some of which may not
            // move by chance.
            for row in moved.chunks_mut(width.max(1)) {
                let most = row.iter().copied().fold(0.0, f64::max);
                row.fill(most);
            }
        }
        let tolerance = largest.enumerate().map(|(i, largest)| match is_device {
            true => moved[i] + roundings * largest + FLUSHED,
            false => near(gradient[i], largest),
        });
        let tolerance = shaped(&array.shape, tolerance.collect());
        (array.name, Bounded { expected: shaped(&array.shape, gradient.clone()), tolerance })
    });
    (value, gradients.collect())
}

/// Compares the derivatives with central differences of the sum of all values, number by number.
///
/// # Errors
/// [`crate::Error::Input`] for a call without a required input.
pub(super) fn differentiate(
    loss: &dyn LossDefinition,
    host: &dyn MultiInputCpu,
    title: String,
) -> Result<Report> {
    const STEP: f64 = 1.0 / 1024.0;
    let mut report = Report::new(title);
    for (number, (rows, columns)) in
        [(1, 1), (2, 1), (5, 4), (6, 3), (4, 7)].into_iter().enumerate()
    {
        let case_generator = CaseGenerator { rows, columns, reduction: Reduction::Sum, ..PLAIN };
        let drawn = draw(loss, host, &case_generator, 100 + number)
            .and_then(|case| Ok((case.multi_input(loss, host)?, case)));
        let (multi_input, case) = match drawn {
            Ok(drawn) => drawn,
            Err(error) => {
                report.refuse(error.to_string());
                continue;
            }
        };
        let exact = run(loss, host, &multi_input)?;
        let names = loss.differentiated();
        let places = (0..multi_input.arrays.len())
            .filter(|&which| names.contains(&multi_input.arrays[which].name));
        for (g, which) in places.enumerate() {
            let gradient = &exact.gradients[g];
            let (mut expected, mut tolerance) = (gradient.clone(), vec![FLUSHED; gradient.len()]);
            let mut skipped = 0;
            for i in 0..gradient.len() {
                let at = |steps: f64| {
                    let mut moved = multi_input.clone();
                    moved.arrays[which].values.to_mut()[i] += steps * STEP;
                    Ok::<f64, crate::Error>(run(loss, host, &moved)?.values.iter().sum())
                };
                let [a, b, c] = [at(-4.0)?, at(-2.0)?, at(-1.0)?];
                let [d, e, f] = [at(1.0)?, at(2.0)?, at(4.0)?];
                let fine = (b - 8.0 * c + 8.0 * d - e) / (12.0 * STEP);
                let coarse = (a - 8.0 * b + 8.0 * e - f) / (24.0 * STEP);
                let size: f64 = exact.values.iter().map(|&v| finite(v)).sum();
                let rounding = 1e-11 * (1.0 + size);
                if (fine - coarse).abs() <= 1e-7 * fine.abs() + rounding {
                    (expected[i], tolerance[i]) = (fine, 1e-6 * fine.abs() + rounding);
                } else {
                    skipped += 1;
                }
            }
            let array = &multi_input.arrays[which];
            if skipped * 10 > gradient.len() + 10 {
                report.refuse(format!(
                    "{}: {skipped} of {} of {} lie at kinks",
                    case.name,
                    gradient.len(),
                    array.name
                ));
            }
            let bounded = Bounded {
                expected: shaped(&array.shape, expected),
                tolerance: shaped(&array.shape, tolerance),
            };
            report.add_gradient(
                &case.name,
                array.name,
                bounded.compare(&shaped(&array.shape, gradient.clone())),
            );
        }
        report.cases += 1;
    }
    Ok(report)
}
