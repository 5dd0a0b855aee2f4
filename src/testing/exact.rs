//! Separate runs of the f64 reference with perturbed inputs, and the tolerances derived from them.

use ndarray::{Array1, ArrayD, Zip};

use crate::cpu::Broadcast;
use crate::losses::{Domain, LossDefinition, Mean, OneInput};
use crate::templates::pointwise::{Points, PointwiseCpu};
use crate::templates::rowwise::RowwiseCpu;
use crate::templates::rowwise::rows::{Auxiliary, Rows};
use crate::templates::rowwise::target::Targets;
use crate::testing::draw::Case;
use crate::testing::report::{Bounded, FLUSHED, INPUT_ULPS, RESULT_ULPS, ULP};
use crate::{Reduction, Result};

/// Results of a loss in f64, before the sum of the values.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    /// One per element or row, times weight and factor.
    pub values: Vec<f64>,
    pub gradient: Vec<f64>,
    pub auxiliary: Vec<Auxiliary<f64>>,
}

/// Perturbation of the inputs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Nothing,
    /// Each prediction by this relative amount, with random signs; a negative amount flips them.
    Predictions(f64),
    /// The same for the targets.
    Targets(f64),
    /// All predictions of one column by this amount.
    Column(usize, f64),
}

/// A random sign: moving all elements of a row alike would not change a softmax.
fn sign(index: usize) -> f64 {
    let words = crate::cpu::random::philox([index as u32, 0, 0, 0], [17, 0]);
    if words[0] & 1 == 0 { 1.0 } else { -1.0 }
}

fn wide(values: Option<&ArrayD<f32>>) -> Vec<f64> {
    values.map(|values| values.iter().map(|&x| f64::from(x)).collect()).unwrap_or_default()
}

fn shifted(mut values: Vec<f64>, share: f64) -> Vec<f64> {
    for (index, x) in values.iter_mut().enumerate() {
        *x *= 1.0 + share * sign(index);
    }
    values
}

/// Runs a case in f64.
pub(super) fn run(loss: &dyn LossDefinition, case: &Case, moved: Move) -> Result<Exact> {
    let mut predictions = wide(Some(&case.predictions));
    let mut targets = wide(case.dense.as_ref());
    match moved {
        Move::Nothing => {}
        Move::Predictions(share) => predictions = shifted(predictions, share),
        Move::Targets(share) => targets = shifted(targets, share),
        Move::Column(column, step) => {
            predictions.iter_mut().skip(column).step_by(case.columns).for_each(|x| *x += step)
        }
    }
    Ok(match loss.one_input()? {
        OneInput::Pointwise(cpu) => run_points(cpu, loss, case, &predictions, &targets),
        OneInput::Rowwise(cpu) | OneInput::Listwise(cpu) => {
            run_rows(cpu, loss, case, &predictions, &targets)?
        }
    })
}

/// The upstream gradient for all values, and per value if unreduced.
fn upstream(case: &Case) -> (f64, Vec<f64>) {
    match (&case.upstream, case.reduction) {
        (Some(_), Reduction::None) => (1.0, wide(case.upstream.as_ref())),
        (Some(upstream), _) => (f64::from(upstream.sum()), Vec::new()),
        (None, _) => (1.0, Vec::new()),
    }
}

fn column_weights(case: &Case) -> Vec<f64> {
    wide_of(case.column_weight.as_ref())
}

fn wide_of(weights: Option<&Array1<f32>>) -> Vec<f64> {
    weights.into_iter().flatten().map(|&w| f64::from(w)).collect()
}

fn flags(flags: Option<&ArrayD<bool>>) -> Vec<bool> {
    flags.into_iter().flatten().copied().collect()
}

fn run_points(
    host: &dyn PointwiseCpu,
    loss: &dyn LossDefinition,
    case: &Case,
    predictions: &[f64],
    targets: &[f64],
) -> Exact {
    let elements = predictions.len();
    let (weight, mask) = (wide(case.weight.as_ref()), flags(case.mask.as_ref()));
    let (upstream, upstreams) = upstream(case);
    let (mut gradient, mut values) = (vec![0.0; elements], vec![0.0; elements]);
    let points = Points {
        predictions,
        targets,
        weight: spread(&weight, elements),
        mask: spread(&mask, elements),
        column_weight: &column_weights(case),
        row_length: elements / case.rows,
        factor: factor(loss, case),
        upstream,
        upstreams: &upstreams,
    };
    host.run_f64(&points, &mut gradient, &mut values);
    Exact { values, gradient, auxiliary: Vec::new() }
}

