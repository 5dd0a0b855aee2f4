//! The cases on the CPU, at f32 on all cores or at f64 plainly: the host's own loops over buffers that are used again.

mod ceilings;

use std::hint::black_box;
use std::time::Instant;

use super::case::{Case, Kind, normal};
use super::sampling::{Ceiling, Prepared, Run};
use super::training;
use crate::host::Spread;
use crate::host::matmul::{Layout, matmul};
use crate::host::pointwise::{Points, PointwiseHost};
use crate::host::rowwise::{Auxiliary, Rows, RowwiseHost, Targets};
use crate::losses::{Family, Loss};
use crate::optimizers::{Adam, Optimizer};
use crate::real::Real;
use crate::{Device, Result};

/// The two precisions of the host's loops.
pub(super) trait Precision: Real + Default {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<Self>, gradient: &mut [Self]) -> f64;
    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<Self>, gradient: &mut [Self], values: &mut [Self]);
    /// Whether it is f32, on all cores; the ceilings of arithmetic are measured for that alone.
    const SINGLE: bool;
    /// The device that computes in it.
    fn device() -> Device;
    fn copy(source: &[Self], destination: &mut [Self]);
    fn total(source: &[Self]) -> f64;
}

impl Precision for f32 {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<f32>, gradient: &mut [f32]) -> f64 {
        host.run_f32(points, gradient, &mut [])
    }

    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<f32>, gradient: &mut [f32], values: &mut [f32]) {
        host.run_f32(rows, gradient, values, none());
    }

    const SINGLE: bool = true;

    fn device() -> Device {
        Device::Cpu
    }

    fn copy(source: &[f32], destination: &mut [f32]) {
        ceilings::copy_on_all(source, destination);
    }

    fn total(source: &[f32]) -> f64 {
        ceilings::sum_on_all(source)
    }
}

impl Precision for f64 {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<f64>, gradient: &mut [f64]) -> f64 {
        host.run_f64(points, gradient, &mut [])
    }

    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<f64>, gradient: &mut [f64], values: &mut [f64]) {
        host.run_f64(rows, gradient, values, none());
    }

    const SINGLE: bool = false;

    fn device() -> Device {
        Device::Reference
    }

    fn copy(source: &[f64], destination: &mut [f64]) {
        destination.copy_from_slice(source);
    }

    fn total(source: &[f64]) -> f64 {
        source.iter().sum()
    }
}

fn none<R>() -> &'static mut [Auxiliary<R>] {
    &mut []
}

/// Makes a case ready on the CPU.
pub(super) fn prepare<R: Precision>(case: &Case) -> Result<Prepared> {
    let mut beside = Vec::new();
    let (work, inner) = match case.kind {
        Kind::Copy => (ceilings::copy::<R>(case.elements()), 1),
        Kind::Read => (ceilings::read::<R>(case.elements()), 1),
        Kind::Fma => (ceilings::fma(), 1),
        Kind::Loss => (loss::<R>(case)?, 1),
        Kind::Matmul(layout) => (product::<R>(case, layout), 1),
        Kind::Dense => (dense::<R>(case), 1),
        Kind::Adam => (adam::<R>(case.elements()), 1),
        Kind::TrainStep | Kind::Epoch => return training::prepare(case, &R::device()),
    };
    match case.kind {
        Kind::Loss | Kind::Adam => {
            beside.push((Ceiling::Copy, ceilings::copy::<R>(case.elements())));
            beside.push((Ceiling::Read, ceilings::read::<R>(case.elements())));
        }
        Kind::Matmul(_) | Kind::Dense if R::SINGLE => beside.push((Ceiling::Fma, ceilings::fma())),
        _ => {}
    }
    if case.name == "mse" && R::SINGLE {
        beside.push((Ceiling::Fused, ceilings::fused_mse(case.elements())));
    }
    let mut prepared = Prepared { first_call: 0.0, work, ceilings: beside, clock: "wall", inner };
    prepared.first_call = (prepared.work)(1)? * inner as f64;
    Ok(prepared)
}

