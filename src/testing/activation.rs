//! The judge of the activations.

use ndarray::Array1;

use super::{Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP, options_value, sets_of_options, title};
use crate::activations::Activation;
use crate::catalogue::Entry;
use crate::device::Gpu;
use crate::kernel::Program;
use crate::{Device, Result};

/// Rows of softmax, which looks at the whole row.
const WIDTH: usize = 33;

/// Runs an activation and its derivative on a device with each set of its options and judges both by the f64
/// reference. One report for each set.
///
/// Softmax has no filling of its own, so there is no report of it on a GPU: there the row-wise kernels compute it.
///
/// # Errors
/// What the device reports; [`crate::Error::Option`] if the entry lists a variant that it refuses.
pub fn check_activation(entry: &'static Entry<dyn Activation>, device: &Device) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let activation = (entry.make)(&options_value(entry.name, options)?)?;
        activation.check()?;
        if activation.rowwise() && matches!(device, Device::Gpu(_)) {
            continue;
        }
        let inputs = inputs(activation.rowwise());
        let (values, slopes) = match device {
            Device::Gpu(gpu) => run(gpu, &*activation, &inputs)?,
            Device::Cpu => on_host(&*activation, &inputs)?,
            Device::Reference => {
                let exact = on_host(&*activation, &wide(&inputs, 0.0))?;
                (exact.0.iter().map(|&x| x as f32).collect(), exact.1.iter().map(|&x| x as f32).collect())
            }
        };
        let mut report = Report::new(title(entry.name, options));
        let [expected, derivative] = expected(&*activation, &inputs)?;
        // Apart, since the size of the sweep's errors would be lost beside numbers of 1e30.
        for (name, range) in [("the sweep", 0..SWEEP), ("far out", SWEEP..inputs.len())] {
            report.add_value(name, "value", expected.part(range.clone()).compare(&found(&values[range.clone()])));
            report.add_gradient(name, "derivative", derivative.part(range.clone()).compare(&found(&slopes[range])));
        }
        report.cases = inputs.len();
        reports.push(report);
    }
    Ok(reports)
}

fn found(values: &[f32]) -> ndarray::ArrayD<f64> {
    Array1::from_iter(values.iter().map(|&x| f64::from(x))).into_dyn()
}

/// Elements of the sweep: whole rows.
const SWEEP: usize = 1212 * WIDTH;

/// A sweep over what layers hand out; then far out on both sides and near 0, and what is no number.
fn inputs(rowwise: bool) -> Vec<f32> {
    let mut inputs: Vec<f32> = (0..SWEEP).map(|i| (i as f32 - 0.5 * SWEEP as f32) / 1000.0 + 3e-5).collect();
    for exponent in -29..=30 {
        let x = 10f32.powi(exponent);
        inputs.extend([x, -x]);
    }
    if rowwise {
        inputs.truncate(inputs.len() / WIDTH * WIDTH);
        return inputs;
    }
    inputs.extend([0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN]);
    inputs.extend([1.5, -1.5, 0.5, -0.5, 88.0]);
    inputs
}

fn wide(inputs: &[f32], share: f64) -> Vec<f64> {
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    inputs.iter().enumerate().map(|(i, &x)| f64::from(x) * (1.0 + share * sign(i))).collect()
}

/// Value and derivative: the gradient that comes back of ones. Softmax's would be 0, so it gets its own upstream.
fn on_host<R: crate::real::Real>(activation: &dyn Activation, inputs: &[R]) -> Result<(Vec<R>, Vec<R>)> {
    let upstream = |i: usize| if activation.rowwise() { R::new((i % 7) as f64 - 3.0) } else { R::ONE };
    let mut values = vec![R::ZERO; inputs.len()];
    activation.forward(WIDTH, inputs, &mut values)?;
    let mut slopes: Vec<R> = (0..inputs.len()).map(upstream).collect();
    activation.backward(WIDTH, inputs, &values, &mut slopes)?;
    Ok((values, slopes))
}

/// The tolerance is that of the module's head. The factors of each formula (a distribution function, a tangent) are of
/// size 1 or of the result's, and softmax's slope is a difference of numbers as large as its upstream, 3.
fn expected(activation: &dyn Activation, inputs: &[f32]) -> Result<[Bounded; 2]> {
    let share = INPUT_ULPS * ULP;
    let here = on_host(activation, &wide(inputs, 0.0))?;
    let (up, down) = (on_host(activation, &wide(inputs, share))?, on_host(activation, &wide(inputs, -share))?);
    let size = if activation.rowwise() { 3.0 } else { 1.0 };
    let bounded = |here: Vec<f64>, up: Vec<f64>, down: Vec<f64>| {
        let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
        let spread = |i: usize| finite(up[i] - here[i]) + finite(down[i] - here[i]);
        let tolerance = |i: usize| spread(i) + RESULT_ULPS * ULP * finite(here[i]).max(size) + FLUSHED;
        let tolerance = Array1::from_iter((0..here.len()).map(tolerance)).into_dyn();
        Bounded { expected: Array1::from(here).into_dyn(), tolerance }
    };
    Ok([bounded(here.0, up.0, down.0), bounded(here.1, up.1, down.1)])
}

/// The program that runs an activation on its own.
pub(super) fn program(activation: &dyn Activation) -> Program {
    let entry = activation.entry();
    Program {
        label: format!("{} (activation)", entry.name),
        header: String::new(),
        files: vec![
            crate::wgsl::shader!("kernels/activation.wgsl"),
            crate::wgsl::shader!("helpers/numbers.wgsl"),
            entry.shader,
        ],
        constants: activation.constants(),
    }
}

fn run(gpu: &Gpu, activation: &dyn Activation, inputs: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
    let length = inputs.len();
    let kernel = gpu.kernel(&program(activation))?;
    let input = gpu.upload("the inputs of an activation", inputs)?;
    let output = gpu.buffer("its outputs", length)?;
    let slopes = gpu.buffer("its slopes", length)?;
    let parameters = [length as u32, 0, 0, 0];
    let storage = [(&input).into(), (&output).into(), (&slopes).into()];
    let command = gpu.dispatch(&kernel, &parameters, &storage, length.div_ceil(64) as u32)?;
    gpu.submit([&command])?;
    let read = |buffer| pollster::block_on(gpu.download(buffer, 0, length));
    Ok((read(&output)?, read(&slopes)?))
}