fn run_rows(
    host: &dyn RowwiseCpu,
    loss: &dyn LossDefinition,
    case: &Case,
    predictions: &[f64],
    targets: &[f64],
) -> Result<Exact> {
    // Values beyond 32 bits occur only in masked rows.
    let narrow = |label: &i64| i32::try_from(*label).unwrap_or(i32::MIN);
    let labels: Vec<i32> = case.labels.iter().flatten().map(narrow).collect();
    let (upstream, upstreams) = upstream(case);
    let mut gradient = vec![0.0; predictions.len()];
    let mut values = vec![0.0; case.rows];
    let mut auxiliary = vec![Auxiliary::default(); if case.auxiliary { case.rows } else { 0 }];
    let rows = Rows {
        logits: predictions,
        columns: case.columns,
        targets: if case.labels.is_some() {
            Targets::Labels(&labels)
        } else {
            Targets::Dense(targets)
        },
        ignored: loss.ignored(),
        class_weight: &column_weights(case),
        pos_weight: &wide_of(case.pos_weight.as_ref()),
        class_mask: &flags(case.class_mask.as_ref()),
        item_weight: &[],
        weight: &wide(case.weight.as_ref()),
        mask: &flags(case.mask.as_ref()),
        factor: factor(loss, case),
        upstream,
        upstreams: &upstreams,
    };
    host.run_f64(&rows, &mut gradient, &mut values, &mut auxiliary)?;
    Ok(Exact { values, gradient, auxiliary })
}

fn spread<T>(values: &[T], elements: usize) -> Broadcast<'_, T> {
    match values.len() {
        0 => Broadcast::None,
        length if length == elements => Broadcast::Element(values),
        _ => Broadcast::Row(values),
    }
}

/// The reduction's factor, implemented independently from its definition.
fn factor(loss: &dyn LossDefinition, case: &Case) -> f64 {
    let rowwise = !loss.is_pointwise();
    let units = if rowwise { case.rows } else { case.predictions.len() };
    // A row weight or row mask of a pointwise loss applies to every element of the row.
    let at = |length: usize, unit: usize| unit / (units / length);
    let mask: Vec<bool> = case.mask.iter().flatten().copied().collect();
    let labels: Vec<i64> = case.labels.iter().flatten().copied().collect();
    let weight = wide(case.weight.as_ref());
    let is_kept = |&unit: &usize| {
        (mask.is_empty() || mask[at(mask.len(), unit)])
            && labels.get(unit).is_none_or(|label| !loss.ignored().contains(label))
    };
    if loss.targets().pads() {
        return factor_of_lists(loss, case, &mask, &weight);
    }
    let kept = (0..units).filter(is_kept);
    let divisor = match (case.reduction, &case.column_weight) {
        (Reduction::None | Reduction::Sum, _) => 1.0,
        (Reduction::Divisor(divisor), _) => divisor,
        (Reduction::BatchMean, _) => case.rows as f64,
        (Reduction::WeightedMean, _) if weight.is_empty() => kept.count() as f64,
        (Reduction::WeightedMean, _) => kept.map(|unit| weight[at(weight.len(), unit)]).sum(),
        (Reduction::Mean, Some(class_weight))
            if loss.spec().mean == Mean::OverClassWeights && !labels.is_empty() =>
        {
            kept.map(|unit| f64::from(class_weight[labels[unit] as usize])).sum()
        }
        (Reduction::Mean, _) if rowwise && loss.spec().mean == Mean::OverElements => {
            (kept.count() * case.columns) as f64
        }
        (Reduction::Mean, _) => kept.count() as f64,
    };
    if divisor == 0.0 { 0.0 } else { 1.0 / divisor }
}

