//! The cases on a GPU: commands recorded once and submitted many times, timed by the device if its
//! clock is credible.
//!
//! Each case opens the adapter anew, so that its first call compiles its own pipelines. The
//! driver's disk cache stays active: on Mesa `MESA_SHADER_CACHE_DISABLE=true` makes the first call
//! a cold start.

mod ceilings;
mod clock;
pub(crate) mod common;
mod embedding;

use std::rc::Rc;

use crate::cpu::matmul::Layout;
use crate::losses::{LossDefinition, SeveralInputs, Template};
use crate::nn::activations::Identity;
use crate::nn::ops::dense::kernels as dense;
use crate::nn::ops::dense::kernels::{Forward, InputGradient};
use crate::nn::ops::matmul::Params;
use crate::nn::optimizers::update::Runner;
use crate::nn::optimizers::update::job::Update;
use crate::nn::optimizers::{Adam, GradientTransform};
use crate::runtime::device::{Device, Gpu};
use crate::runtime::kernel::Command;
use crate::runtime::recorder::Recorder;
use crate::runtime::tensor::{Tensor, shaped};
use crate::templates::multi_input::cpu::{MultiInputCpu, Shapes};
use crate::templates::multi_input::gpu as multi_input;
use crate::templates::multi_input::job::{Bound as Argument, MultiInputJob};
use crate::testing::bench::case::{Case, Kind, normal};
use crate::testing::bench::count::Bound;
use crate::testing::bench::gpu::clock::Clock;
use crate::testing::bench::gpu::common::{Made, arrived, fma, fma_beside, fresh};
use crate::testing::bench::sampling::{Ceiling, Prepared, Run};
use crate::testing::bench::training;
use crate::{Criterion, Result};

pub(crate) use ceilings::programs;

/// Prepares a case on a GPU.
pub(crate) fn prepare(case: &Case, gpu: &Gpu) -> Result<Prepared> {
    let gpu = &fresh(gpu)?;
    let made = match case.kind {
        Kind::Copy => copy(case, gpu)?,
        Kind::Read => read(case, gpu)?,
        Kind::Loss => loss(case, gpu)?,
        Kind::Matmul(layout) => product(case, layout, gpu)?,
        Kind::Dense => dense(case, gpu)?,
        Kind::Adam => adam(case, gpu)?,
        Kind::Embedding { dense } => embedding::commands(case, dense, gpu)?,
        Kind::Fma => fma(gpu)?,
        Kind::TrainStep | Kind::Epoch => return training::prepare(case, &Device::Gpu(gpu.clone())),
    };
    gpu.submit(&made.commands)?;
    gpu.wait()?;
    let first_call = made.start.elapsed().as_secs_f64();
    let clock = Rc::new(Clock::choose(gpu, &made.commands)?);
    let run = |commands: Vec<Command>, inner: usize| -> Run {
        let (clock, gpu) = (clock.clone(), gpu.clone());
        Box::new(move |repeats| Ok(clock.time(&gpu, &commands, repeats)? / inner as f64))
    };
    let mut beside = Vec::new();
    if case.bound() == Bound::Arithmetic && case.kind != Kind::Fma {
        beside.push(fma_beside(gpu)?);
    } else if let Some([from, to]) = &made.pair {
        beside.push((Ceiling::Copy, run(ceilings::copy(gpu, from, to, case.elements())?, 1)));
        beside.push((Ceiling::Read, run(ceilings::read(gpu, from, case.elements())?.0, 1)));
    }
    Ok(Prepared {
        first_call,
        work: run(made.commands, made.inner),
        ceilings: beside,
        clock: clock.name(),
        inner: made.inner,
    })
}

fn copy(case: &Case, gpu: &Gpu) -> Result<Made> {
    let source = gpu.upload("a copy", &normal(case.elements(), 1))?;
    let start = arrived(gpu)?;
    let destination = gpu.buffer("a copy", case.elements())?;
    let commands = ceilings::copy(gpu, &source, &destination, case.elements())?;
    Ok(Made { start, commands, inner: 1, pair: None })
}

fn read(case: &Case, gpu: &Gpu) -> Result<Made> {
    let source = gpu.upload("numbers", &normal(case.elements(), 1))?;
    let start = arrived(gpu)?;
    let (commands, ..) = ceilings::read(gpu, &source, case.elements())?;
    Ok(Made { start, commands, inner: 1, pair: None })
}

