//! The cases on the CPU, in f32 on all cores or in plain f64: the CPU implementations over reused
//! buffers.

pub(super) mod ceilings;
pub(crate) mod common;
mod embedding;
mod threads;

use std::hint::black_box;
use std::rc::Rc;

use crate::Result;
use crate::cpu::Broadcast;
use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::Real;
use crate::losses::{LossDefinition, OneInput};
use crate::nn::optimizers::{Adam, Optimizer};
use crate::templates::multi_input::cpu as multi_input;
use crate::templates::multi_input::cpu::{Array, MultiInput};
use crate::templates::pointwise::Points;
use crate::templates::rowwise::rows::Rows;
use crate::templates::rowwise::target::Targets;
use crate::testing::bench::case::{Case, Kind, normal};
use crate::testing::bench::count::Bound;
use crate::testing::bench::host::ceilings::fma_beside;
use crate::testing::bench::host::common::{Buffers, Precision, converted, timed};
use crate::testing::bench::sampling::{Ceiling, Prepared, Run};
use crate::testing::bench::training;

/// Prepares a case on the CPU.
pub(crate) fn prepare<R: Precision>(case: &Case) -> Result<Prepared> {
    let mut beside = Vec::new();
    let work = match case.kind {
        Kind::Copy => ceilings::copy(Buffers::<R>::plain(case.elements())),
        Kind::Read => ceilings::read(Buffers::<R>::plain(case.elements())),
        Kind::Fma => ceilings::fma(),
        Kind::Loss => {
            let (work, buffers) = loss::<R>(case)?;
            if case.bound() == Bound::Memory {
                beside.extend(memory(&buffers));
            }
            if case.name == "mse" && R::SINGLE {
                beside.push((Ceiling::Fused, ceilings::fused_mse(buffers)));
            }
            work
        }
        Kind::Adam => {
            beside.extend(memory(&Buffers::<R>::plain(case.elements())));
            adam::<R>(case.elements())
        }
        Kind::Embedding { dense } => {
            beside.extend(memory(&Buffers::<R>::plain(case.elements())));
            embedding::run::<R>(case, dense)?
        }
        Kind::Matmul(layout) => product::<R>(case, layout),
        Kind::Dense => dense::<R>(case),
        Kind::TrainStep | Kind::Epoch => return training::prepare(case, &R::device()),
    };
    if case.bound() == Bound::Arithmetic && case.kind != Kind::Fma && R::SINGLE {
        beside.push(fma_beside());
    }
    let mut prepared =
        Prepared { first_call: 0.0, work, ceilings: beside, clock: "wall", inner: 1 };
    prepared.first_call = (prepared.work)(1)?;
    Ok(prepared)
}

/// The memory ceilings on these buffers.
fn memory<R: Precision>(buffers: &Rc<Buffers<R>>) -> [(Ceiling, Run); 2] {
    [
        (Ceiling::Copy, ceilings::copy(buffers.clone())),
        (Ceiling::Read, ceilings::read(buffers.clone())),
    ]
}

fn loss<R: Precision>(case: &Case) -> Result<(Run, Rc<Buffers<R>>)> {
    let loss = case.loss()?;
    let columns = case.columns();
    let (labels, targets) = match case.has_labels() {
        true => (case.labels().iter().map(|&label| label as i32).collect(), Vec::new()),
        false => (Vec::<i32>::new(), case.targets(&*loss)),
    };
    if !loss.arguments().is_empty() {
        return several(case, loss);
    }
    let buffers = Buffers::<R>::new(&case.predictions(&*loss), &targets);
    let shared = buffers.clone();
    let mut values = vec![R::ZERO; case.elements() / columns];
    let run = move |repeats| {
        let Buffers { predictions, targets, gradient } = &*buffers;
        let gradient = &mut *gradient.borrow_mut();
        match loss.one_input()? {
            OneInput::Rowwise(_) | OneInput::Listwise(_) => {
                let targets = if labels.is_empty() {
                    Targets::Dense(targets)
                } else {
                    Targets::Labels(&labels)
                };
                let rows = rows(&*loss, predictions, columns, targets);
                timed(repeats, || run_rows(&*loss, &rows, gradient, &mut values))
            }
            OneInput::Pointwise(host) => {
                let points = points(predictions, targets);
                timed(repeats, || {
                    black_box(R::run_pointwise(host, &points, gradient));
                    Ok(())
                })
            }
        }
    };
    Ok((Box::new(run), shared))
}