/// The same for lists: a mean divides by the pairs of items whose targets differ, or by the
/// non-empty lists.
fn factor_of_lists(loss: &dyn LossDefinition, case: &Case, mask: &[bool], weight: &[f64]) -> f64 {
    let dense = wide(case.dense.as_ref());
    let units = |list: usize| -> f64 {
        let items: Vec<f64> = dense[list * case.columns..][..case.columns]
            .iter()
            .copied()
            .filter(|y| y.is_nan() || *y >= 0.0)
            .collect();
        let is_kept = mask.get(list).copied().unwrap_or(true);
        match (is_kept, loss.spec().mean == Mean::OverPairs) {
            (false, _) => 0.0,
            (true, true) => {
                items.iter().map(|y| items.iter().filter(|other| *other < y).count() as f64).sum()
            }
            (true, false) => f64::from(u8::from(!items.is_empty())),
        }
    };
    let sum = |of: &dyn Fn(usize) -> f64| (0..case.rows).map(of).sum::<f64>();
    let divisor = match case.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Divisor(divisor) => divisor,
        Reduction::BatchMean => case.rows as f64,
        Reduction::Mean => sum(&units),
        Reduction::WeightedMean => {
            sum(&|list| weight.get(list).copied().unwrap_or(1.0) * units(list))
        }
    };
    if divisor == 0.0 { 0.0 } else { 1.0 / divisor }
}

/// The expected results of a case.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The value, or all values if unreduced.
    pub values: Bounded,
    pub gradient: Bounded,
    /// lse, entropy and probability of the target, if requested.
    pub auxiliaries: Vec<(&'static str, Bounded)>,
    pub exact: Exact,
}

/// Longest chain of additions in a sum of `length` numbers: every kernel template uses at least 8
/// threads for more than 64 numbers, and combines them in a tree.
fn chain(length: usize) -> f64 {
    if length <= 64 { length as f64 } else { length as f64 / 8.0 + 3.0 }
}

/// The same for the reduction: invocations, partial sums in sixteens, a tree (measured for 2²⁰
/// elements: 165).
fn chain_of_reduction(units: usize) -> f64 {
    (units as f64).min(64.0 + units as f64 / 1024.0)
}

/// The expected numbers of a case with their tolerances; see the module docs of [`crate::testing`].
pub(super) fn expected(loss: &dyn LossDefinition, case: &Case) -> Result<Expected> {
    let exact = run(loss, case, Move::Nothing)?;
    let share = INPUT_ULPS * ULP;
    let moves = [
        Move::Predictions(share),
        Move::Predictions(-share),
        Move::Targets(share),
        Move::Targets(-share),
    ];
    // Grades are counted or compared: perturbing equal ones would change the list.
    let is_moved =
        case.labels.is_none() && !loss.targets().pads() && loss.targets() != Domain::ClassList;
    let dense_only = if is_moved { &moves[..] } else { &moves[..2] };
    let moved: Vec<Exact> =
        dense_only.iter().map(|&direction| run(loss, case, direction)).collect::<Result<_>>()?;
    let distance = |pick: &dyn Fn(&Exact) -> f64| -> f64 {
        let here = pick(&exact);
        moved.iter().map(|there| (pick(there) - here).abs()).filter(|off| off.is_finite()).sum()
    };
    let rowwise = !loss.is_pointwise();
    let roundings = (RESULT_ULPS + if rowwise { chain(case.columns) / 2.0 } else { 0.0 }) * ULP;
    let value_tolerance: Vec<f64> = (0..exact.values.len())
        .map(|u| distance(&|e| e.values[u]) + roundings * finite(exact.values[u]) + FLUSHED)
        .collect();
    let width = if rowwise { case.columns } else { 1 };
    let mut gradient_tolerance = vec![0.0; exact.gradient.len()];
    let masses = masses(loss, case);
    for (number, row) in exact.gradient.chunks_exact(width).enumerate() {
        // A cell is a difference of factors common to its row: each has the error of the largest.
        let mass = masses.get(number).copied().unwrap_or(0.0);
        let largest = row.iter().fold(mass, |largest: f64, &g| largest.max(finite(g)));
        for k in 0..width {
            let i = number * width + k;
            gradient_tolerance[i] = distance(&|e| e.gradient[i]) + roundings * largest + FLUSHED;
        }
    }
    let values = values_of(case, &exact, value_tolerance);
    let gradient = Bounded {
        expected: like(&case.predictions, &exact.gradient),
        tolerance: like(&case.predictions, &gradient_tolerance),
    };
    let auxiliaries =
        if case.auxiliary { auxiliaries(case, &exact, &moved, roundings) } else { Vec::new() };
    Ok(Expected { values, gradient, auxiliaries, exact })
}

