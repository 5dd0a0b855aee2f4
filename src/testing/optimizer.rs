//! The judge of the optimizers.

use ndarray::Array1;

use super::{Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP, options_value, sets_of_options, title};
use crate::catalogue::Entry;
use crate::device::Gpu;
use crate::kernels::network::{self, OptimizerParams, segment_words};
use crate::optimizers::{Optimizer, Segment};
use crate::random::Random;
use crate::real::Real;
use crate::{Device, Result};

const STEPS: u64 = 5;
const LEARNING_RATE: f64 = 0.05;

/// Runs an optimizer on a device for five steps with each set of its options, with and without regularised segments,
/// and judges parameters and states by the f64 reference. One report for each set.
///
/// # Errors
/// What the device reports; [`crate::Error::Option`] if the entry lists a variant that it refuses.
pub fn check_optimizer(entry: &'static Entry<dyn Optimizer>, device: &Device) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let optimizer = (entry.make)(&options_value(entry.name, options)?)?;
        optimizer.check()?;
        let mut report = Report::new(title(entry.name, options));
        for work in works() {
            let found = match device {
                Device::Gpu(gpu) => run(gpu, &*optimizer, &work)?,
                Device::Cpu => on_host::<f32>(&*optimizer, &work, 0.0)?.last,
                Device::Reference => on_host::<f64>(&*optimizer, &work, 0.0)?.last.map(|x| to_single(&x)),
            };
            let expected = expected(&*optimizer, &work)?;
            for ((name, expected), found) in
                ["parameters", "first state", "second state"].iter().zip(expected).zip(found)
            {
                let found = Array1::from_iter(found.into_iter().map(f64::from)).into_dyn();
                report.add_gradient(&work.name, name, expected.compare(&found));
            }
            report.cases += 1;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Parameters, the gradients of each step, and how they are regularised.
struct Work {
    name: String,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    segments: Vec<Segment>,
}

fn works() -> Vec<Work> {
    let work = |length: usize, cuts: &[(usize, f64, f64)]| {
        let mut random = Random::new(5, length as u64);
        // Away from 0 by more than five steps: l1's sign must not hang on a rounding.
        let mut draw = |near: f64| {
            let x = near * (1.0 + random.uniform());
            (if random.uniform() < 0.5 { x } else { -x }) as f32
        };
        Work {
            name: format!("{length} parameters in {} segments", cuts.len()),
            start: (0..length).map(|_| draw(3.0)).collect(),
            gradients: (0..STEPS).map(|_| (0..length).map(|_| draw(0.5)).collect()).collect(),
            segments: cuts.iter().map(|&(end, l1, l2)| Segment { end, l1, l2 }).collect(),
        }
    };
    vec![
        work(1, &[]),
        work(1023, &[(1023, 0.01, 0.0)]),
        work(100_003, &[(30_001, 0.01, 0.02), (30_010, 0.0, 0.3), (30_011, 0.5, 0.0), (100_003, 0.0, 0.0)]),
    ]
}

fn to_single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// Parameters and states after the last step, and how far each went on its way.
struct Path<R> {
    last: [Vec<R>; 3],
    lengths: [Vec<f64>; 3],
}

/// All steps on the host; each gradient is off by a share, up or down by turns.
fn on_host<R: Real>(optimizer: &dyn Optimizer, work: &Work, share: f64) -> Result<Path<R>> {
    let length = work.start.len();
    let state = |number: usize| vec![R::ZERO; if optimizer.states() > number { length } else { 0 }];
    let mut last = [work.start.iter().map(|&x| R::from_f32(x)).collect(), state(0), state(1)];
    let mut lengths =
        last.each_ref().map(|values: &Vec<R>| values.iter().map(|x| x.to_f64().abs()).collect::<Vec<_>>());
    for (t, gradients) in work.gradients.iter().enumerate() {
        let sign = |i: usize| if (i + t).is_multiple_of(2) { 1.0 } else { -1.0 };
        let off = |(i, &g): (usize, &f32)| R::new(f64::from(g) * (1.0 + share * sign(i)));
        let gradients: Vec<R> = gradients.iter().enumerate().map(off).collect();
        let before = last.clone();
        let [parameters, first, second] = &mut last;
        let step = optimizer.step(t as u64 + 1, LEARNING_RATE);
        optimizer.update(&step, &work.segments, parameters, &gradients, first, second)?;
        for (lengths, (before, after)) in lengths.iter_mut().zip(before.iter().zip(&last)) {
            for (length, (before, after)) in lengths.iter_mut().zip(before.iter().zip(after)) {
                *length += (after.to_f64() - before.to_f64()).abs();
            }
        }
    }
    Ok(Path { last, lengths })
}

/// The tolerance is that of the module's head, for each step: the result is as large as the way it went.
fn expected(optimizer: &dyn Optimizer, work: &Work) -> Result<[Bounded; 3]> {
    let share = INPUT_ULPS * ULP;
    let here = on_host::<f64>(optimizer, work, 0.0)?;
    let (up, down) = (on_host::<f64>(optimizer, work, share)?, on_host::<f64>(optimizer, work, -share)?);
    Ok([0, 1, 2].map(|which| {
        let values = &here.last[which];
        let tolerance = |i: usize| {
            let spread = (up.last[which][i] - values[i]).abs() + (down.last[which][i] - values[i]).abs();
            spread + STEPS as f64 * RESULT_ULPS * ULP * here.lengths[which][i] + FLUSHED
        };
        Bounded {
            tolerance: Array1::from_iter((0..values.len()).map(tolerance)).into_dyn(),
            expected: Array1::from(values.clone()).into_dyn(),
        }
    }))
}

/// All steps on the device, by the kernel that a training step runs.
fn run(gpu: &Gpu, optimizer: &dyn Optimizer, work: &Work) -> Result<[Vec<f32>; 3]> {
    let length = work.start.len();
    let (kernel, workgroups) = network::optimizer(gpu, optimizer, length, false)?;
    let parameters = gpu.upload("parameters", &work.start)?;
    let states = [0, 1].map(|number| if optimizer.states() > number { length } else { 0 });
    // An absent state is bound all the same, each to a buffer of its own.
    let state = |number: usize| gpu.upload("a state", &vec![0.0_f32; states[number].max(1)]);
    let (first, second) = (state(0)?, state(1)?);
    let segments = segment_words(&work.segments);
    let segments = gpu.upload("segments", if segments.is_empty() { &[0; 4] } else { &segments[..] })?;
    let clip = gpu.buffer("no clip", 4)?;
    for (t, gradients) in work.gradients.iter().enumerate() {
        let gradients = gpu.upload("gradients", gradients)?;
        let params = OptimizerParams::new(length, &work.segments, &optimizer.step(t as u64 + 1, LEARNING_RATE));
        let storage = [&segments, &parameters, &gradients, &first, &second, &clip].map(Into::into);
        gpu.submit([&gpu.dispatch(&kernel, &params, &storage, workgroups)?])?;
    }
    let read = |buffer, length| pollster::block_on(gpu.download(buffer, 0, length));
    Ok([read(&parameters, length)?, read(&first, states[0])?, read(&second, states[1])?])
}
