//! Checks of the activations.

use ndarray::Array1;

use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::nn::activations::Identity;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::activation::ActivationBuffers;
use crate::nn::ops::dense::kernels;
use crate::nn::ops::dense::kernels::{Forward, InputGradient};
use crate::nn::ops::matmul::Params;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::softmax::SoftmaxBackward;
use crate::nn::ops::{activation as pointwise, softmax};
use crate::runtime::device::Gpu;
use crate::runtime::recorder::Recorder;
use crate::testing::report::{
    Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, Report, ULP, options_value, sets_of_options, title,
};
use crate::{Device, Result};

/// Row width for softmax, which depends on the whole row.
const WIDTH: usize = 33;

/// Runs an activation and its derivative on a device with each set of its options and compares both
/// with the f64 reference. One report per set.
///
/// On a GPU it runs as in a dense layer: in the epilogue of a product.
///
/// # Errors
/// Errors of the device; [`crate::Error::Option`] if the entry lists an invalid variant.
pub fn check_activation(
    entry: &'static Entry<dyn Activation>,
    device: &Device,
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for options in sets_of_options(entry.variants) {
        let activation = (entry.make)(&options_value(entry.name, options)?)?;
        activation.check()?;
        let inputs = inputs(activation.rowwise());
        let of_host = |(values, derivatives): (Vec<f32>, Vec<f32>)| Found {
            values,
            derivatives: vec![("derivative", derivatives)],
        };
        let found = match device {
            Device::Gpu(gpu) => run(gpu, &*activation, &inputs)?,
            Device::Cpu => of_host(on_host(&*activation, &inputs)?),
            Device::Reference => {
                let exact = on_host(&*activation, &wide(&inputs, 0.0))?;
                let single = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
                of_host((single(exact.0), single(exact.1)))
            }
        };
        let mut report = Report::new(title(entry.name, options));
        let [expected, derivative] = expected(&*activation, &inputs)?;
        // Separately: the errors of the sweep would be negligible relative to numbers of 1e30.
        for (name, range) in [("the sweep", 0..SWEEP), ("far out", SWEEP..inputs.len())] {
            let values = array(&found.values[range.clone()]);
            report.add_value(name, "value", expected.part(range.clone()).compare(&values));
            for (which, derivatives) in &found.derivatives {
                let derivatives = array(&derivatives[range.clone()]);
                report.add_gradient(
                    name,
                    which,
                    derivative.part(range.clone()).compare(&derivatives),
                );
            }
        }
        report.cases = inputs.len();
        reports.push(report);
    }
    Ok(reports)
}

