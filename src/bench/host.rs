//! The cases on the CPU, at f32 on all cores or at f64 plainly: the host's own loops over buffers that are used again.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::{Bench, Case, Kind, Run};
use crate::Result;
use crate::host::Spread;
use crate::host::matmul::{Layout, matmul};
use crate::host::pointwise::{Points, PointwiseHost};
use crate::host::rowwise::{Auxiliary, Rows, RowwiseHost, Targets};
use crate::losses::{Family, Loss};
use crate::real::Real;

/// Elements that one thread copies at a time.
const PIECE: usize = 1 << 16;

/// The two precisions of the host's loops.
pub(super) trait Precision: Real + Default {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<Self>, gradient: &mut [Self]) -> f64;
    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<Self>, gradient: &mut [Self], values: &mut [Self]);
    fn copy(source: &[Self], destination: &mut [Self]);
}

impl Precision for f32 {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<f32>, gradient: &mut [f32]) -> f64 {
        host.run_f32(points, gradient, &mut [])
    }

    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<f32>, gradient: &mut [f32], values: &mut [f32]) {
        host.run_f32(rows, gradient, values, none());
    }

    fn copy(source: &[f32], destination: &mut [f32]) {
        let pieces = destination.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE));
        pieces.for_each(|(destination, source)| destination.copy_from_slice(source));
    }
}

impl Precision for f64 {
    fn pointwise(host: &dyn PointwiseHost, points: &Points<f64>, gradient: &mut [f64]) -> f64 {
        host.run_f64(points, gradient, &mut [])
    }

    fn rowwise(host: &dyn RowwiseHost, rows: &Rows<f64>, gradient: &mut [f64], values: &mut [f64]) {
        host.run_f64(rows, gradient, values, none());
    }

    fn copy(source: &[f64], destination: &mut [f64]) {
        destination.copy_from_slice(source);
    }
}

fn none<R>() -> &'static mut [Auxiliary<R>] {
    &mut []
}

/// Makes a case ready on the CPU.
pub(super) fn prepare<R: Precision>(case: &Case) -> Result<Bench> {
    let elements = case.elements();
    let (work, copy) = match case.kind {
        Kind::Copy => (copy::<R>(elements), Some(copy::<R>(elements))),
        Kind::Loss => (loss::<R>(case)?, Some(copy::<R>(elements))),
        Kind::Matmul | Kind::TrainStep => (product::<R>(case), None),
    };
    Ok(Bench { work, copy, clock: "wall", repeats: 1, inner: 1 })
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

fn copy<R: Precision>(elements: usize) -> Run {
    let source = vec![R::ONE; elements];
    let mut destination = vec![R::ZERO; elements];
    Box::new(move |repeats| {
        timed(repeats, || {
            R::copy(black_box(&source), black_box(&mut destination));
            Ok(())
        })
    })
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

fn product<R: Precision>(case: &Case) -> Run {
    let [m, n, k] = [case.shape[0], case.shape[1], case.shape[2]];
    let numbers = |seed: u64, length: usize| {
        let mut random = crate::random::Random::new(seed, 0);
        converted::<R>(&super::cycled(length, || random.normal() as f32))
    };
    let (left, right) = (numbers(1, m * k), numbers(2, k * n));
    let mut output = vec![R::ZERO; m * n];
    Box::new(move |repeats| timed(repeats, || matmul(Layout::NN, m, n, k, &left, &right, &mut output, false)))
}