/// The seconds of one of so many runs.
fn timed(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..repeats {
        run()?;
    }
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

fn converted<R: Real>(values: &[f32]) -> Vec<R> {
    values.iter().map(|&x| R::from_f32(x)).collect()
}

fn loss<R: Precision>(case: &Case) -> Result<Run> {
    let loss = case.loss()?;
    let predictions = converted::<R>(&case.predictions(&*loss));
    let mut gradient = vec![R::ZERO; predictions.len()];
    if case.has_labels() {
        let labels: Vec<i32> = case.labels().iter().map(|&label| label as i32).collect();
        let columns = case.columns();
        let mut values = vec![R::ZERO; labels.len()];
        return Ok(Box::new(move |repeats| {
            let rows = rows(&*loss, &predictions, columns, Targets::Labels(&labels));
            timed(repeats, || run_rows(&*loss, &rows, &mut gradient, &mut values))
        }));
    }
    let targets = converted::<R>(&case.targets(&*loss));
    let columns = case.columns();
    let mut values = vec![R::ZERO; predictions.len() / columns];
    Ok(Box::new(move |repeats| match loss.family() {
        Family::Rowwise(_) => {
            let rows = rows(&*loss, &predictions, columns, Targets::Dense(&targets));
            timed(repeats, || run_rows(&*loss, &rows, &mut gradient, &mut values))
        }
        Family::Pointwise(host) => {
            let points = points(&predictions, &targets);
            timed(repeats, || {
                black_box(R::pointwise(host, &points, &mut gradient));
                Ok(())
            })
        }
    }))
}

fn run_rows<R: Precision>(loss: &dyn Loss, rows: &Rows<R>, gradient: &mut [R], values: &mut [R]) -> Result<()> {
    if let Family::Rowwise(host) = loss.family() {
        R::rowwise(host, rows, gradient, values);
        black_box(values.iter().map(|value| value.to_f64()).sum::<f64>());
    }
    Ok(())
}

fn points<'a, R: Real>(predictions: &'a [R], targets: &'a [R]) -> Points<'a, R> {
    Points {
        predictions,
        targets,
        weight: Spread::None,
        mask: Spread::None,
        column_weight: &[],
        row_length: 1,
        factor: R::new(1.0 / predictions.len() as f64),
        upstream: R::ONE,
        upstreams: &[],
    }
}

fn rows<'a, R: Real>(loss: &'a dyn Loss, logits: &'a [R], columns: usize, targets: Targets<'a, R>) -> Rows<'a, R> {
    Rows {
        logits,
        columns,
        targets,
        ignored: loss.ignored(),
        class_weight: &[],
        class_mask: &[],
        weight: &[],
        mask: &[],
        factor: R::new(columns as f64 / logits.len() as f64),
        upstream: R::ONE,
        upstreams: &[],
    }
}

fn product<R: Precision>(case: &Case, layout: Layout) -> Run {
    let [m, n, k] = [case.shape[0], case.shape[1], case.shape[2]];
    let (left, right) = (converted::<R>(&normal(m * k, 1)), converted::<R>(&normal(k * n, 2)));
    let mut output = vec![R::ZERO; m * n];
    Box::new(move |repeats| timed(repeats, || matmul(layout, m, n, k, &left, &right, &mut output, false)))
}

/// Output and all gradients of a dense layer, as the host's engine computes them.
fn dense<R: Precision>(case: &Case) -> Run {
    let [batch, inputs, units] = [case.shape[0], case.shape[1], case.shape[2]];
    let numbers = |length, seed| converted::<R>(&normal(length, seed));
    let (x, weights, bias) = (numbers(batch * inputs, 1), numbers(inputs * units, 2), numbers(units, 3));
    let upstream = numbers(batch * units, 4);
    let (mut y, mut below) = (vec![R::ZERO; batch * units], vec![R::ZERO; batch * inputs]);
    let (mut gradient, mut of_bias) = (vec![R::ZERO; inputs * units], vec![R::ZERO; units]);
    Box::new(move |repeats| {
        timed(repeats, || {
            matmul(Layout::NN, batch, units, inputs, &x, &weights, &mut y, false)?;
            y.chunks_exact_mut(units).for_each(|row| row.iter_mut().zip(&bias).for_each(|(y, &b)| *y += b));
            matmul(Layout::TN, inputs, units, batch, &x, &upstream, &mut gradient, false)?;
            of_bias.fill(R::ZERO);
            upstream.chunks_exact(units).for_each(|row| of_bias.iter_mut().zip(row).for_each(|(b, &g)| *b += g));
            matmul(Layout::NT, batch, inputs, units, &upstream, &weights, &mut below, false)?;
            black_box((&y, &gradient, &of_bias, &below));
            Ok(())
        })
    })
}

/// A step of Adam over so many parameters in one slice.
fn adam<R: Precision>(length: usize) -> Run {
    let adam = Adam::new();
    let (mut parameters, gradients) = (converted::<R>(&normal(length, 1)), converted::<R>(&normal(length, 2)));
    let (mut first, mut second) = (vec![R::ZERO; length], vec![R::ZERO; length]);
    Box::new(move |repeats| {
        let optimizer: &dyn Optimizer = &adam;
        let step = optimizer.step(10, optimizer.initial_learning_rate());
        timed(repeats, || optimizer.update(&step, &[], &mut parameters, &gradients, &mut first, &mut second))
    })
}

/// Fused multiply-adds as a ceiling.
pub(super) fn fma_beside() -> (Ceiling, Run) {
    (Ceiling::Fma, ceilings::fma())
}