/// Results of a device: values, and derivatives from each code path.
struct Found {
    values: Vec<f32>,
    derivatives: Vec<(&'static str, Vec<f32>)>,
}

fn array(values: &[f32]) -> ndarray::ArrayD<f64> {
    Array1::from_iter(values.iter().map(|&x| f64::from(x))).into_dyn()
}

/// Elements of the sweep, in whole rows.
const SWEEP: usize = 1212 * WIDTH;

/// A sweep over typical pre-activations; then large magnitudes of both signs, values near 0, and
/// NaN and infinities.
fn inputs(rowwise: bool) -> Vec<f32> {
    let mut inputs: Vec<f32> =
        (0..SWEEP).map(|i| (i as f32 - 0.5 * SWEEP as f32) / 1000.0 + 3e-5).collect();
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

/// dL/dy: ones, to obtain the derivative itself. For softmax that would give 0, so it uses varying
/// numbers.
fn upstream<R: Real>(activation: &dyn Activation, length: usize) -> impl Iterator<Item = R> {
    let differ = activation.rowwise();
    (0..length).map(move |i| if differ { R::new((i % 7) as f64 - 3.0) } else { R::ONE })
}

/// Value and derivative.
fn on_host<R: Real>(activation: &dyn Activation, inputs: &[R]) -> Result<(Vec<R>, Vec<R>)> {
    let mut values = vec![R::ZERO; inputs.len()];
    activation.forward(WIDTH, inputs, &mut values)?;
    let mut derivatives: Vec<R> = upstream(activation, inputs.len()).collect();
    activation.backward(WIDTH, inputs, &values, &mut derivatives)?;
    Ok((values, derivatives))
}

/// Tolerance as in the module docs of [`crate::testing`]. The factors of each formula (a
/// distribution function, a tangent) have magnitude 1 or that of the result, and softmax's
/// derivative is a difference of numbers as large as its upstream, 3.
fn expected(activation: &dyn Activation, inputs: &[f32]) -> Result<[Bounded; 2]> {
    let share = INPUT_ULPS * ULP;
    let here = on_host(activation, &wide(inputs, 0.0))?;
    let (up, down) =
        (on_host(activation, &wide(inputs, share))?, on_host(activation, &wide(inputs, -share))?);
    let size = if activation.rowwise() { 3.0 } else { 1.0 };
    let bounded = |here: Vec<f64>, up: Vec<f64>, down: Vec<f64>| {
        let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
        let spread = |i: usize| finite(up[i] - here[i]) + finite(down[i] - here[i]);
        let tolerance =
            |i: usize| spread(i) + RESULT_ULPS * ULP * finite(here[i]).max(size) + FLUSHED;
        let tolerance = Array1::from_iter((0..here.len()).map(tolerance)).into_dyn();
        // A result beyond f32, as of a factor above 1, is infinite there.
        let is_beyond = |x: f64| x.is_finite() && x.abs() > f64::from(f32::MAX);
        let rounded = |x: f64| if is_beyond(x) { f64::INFINITY.copysign(x) } else { x };
        let here: Vec<f64> = here.iter().map(|&x| rounded(x)).collect();
        Bounded { expected: Array1::from(here).into_dyn(), tolerance }
    };
    Ok([bounded(here.0, up.0, down.0), bounded(here.1, up.1, down.1)])
}

/// Runs the kernels of a dense layer whose weights are 1 or, for softmax, the identity matrix: x ·
/// 1 is x, so the tested epilogue is the one a model runs.
fn run(gpu: &Gpu, activation: &dyn Activation, inputs: &[f32]) -> Result<Found> {
    let width = if activation.rowwise() { WIDTH } else { 1 };
    let rows = inputs.len() / width;
    let weights: Vec<f32> =
        (0..width * width).map(|i| if i % (width + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let upload = |values: &[f32]| gpu.upload("the check of an activation", values);
    let (x, parameters) = (upload(inputs)?, upload(&weights)?);
    let (y, sums) =
        (gpu.buffer("its outputs", inputs.len())?, gpu.buffer("its inputs", inputs.len())?);
    let params = Params::new(Shape { m: rows as u32, n: width as u32, k: width as u32 });
    let by_element: &dyn Activation = if activation.rowwise() { &Identity } else { activation };
    let upstream: Vec<f32> = upstream(activation, inputs.len()).collect();
    let (grad_output, grad_input) =
        (upload(&upstream)?, gpu.buffer("the gradient of the input", inputs.len())?);
    let (bias, x, parameters) = (false, &x, &parameters);
    gpu.submit(&Recorder::commands_of(gpu, |recorder| {
        let layer = Forward {
            activation: by_element,
            bias,
            params,
            half: None,
            x,
            parameters,
            y: &y,
            sums: &sums,
        };
        kernels::forward(recorder, &layer)?;
        if activation.rowwise() {
            softmax::forward_in_place(recorder, rows, width, &y)?;
        }
        let layer = InputGradient {
            activation: Some(by_element),
            params,
            half: None,
            grad_sums: &grad_output,
            parameters,
            grad_input: &grad_input,
            sums_of_input: &sums,
            x: &y,
        };
        kernels::input_gradient(recorder, &layer)?;
        // The last layer's activation has a kernel of its own.
        if activation.rowwise() {
            for gradient in [&grad_input, &grad_output] {
                let backward = SoftmaxBackward { rows, width, y: &y, gradient };
                softmax::backward_in_place(recorder, &backward)?;
            }
            return Ok(());
        }
        let buffers = ActivationBuffers { input: &sums, output: &y, gradient: &grad_output };
        pointwise::backward_in_place(recorder, activation, inputs.len(), buffers)
    })?)?;
    let read = |buffer| pollster::block_on(gpu.download(buffer, 0, inputs.len()));
    Ok(Found {
        values: read(&y)?,
        derivatives: vec![
            ("derivative", read(&grad_input)?),
            ("last layer's derivative", read(&grad_output)?),
        ],
    })
}