/// Value and gradient of a loss; the ceilings copy its predictions to its gradient.
fn loss(case: &Case, gpu: &Gpu) -> Result<Made> {
    let device = Device::Gpu(gpu.clone());
    let loss = case.loss()?;
    if let Template::Several(kernel, cpu) = loss.template() {
        return several(case, &*loss, kernel, &*cpu, gpu);
    }
    let predictions = shaped(&case.shape, case.predictions(&*loss))?;
    let predictions = Tensor::from_array(&device, predictions.view())?;
    let targets = if case.has_labels() {
        Tensor::from_labels(&device, &case.labels())?
    } else {
        Tensor::from_array(&device, shaped(&case.shape, case.targets(&*loss))?.view())?
    };
    let start = arrived(gpu)?;
    let criterion = Criterion::from_boxed(loss, &device)?;
    let (commands, buffers) = criterion.plan_on_gpu(gpu, &predictions, &targets)?;
    Ok(Made { start, commands, inner: 1, pair: Some([buffers.predictions, buffers.gradient]) })
}

/// Value and gradients of a multi-input loss; the ceilings copy the first input to its gradient.
fn several(
    case: &Case,
    loss: &dyn LossDefinition,
    kernel: SeveralInputs,
    cpu: &dyn MultiInputCpu,
    gpu: &Gpu,
) -> Result<Made> {
    let [numbers, whole] = case.arguments(loss);
    let mut arguments = Vec::new();
    for (example, values) in numbers {
        arguments.push(Argument {
            name: example.name,
            shape: example.shape,
            buffer: gpu.upload("an input", &values)?,
        });
    }
    for (example, values) in whole {
        let words: Vec<i32> = values.iter().map(|&x| x as i32).collect();
        arguments.push(Argument {
            name: example.name,
            shape: example.shape,
            buffer: gpu.upload("labels", &words)?,
        });
    }
    let given = arguments.iter().map(|bound| (bound.name, bound.shape.clone())).collect();
    let units = cpu.units(&Shapes { loss: loss.name(), given })?;
    let length: usize = units.shape.iter().product();
    let job = MultiInputJob {
        arguments,
        units,
        weights: None,
        upstreams: None,
        each: false,
        factor: 1.0 / length as f32,
        upstream: 1.0,
    };
    let start = arrived(gpu)?;
    let (commands, results) = multi_input::commands(gpu, loss, kernel, &job)?;
    let pair = [job.arguments[0].buffer.clone(), results.gradients[0].clone()];
    Ok(Made { start, commands, inner: 1, pair: Some(pair) })
}

/// A matrix product as run by a dense layer: NN forward, NT for the input gradient, TN for the
/// weight gradient.
fn product(case: &Case, layout: Layout, gpu: &Gpu) -> Result<Made> {
    let [m, n, k] = [case.shape[0], case.shape[1], case.shape[2]];
    let (left, right) =
        (gpu.upload("a matrix", &normal(m * k, 1))?, gpu.upload("a matrix", &normal(k * n, 2))?);
    let start = arrived(gpu)?;
    let output = gpu.buffer("a product", m * n)?;
    let params = Params { m: m as u32, n: n as u32, k: k as u32, ..Params::default() };
    let commands = product_of(gpu, layout, params, [&left, &right, &output])?;
    Ok(Made { start, commands, inner: 1, pair: None })
}

fn product_of(
    gpu: &Gpu,
    layout: Layout,
    params: Params,
    [left, right, output]: [&wgpu::Buffer; 3],
) -> Result<Vec<Command>> {
    let dummy = gpu.unread_binding()?;
    match layout {
        Layout::NN => {
            let (activation, bias) = (&Identity, false);
            let (x, parameters, y, sums) = (left, right, output, &dummy);
            let layer = Forward { activation, bias, params, half: None, x, parameters, y, sums };
            Recorder::commands_of(gpu, |recorder| dense::forward(recorder, &layer))
        }
        Layout::NT => {
            let layer = InputGradient {
                half: None,
                activation: None,
                params,
                grad_sums: left,
                parameters: right,
                grad_input: output,
                sums_of_input: &dummy,
                x: &dummy,
            };
            Recorder::commands_of(gpu, |recorder| dense::input_gradient(recorder, &layer))
        }
        Layout::TN => Recorder::commands_of(gpu, |recorder| {
            dense::weight_gradient(recorder, &params, None, [left, right, output])
        }),
    }
}

