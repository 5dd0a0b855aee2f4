//! Checks of the optimizers.

use ndarray::Array1;

use crate::catalogue::Entry;
use crate::cpu::random::Random;
use crate::cpu::real::Real;
use crate::nn::optimizers::update::Runner;
use crate::nn::optimizers::update::job::Update;
use crate::nn::optimizers::{GradientTransform, MOST_STATES, Optimizer, ParameterSpan};
use crate::runtime::device::Gpu;
use crate::testing::report::{
    Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP, options_value, sets_of_options, title,
};
use crate::{Device, Result};

const STEPS: u64 = 5;
const NAMES: [&str; 1 + MOST_STATES] =
    ["parameters", "first state", "second state", "third state", "fourth state"];
const LEARNING_RATE: f64 = 0.05;

/// Runs an optimizer on a device for five steps with each set of its options, with and without
/// regularized spans, and compares parameters and states with the f64 reference. One report per
/// set.
///
/// # Errors
/// Errors of the device; [`crate::Error::Option`] if the entry lists an invalid variant.
pub fn check_optimizer(
    entry: &'static Entry<dyn Optimizer>,
    device: &Device,
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let optimizer = (entry.make)(&options_value(entry.name, options)?)?;
        optimizer.check()?;
        let mut report = Report::new(title(entry.name, options));
        for work in works() {
            let found = match device {
                Device::Gpu(gpu) => run(gpu, &*optimizer, &work)?,
                Device::Cpu => on_host::<f32>(&*optimizer, &work, 0.0)?.last,
                Device::Reference => on_host::<f64>(&*optimizer, &work, 0.0)?
                    .last
                    .iter()
                    .map(|x| to_single(x))
                    .collect(),
            };
            let expected = expected(&*optimizer, &work)?;
            for ((name, expected), found) in NAMES.iter().zip(expected).zip(found) {
                let found = Array1::from_iter(found.into_iter().map(f64::from)).into_dyn();
                report.add_gradient(&work.name, name, expected.compare(&found));
            }
            report.cases += 1;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Parameters, the gradients of each step, and their regularization.
struct Work {
    name: String,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    spans: Vec<ParameterSpan>,
}

fn works() -> Vec<Work> {
    let work = |length: usize, cuts: &[(usize, f64, f64, usize)]| {
        let mut random = Random::new(5, length as u64);
        // Away from 0 by more than five steps: l1's sign must not depend on rounding.
        let mut draw = |near: f64| {
            let x = near * (1.0 + random.uniform());
            (if random.uniform() < 0.5 { x } else { -x }) as f32
        };
        Work {
            name: format!("{length} parameters in {} segments", cuts.len()),
            start: (0..length).map(|_| draw(3.0)).collect(),
            // The last two are small: this distinguishes a running maximum of squares from a
            // decaying average.
            gradients: (1..=STEPS)
                .map(|t| {
                    let near = if t + 2 > STEPS { 0.03125 } else { 0.5 };
                    (0..length).map(|_| draw(near)).collect()
                })
                .collect(),
            spans: cuts
                .iter()
                .map(|&(end, l1, l2, columns)| ParameterSpan {
                    end,
                    l1,
                    l2,
                    columns,
                    ..ParameterSpan::default()
                })
                .collect(),
        }
    };
    vec![
        work(1, &[(1, 0.0, 0.0, 0)]),
        work(1023, &[(1023, 0.01, 0.0, 31)]),
        // More rows than columns, more columns than rows, one element, a vector.
        work(
            20_003,
            &[
                (6_000, 0.01, 0.02, 12),
                (9_000, 0.0, 0.3, 300),
                (9_001, 0.5, 0.0, 1),
                (20_003, 0.0, 0.0, 0),
            ],
        ),
    ]
}

fn to_single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// Parameters and states after the last step, and the total distance each moved.
struct Path<R> {
    last: Vec<Vec<R>>,
    lengths: Vec<Vec<f64>>,
}

/// All steps on the host; each gradient is perturbed by a fraction, with alternating signs.
fn on_host<R: Real>(optimizer: &dyn Optimizer, work: &Work, share: f64) -> Result<Path<R>> {
    let mut last: Vec<Vec<R>> = vec![work.start.iter().map(|&x| R::from_f32(x)).collect()];
    last.extend(optimizer.first_states(work.start.len()));
    let size = |values: &Vec<R>| values.iter().map(|x| x.to_f64().abs()).collect::<Vec<_>>();
    let mut lengths: Vec<Vec<f64>> = last.iter().map(size).collect();
    for (t, gradients) in work.gradients.iter().enumerate() {
        let sign = |i: usize| if (i + t).is_multiple_of(2) { 1.0 } else { -1.0 };
        let off = |(i, &g): (usize, &f32)| R::new(f64::from(g) * (1.0 + share * sign(i)));
        let gradients: Vec<R> = gradients.iter().enumerate().map(off).collect();
        let before = last.clone();
        let step = optimizer.step(t as u64 + 1, LEARNING_RATE);
        if let [parameters, states @ ..] = &mut last[..] {
            optimizer.update(&step, &work.spans, parameters, &gradients, states)?;
        }
        for (lengths, (before, after)) in lengths.iter_mut().zip(before.iter().zip(&last)) {
            for (length, (before, after)) in lengths.iter_mut().zip(before.iter().zip(after)) {
                *length += (after.to_f64() - before.to_f64()).abs();
            }
        }
    }
    Ok(Path { last, lengths })
}

/// Tolerance as in the module docs of [`crate::testing`], for each step: relative to the distance
/// moved.
fn expected(optimizer: &dyn Optimizer, work: &Work) -> Result<Vec<Bounded>> {
    let share = INPUT_ULPS * ULP;
    let here = on_host::<f64>(optimizer, work, 0.0)?;
    let (up, down) =
        (on_host::<f64>(optimizer, work, share)?, on_host::<f64>(optimizer, work, -share)?);
    let bounded = |which: usize| {
        let values = &here.last[which];
        let tolerance = |i: usize| {
            let spread =
                (up.last[which][i] - values[i]).abs() + (down.last[which][i] - values[i]).abs();
            spread + STEPS as f64 * RESULT_ULPS * ULP * here.lengths[which][i] + FLUSHED
        };
        Bounded {
            tolerance: Array1::from_iter((0..values.len()).map(tolerance)).into_dyn(),
            expected: Array1::from(values.clone()).into_dyn(),
        }
    };
    Ok((0..here.last.len()).map(bounded).collect())
}

/// All steps on the device, with the kernels of a training step.
fn run(gpu: &Gpu, optimizer: &dyn Optimizer, work: &Work) -> Result<Vec<Vec<f32>>> {
    let length = work.start.len();
    let parameters = gpu.upload("parameters", &work.start)?;
    let buffer = gpu.buffer("gradients", length)?;
    let gradient_transform =
        GradientTransform { spans: &work.spans, ..GradientTransform::default() };
    let runner = Runner::new(
        gpu,
        &Update { optimizer, length, gradient_transform, average: None },
        &parameters,
        &buffer,
    )?;
    for (t, gradients) in work.gradients.iter().enumerate() {
        gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(gradients));
        runner.run(&optimizer.step(t as u64 + 1, LEARNING_RATE))?;
    }
    let mut found = vec![pollster::block_on(gpu.download(&parameters, 0, length))?];
    for number in 0..optimizer.states() {
        found.push(runner.state(number)?);
    }
    Ok(found)
}