/// A multi-input loss.
fn several<R: Precision>(
    case: &Case,
    loss: Box<dyn LossDefinition>,
) -> Result<(Run, Rc<Buffers<R>>)> {
    let [numbers, whole] = case.arguments(&*loss);
    let names = loss.differentiated();
    let named = numbers.iter().filter(|(example, _)| names.contains(&example.name));
    let mut gradients: Vec<Vec<R>> = named.map(|(_, values)| vec![R::ZERO; values.len()]).collect();
    let arrays = numbers.into_iter().map(|(example, values)| Array {
        name: example.name,
        shape: example.shape,
        values: converted(&values).into(),
    });
    let integers = whole.into_iter().map(|(example, values)| Array {
        name: example.name,
        shape: example.shape,
        values: values.iter().map(|&x| x as i32).collect::<Vec<_>>().into(),
    });
    let mut call = MultiInput {
        arrays: arrays.collect(),
        integers: integers.collect(),
        units: 0,
        weight: Vec::new().into(),
        mask: Vec::new().into(),
        factor: R::ONE,
        upstream: R::ONE,
        upstreams: Vec::new().into(),
    };
    let units = loss.several()?.1.units(&call.shapes(loss.entry().name))?;
    call.units = units.shape.iter().product();
    call.factor = R::new(1.0 / call.units as f64);
    let mut values = vec![R::ZERO; call.units];
    let run = move |repeats| {
        let (_, host) = loss.several()?;
        timed(repeats, || {
            R::multi_input(&*host, &call, &mut gradients, &mut values)?;
            black_box(multi_input::sum(&values));
            Ok(())
        })
    };
    Ok((Box::new(run), Buffers::plain(case.elements())))
}

fn run_rows<R: Precision>(
    loss: &dyn LossDefinition,
    rows: &Rows<R>,
    gradient: &mut [R],
    values: &mut [R],
) -> Result<()> {
    R::run_rowwise(loss.rowwise()?, rows, gradient, values)?;
    black_box(values.iter().map(|value| value.to_f64()).sum::<f64>());
    Ok(())
}

fn points<'a, R: Real>(predictions: &'a [R], targets: &'a [R]) -> Points<'a, R> {
    Points {
        predictions,
        targets,
        weight: Broadcast::None,
        mask: Broadcast::None,
        column_weight: &[],
        row_length: 1,
        factor: R::new(1.0 / predictions.len() as f64),
        upstream: R::ONE,
        upstreams: &[],
    }
}

fn rows<'a, R: Real>(
    loss: &'a dyn LossDefinition,
    logits: &'a [R],
    columns: usize,
    targets: Targets<'a, R>,
) -> Rows<'a, R> {
    Rows {
        logits,
        columns,
        targets,
        ignored: loss.ignored(),
        class_weight: &[],
        pos_weight: &[],
        class_mask: &[],
        item_weight: &[],
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
    Box::new(move |repeats| {
        timed(repeats, || matmul(layout, m, n, k, &left, &right, &mut output, false))
    })
}

/// Output and all gradients of a dense layer, as computed by the CPU engine.
fn dense<R: Precision>(case: &Case) -> Run {
    let [batch, inputs, units] = [case.shape[0], case.shape[1], case.shape[2]];
    let numbers = |length, seed| converted::<R>(&normal(length, seed));
    let (x, weights, bias) =
        (numbers(batch * inputs, 1), numbers(inputs * units, 2), numbers(units, 3));
    let upstream = numbers(batch * units, 4);
    let (mut y, mut below) = (vec![R::ZERO; batch * units], vec![R::ZERO; batch * inputs]);
    let (mut gradient, mut of_bias) = (vec![R::ZERO; inputs * units], vec![R::ZERO; units]);
    Box::new(move |repeats| {
        timed(repeats, || {
            matmul(Layout::NN, batch, units, inputs, &x, &weights, &mut y, false)?;
            y.chunks_exact_mut(units)
                .for_each(|row| row.iter_mut().zip(&bias).for_each(|(y, &b)| *y += b));
            matmul(Layout::TN, inputs, units, batch, &x, &upstream, &mut gradient, false)?;
            of_bias.fill(R::ZERO);
            upstream
                .chunks_exact(units)
                .for_each(|row| of_bias.iter_mut().zip(row).for_each(|(b, &g)| *b += g));
            matmul(Layout::NT, batch, inputs, units, &upstream, &weights, &mut below, false)?;
            black_box((&y, &gradient, &of_bias, &below));
            Ok(())
        })
    })
}

/// An Adam step over all parameters in one slice.
fn adam<R: Precision>(length: usize) -> Run {
    let adam = Adam::new();
    let (mut parameters, gradients) =
        (converted::<R>(&normal(length, 1)), converted::<R>(&normal(length, 2)));
    let mut states = vec![vec![R::ZERO; length]; 2];
    Box::new(move |repeats| {
        let optimizer: &dyn Optimizer = &adam;
        let step = optimizer.step(10, optimizer.initial_learning_rate());
        timed(repeats, || optimizer.update(&step, &[], &mut parameters, &gradients, &mut states))
    })
}
