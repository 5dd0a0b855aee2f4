//! Per-tensor rules on the CPU: CPU implementation of `shaders/templates/optimizer/tensor_*.wgsl`.
//!
//! For each tensor: [row and column means] → a direction per element → [orthogonalisation] →
//! norms → update.

use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::optimizers::rule::{Layer, Rule, State};
use crate::nn::optimizers::slices::Slices;
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::{NewtonSchulz, PerTensor, Step};
use crate::nn::optimizers::sweep::SpanTransform;

/// One step of one tensor.
pub(crate) fn update<R: Real, T: Rule>(
    rule: &T,
    kind: &PerTensor,
    step: &Step<R>,
    transform: &SpanTransform,
    span: &ParameterSpan,
    mut slices: Slices<'_, R>,
) {
    let length = slices.parameters.len() - span.padding.min(slices.parameters.len());
    if length == 0 {
        return;
    }
    let [rows, columns] = span.shape(length);
    let [weight, largest, third] = step.own;
    // The second number is a rate too, of Adafactor; no other per-tensor rule reads it.
    let own = [weight, largest * R::new(span.rate), third];
    let step = Step { is_matrix: R::new(f64::from(u8::from(span.columns > 0))), own, ..*step };
    let gradient = |(&w, &g): (&R, &R)| transform.gradient(w, g);
    let gradients: Vec<R> =
        slices.parameters[..length].iter().zip(&slices.gradients[..length]).map(gradient).collect();
    let factored = kind.factored && span.columns > 0;
    if factored {
        keep_means(&gradients, columns, step.own[0], &mut slices.states);
    }
    let mut direction = vec![R::ZERO; length];
    for (place, (direction, &gradient)) in direction.iter_mut().zip(&gradients).enumerate() {
        let state = match factored {
            true => factors(&slices.states, place, columns),
            false => state_at(&slices.states, place),
        };
        let moved = rule.update(slices.parameters[place], gradient, state, &step);
        *direction = moved.parameter;
        if !factored {
            keep(&mut slices.states, place, &moved.state);
        }
    }
    if let Some(newton_schulz) = kind.orthogonal.filter(|_| span.columns > 0) {
        orthogonalize(&newton_schulz, [rows, columns], &mut direction);
    }
    let layer = Layer {
        parameter_norm: R::new(norm(&slices.parameters[..length])),
        direction_norm: R::new(norm(&direction)),
        rows: R::new(rows as f64),
        columns: R::new(columns as f64),
    };
    for (parameter, &direction) in slices.parameters.iter_mut().zip(&direction) {
        *parameter = transform
            .shrunk(rule.apply_update(*parameter, direction, &layer, &step), step.learning_rate);
    }
}

fn norm<R: Real>(values: &[R]) -> f64 {
    let sum = parallel::sum(values.len(), parallel::PIECE, |range| {
        values[range].iter().map(|value| value.to_f64() * value.to_f64()).sum()
    });
    sum.sqrt()
}

fn state_at<R: Real>(states: &[&mut [R]], place: usize) -> State<R> {
    let at = |number: usize| states[number].get(place).copied().unwrap_or(R::ZERO);
    State { first: at(0), second: at(1), third: at(2), fourth: at(3) }
}

fn keep<R: Real>(states: &mut [&mut [R]], place: usize, state: &State<R>) {
    for (slot, value) in
        states.iter_mut().zip([state.first, state.second, state.third, state.fourth])
    {
        if let Some(slot) = slot.get_mut(place) {
            *slot = value;
        }
    }
}

/// Factored second moment of a matrix as passed to the rule: row mean, column mean, mean of the row
/// means.
fn factors<R: Real>(states: &[&mut [R]], place: usize, columns: usize) -> State<R> {
    State {
        first: states[0][place / columns],
        second: states[1][place % columns],
        third: states[2][0],
        ..State::zero()
    }
}

/// Running means of g² over each row (first state), over each column (second), and the mean of the
/// row means (third).
fn keep_means<R: Real>(gradients: &[R], columns: usize, weight: R, states: &mut [&mut [R]]) {
    let rows = gradients.len() / columns;
    let mix = |old: R, sum: f64, count: usize| old + weight * (R::new(sum / count as f64) - old);
    let mut of_columns = vec![0.0; columns];
    for (row, values) in gradients.chunks_exact(columns).enumerate() {
        let mut sum = 0.0;
        for (of_column, value) in of_columns.iter_mut().zip(values) {
            let square = value.to_f64() * value.to_f64();
            *of_column += square;
            sum += square;
        }
        states[0][row] = mix(states[0][row], sum, columns);
    }
    for (state, sum) in states[1].iter_mut().zip(of_columns) {
        *state = mix(*state, sum, rows);
    }
    states[2][0] =
        R::new(states[0][..rows].iter().map(|value| value.to_f64()).sum::<f64>() / rows as f64);
}

/// Newton–Schulz iteration X ← a X + (b A + c A²) X with A = X Xᵀ: every singular value towards 1.
/// The smaller dimension comes first.
fn orthogonalize<R: Real>(
    newton_schulz: &NewtonSchulz,
    [rows, columns]: [usize; 2],
    matrix: &mut [R],
) {
    let NewtonSchulz { steps, coefficients, epsilon } = *newton_schulz;
    let [a, b, c] = coefficients.map(R::new);
    let scale = R::new(1.0 / norm(matrix).max(epsilon));
    matrix.iter_mut().for_each(|value| *value *= scale);
    let is_tall = rows > columns;
    let side = rows.min(columns);
    let (mut gram, mut squared) = (vec![R::ZERO; side * side], vec![R::ZERO; side * side]);
    let mut product = vec![R::ZERO; matrix.len()];
    for _ in 0..steps {
        // If X has more rows than columns its transpose is used: Aᵀ = Xᵀ X then multiplies from the
        // right. The shapes match by construction.
        let outer = if is_tall { Layout::TN } else { Layout::NT };
        let _ = matmul(outer, side, side, rows.max(columns), matrix, matrix, &mut gram, false);
        let _ = matmul(Layout::NN, side, side, side, &gram, &gram, &mut squared, false);
        gram.iter_mut().zip(&squared).for_each(|(gram, &squared)| *gram = b * *gram + c * squared);
        let _ = match is_tall {
            true => matmul(Layout::NN, rows, columns, side, matrix, &gram, &mut product, false),
            false => matmul(Layout::NN, rows, columns, side, &gram, matrix, &mut product, false),
        };
        matrix.iter_mut().zip(&product).for_each(|(value, &product)| *value = a * *value + product);
    }
}