/// The weighted mass of each row's dense target: a derivative p Σq − q is a difference of factors
/// of that size, which its cells may hide by cancelling. (For labels the difference is written
/// without cancellation.)
fn masses(loss: &dyn LossDefinition, case: &Case) -> Vec<f64> {
    let is_weighed =
        |domain: Domain| matches!(domain, Domain::Class | Domain::Logits) || domain.pads();
    let Some(dense) = case.dense.as_ref().filter(|_| is_weighed(loss.targets())) else {
        return Vec::new();
    };
    let (weight, upstream) = (wide(case.weight.as_ref()), wide(case.upstream.as_ref()));
    let column_weight = |column: usize| {
        case.column_weight.as_ref().map_or(1.0, |weights| f64::from(weights[column]))
    };
    let factor = factor(loss, case);
    let at =
        |values: &[f64], row: usize| values.get(row).or(values.first()).copied().unwrap_or(1.0);
    let cells: Vec<f64> = wide(Some(dense));
    cells
        .chunks_exact(case.columns)
        .enumerate()
        .map(|(row, cells)| {
            if loss.targets() == Domain::Logits {
                // The mass of their softmax.
                return (factor * at(&weight, row) * at(&upstream, row)).abs();
            }
            let mass: f64 = cells
                .iter()
                .enumerate()
                .map(|(column, &t)| finite(t) * column_weight(column))
                .sum();
            mass * (factor * at(&weight, row) * at(&upstream, row)).abs()
        })
        .collect()
}

pub(super) fn finite(x: f64) -> f64 {
    if x.is_finite() { x.abs() } else { 0.0 }
}

pub(super) fn like(array: &ArrayD<f32>, values: &[f64]) -> ArrayD<f64> {
    let mut shaped = ArrayD::zeros(array.raw_dim());
    shaped.iter_mut().zip(values).for_each(|(slot, &value)| *slot = value);
    shaped
}

/// The reduced values.
fn values_of(case: &Case, exact: &Exact, tolerance: Vec<f64>) -> Bounded {
    if case.reduction == Reduction::None {
        let shaped = |values: &[f64]| {
            let mut array = ArrayD::zeros(&case.value_shape[..]);
            array.iter_mut().zip(values).for_each(|(slot, &value)| *slot = value);
            array
        };
        return Bounded { expected: shaped(&exact.values), tolerance: shaped(&tolerance) };
    }
    let magnitude: f64 = exact.values.iter().map(|&v| finite(v)).sum();
    let roundings = 0.5 * ULP * chain_of_reduction(exact.values.len());
    let one = |value: f64| ndarray::arr0(value).into_dyn();
    Bounded {
        expected: one(exact.values.iter().sum()),
        tolerance: one(tolerance.iter().sum::<f64>() + roundings * magnitude),
    }
}

/// lse, entropy and probability of each row. Entropy is a difference of ln Σe and a mean distance,
/// both of at most the size of ln columns; so is lse except for the added largest logit.
fn auxiliaries(
    case: &Case,
    exact: &Exact,
    moved: &[Exact],
    roundings: f64,
) -> Vec<(&'static str, Bounded)> {
    let size = (case.columns as f64).ln() + 1.0;
    type Output = fn(&Auxiliary<f64>) -> f64;
    let pick: [(&'static str, Output); 3] = [
        ("lse", |a| a.lse),
        ("entropy", |a| a.entropy),
        ("target_probability", |a| a.target_probability),
    ];
    pick.into_iter()
        .map(|(name, pick)| {
            let of = |exact: &Exact| {
                ndarray::Array1::from_iter(exact.auxiliary.iter().map(pick)).into_dyn()
            };
            let expected = of(exact);
            let mut tolerance = expected.mapv(|x| roundings * (finite(x) + size) + FLUSHED);
            for moved in moved {
                Zip::from(&mut tolerance)
                    .and(&expected)
                    .and(&of(moved))
                    .for_each(|slot, here, there| *slot += finite(there - here));
            }
            (name, Bounded { expected, tolerance })
        })
        .collect()
}
