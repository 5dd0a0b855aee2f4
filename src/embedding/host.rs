//! The table on the CPU: in f32 on all cores, and in f64 as the reference. The twin of `shaders/kernels/embedding_update.wgsl`.

use rayon::prelude::*;

use crate::host::parallel;
use crate::kernels::embedding::BLOCK;
use crate::optimizers::{MOST_STATES, Optimizer, Slices, Step};
use crate::real::Real;

/// Rows and states in vectors.
#[derive(Debug)]
pub(super) struct Table<R> {
    width: usize,
    parameters: Vec<R>,
    states: Vec<Vec<R>>,
}

/// A row that was hit: its numbers, and the places of its id among the sorted ones.
struct Row<'a, R> {
    parameters: &'a mut [R],
    states: [&'a mut [R]; MOST_STATES],
    places: std::ops::Range<usize>,
}

impl<R: Real> Table<R> {
    pub fn new(width: usize, parameters: Vec<R>) -> Self {
        Table { width, parameters, states: Vec::new() }
    }

    pub fn parameters(&self) -> &[R] {
        &self.parameters
    }

    /// The states that training begins with.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) {
        self.states = optimizer.first_states(self.parameters.len());
    }

    /// The rows of ids that name one.
    pub fn gather(&self, ids: &[i32]) -> Vec<R> {
        let width = self.width;
        let mut output = vec![R::ZERO; ids.len() * width];
        parallel::fill(&mut output, parallel::rows_per_piece(width) * width, |start, part| {
            for (row, &id) in part.chunks_exact_mut(width).zip(&ids[start / width..]) {
                row.copy_from_slice(&self.parameters[id as usize * width..][..width]);
            }
        });
        output
    }

    /// A step on the rows that were hit, by ids that name one.
    pub fn update(&mut self, ids: &[i32], gradients: &[R], optimizer: &dyn Optimizer, step: &Step) {
        let width = self.width;
        // Id and position in one number: their order is the order by id, then by position.
        let mut sorted: Vec<u64> = ids.iter().zip(0..).map(|(&id, position)| (id as u64) << 32 | position).collect();
        sorted.par_sort_unstable();
        let least = parallel::rows_per_piece(width);
        self.rows(&sorted).into_par_iter().with_min_len(least).for_each_init(
            || [vec![R::ZERO; width], vec![R::ZERO; width]],
            |[sum, part], Row { parameters, states, places }| {
                sum_of_run(&sorted, places, gradients, sum, part);
                optimizer.update_part(step, Slices { parameters, gradients: sum, states });
            },
        );
    }

    /// The rows that were hit, by id.
    fn rows(&mut self, sorted: &[u64]) -> Vec<Row<'_, R>> {
        let width = self.width;
        let mut parameters = &mut self.parameters[..];
        let mut states: [&mut [R]; MOST_STATES] = Default::default();
        states.iter_mut().zip(&mut self.states).for_each(|(slot, state)| *slot = state);
        let (mut rows, mut at, mut first) = (Vec::new(), 0, 0);
        for run in sorted.chunk_by(|a, b| a >> 32 == b >> 32) {
            let id = (run[0] >> 32) as usize;
            let places = first..first + run.len();
            rows.push(Row {
                parameters: row_of(&mut parameters, id - at, width),
                states: states.each_mut().map(|state| row_of(state, id - at, width)),
                places,
            });
            (at, first) = (id + 1, first + run.len());
        }
        rows
    }
}

/// Cuts the next row off, so many rows behind the last one; an absent state stays empty.
fn row_of<'a, R>(rest: &mut &'a mut [R], skipped: usize, width: usize) -> &'a mut [R] {
    let all = std::mem::take(rest);
    if all.is_empty() {
        return all;
    }
    let (row, behind) = all[skipped * width..].split_at_mut(width);
    *rest = behind;
    row
}

/// The gradients of a run of places, in order, piece by piece: see `shaders/helpers/embedding_runs.wgsl`.
fn sum_of_run<R: Real>(sorted: &[u64], places: std::ops::Range<usize>, gradients: &[R], sum: &mut [R], part: &mut [R]) {
    let mut start = places.start;
    while start < places.end {
        let end = ((start / BLOCK + 1) * BLOCK).min(places.end);
        let into = if start == places.start { &mut *sum } else { &mut *part };
        for (number, pair) in sorted[start..end].iter().enumerate() {
            let row = &gradients[(*pair as u32) as usize * into.len()..][..into.len()];
            match number {
                0 => into.copy_from_slice(row),
                _ => into.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x),
            }
        }
        if start > places.start {
            sum.iter_mut().zip(&*part).for_each(|(sum, &x)| *sum += x);
        }
        start = end;
    }
}