/// Output and all gradients of a dense layer of shape [batch, inputs, units], with a bias and
/// without an activation.
fn dense(case: &Case, gpu: &Gpu) -> Result<Made> {
    let [batch, inputs, units] = [case.shape[0], case.shape[1], case.shape[2]];
    let x = gpu.upload("a batch", &normal(batch * inputs, 1))?;
    let parameters = gpu.upload("parameters", &normal((inputs + 1) * units, 2))?;
    let upstream = gpu.upload("a gradient", &normal(batch * units, 3))?;
    let start = arrived(gpu)?;
    let y = gpu.buffer("an output", batch * units)?;
    let below = gpu.buffer("a gradient", batch * inputs)?;
    let gradients = gpu.buffer("gradients", (inputs + 1) * units)?;
    let dummy = gpu.unread_binding()?;
    let [m, k, n] = [batch, inputs, units].map(|axis| axis as u32);
    let params = Params { m, n, k, bias_offset: k * n, ..Params::default() };
    let layer = Forward {
        half: None,
        activation: &Identity,
        bias: true,
        params,
        x: &x,
        parameters: &parameters,
        y: &y,
        sums: &dummy,
    };
    let mut commands = Recorder::commands_of(gpu, |recorder| dense::forward(recorder, &layer))?;
    let params = Params { m: k + 1, n, k: m, ones: 1, ..Params::default() };
    commands.extend(Recorder::commands_of(gpu, |recorder| {
        dense::weight_gradient(recorder, &params, None, [&x, &upstream, &gradients])
    })?);
    let params = Params { m, n: k, k: n, ..Params::default() };
    let layer = InputGradient {
        half: None,
        activation: None,
        params,
        grad_sums: &upstream,
        parameters: &parameters,
        grad_input: &below,
        sums_of_input: &dummy,
        x: &dummy,
    };
    commands
        .extend(Recorder::commands_of(gpu, |recorder| dense::input_gradient(recorder, &layer))?);
    Ok(Made { start, commands, inner: 1, pair: None })
}

/// An Adam step over all parameters in one buffer; the ceilings copy the gradients.
fn adam(case: &Case, gpu: &Gpu) -> Result<Made> {
    let length = case.elements();
    let adam = Adam::new();
    let optimizer: &dyn crate::nn::optimizers::Optimizer = &adam;
    let parameters = gpu.upload("parameters", &normal(length, 1))?;
    let gradients = gpu.upload("gradients", &normal(length, 2))?;
    let update = Update {
        optimizer,
        length,
        gradient_transform: GradientTransform::default(),
        average: None,
    };
    let runner = Runner::new(gpu, &update, &parameters, &gradients)?;
    let start = arrived(gpu)?;
    runner.set(&optimizer.step(10, optimizer.initial_learning_rate()));
    let commands = runner.commands().to_vec();
    let copied = gpu.buffer("a copy", length)?;
    Ok(Made { start, commands, inner: 1, pair: Some([gradients, copied]) })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::runtime::device::GpuOptions;

    fn gpu() -> Gpu {
        Gpu::open_with(GpuOptions::default())
            .expect("these tests need an adapter, a software one will do")
    }

    #[test]
    fn the_clock_of_the_device_measures_no_more_than_the_wall_around_it() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = gpu();
        let elements = 1 << 20;
        let buffer = || gpu.buffer("a copy", elements).unwrap();
        let commands = ceilings::copy(&gpu, &buffer(), &buffer(), elements).unwrap();
        let clock = Clock::choose(&gpu, &commands).unwrap();
        let start = Instant::now();
        let seconds = 10.0 * clock.time(&gpu, &commands, 10).unwrap();
        let wall = start.elapsed().as_secs_f64();
        assert!(seconds > 0.0 && seconds <= wall, "{seconds} within {wall} by {}", clock.name());
    }

    #[test]
    fn each_layout_is_the_product_that_it_says() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = gpu();
        let (left, right) = (normal(8 * 20, 1), normal(20 * 12, 2));
        let buffers = [&left, &right].map(|values| gpu.upload("a matrix", values).unwrap());
        for layout in [Layout::NN, Layout::NT, Layout::TN] {
            let mut exact = vec![0.0_f32; 8 * 12];
            crate::cpu::matmul::matmul(layout, 8, 12, 20, &left, &right, &mut exact, false)
                .unwrap();
            let output = gpu.buffer("a product", 8 * 12).unwrap();
            let params = Params { m: 8, n: 12, k: 20, ..Params::default() };
            gpu.submit(
                &product_of(&gpu, layout, params, [&buffers[0], &buffers[1], &output]).unwrap(),
            )
            .unwrap();
            let found: Vec<f32> = pollster::block_on(gpu.download(&output, 0, 8 * 12)).unwrap();
            // k = 20 products of normal numbers below 5, both sides rounded: 2 (k + 1)² 2⁻²⁴ · 25.
            let limit = 2.0 * 441.0 * 25.0 * 2.0_f32.powi(-24);
            assert!(found.iter().zip(&exact).all(|(a, b)| (a - b).abs() <= limit), "{layout:?}");
        }
    }
}
