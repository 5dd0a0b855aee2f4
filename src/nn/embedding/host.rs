//! The embedding table on the CPU: in f32 on all cores, and in f64 as the reference. CPU
//! implementation of `shaders/ops/embedding/embedding_update.wgsl`.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::embedding::kernels::BLOCK;
use crate::nn::optimizers::{MOST_STATES, Optimizer, Rows, Slices, Step};

/// Radix in bits: 256 counters fit in a core's L1 cache.
const DIGIT: u32 = 8;

/// Rows and optimizer states in vectors.
#[derive(Clone, Debug)]
pub(crate) struct Table<R> {
    width: usize,
    parameters: Vec<R>,
    states: Vec<Vec<R>>,
    /// Ids and positions sorted by [`sort`], and its second buffer; reused between steps.
    pairs: [Vec<u64>; 2],
}

/// A range of the sorted ids, and the section of the table that holds its rows.
struct Stretch<'a, R> {
    /// Its positions among all sorted ids.
    places: Range<usize>,
    /// First row of the section.
    first_row: usize,
    parameters: &'a mut [R],
    states: [&'a mut [R]; MOST_STATES],
}

/// The rows hit by a range of ids, in order, each with the sum of its gradients.
struct Hits<'a, R> {
    sorted: &'a [u64],
    stretch: Stretch<'a, R>,
    width: usize,
    gradients: &'a [R],
    /// Scratch: the sum of a row hit more than once, and of one block of its run.
    room: &'a mut [Vec<R>; 2],
}

impl<R: Real> Rows<R> for Hits<'_, R> {
    fn next(&mut self) -> Option<Slices<'_, R>> {
        let Stretch { places, first_row, parameters, states } = &mut self.stretch;
        let first = places.start;
        let row = self.sorted[places.clone()].first()? >> 32;
        let more = self.sorted[first + 1..places.end]
            .iter()
            .take_while(|&&pair| pair >> 32 == row)
            .count();
        places.start += 1 + more;
        let numbers = (row as usize - *first_row) * self.width..;
        let gradients = if more == 0 {
            &self.gradients[(self.sorted[first] as u32) as usize * self.width..][..self.width]
        } else {
            let [sum, part] = &mut *self.room;
            sum_of_run(self.sorted, first..places.start, self.gradients, sum, part);
            &sum[..]
        };
        let parameters = &mut parameters[numbers.clone()][..self.width];
        let states = states.each_mut().map(|state| match state.is_empty() {
            true => &mut state[..],
            false => &mut state[numbers.clone()][..self.width],
        });
        Some(Slices { parameters, gradients, states })
    }
}

impl<R: Real> Table<R> {
    pub fn new(width: usize, parameters: Vec<R>) -> Self {
        Table { width, parameters, states: Vec::new(), pairs: Default::default() }
    }

    pub fn parameters(&self) -> &[R] {
        &self.parameters
    }

    /// Initializes the optimizer states.
    pub fn begin(&mut self, optimizer: &dyn Optimizer) {
        self.states = optimizer.first_states(self.parameters.len());
    }

    /// The optimizer's states, each as long as the table.
    pub fn states(&self) -> &[Vec<R>] {
        &self.states
    }

    /// Sets the values of all rows.
    pub fn set_parameters(&mut self, parameters: Vec<R>) {
        self.parameters = parameters;
    }

    /// Sets the optimizer's states.
    pub fn set_states(&mut self, states: Vec<Vec<R>>) {
        self.states = states;
    }

    /// The rows of `ids`, which must be in range.
    pub fn gather(&self, ids: &[i32]) -> Vec<R> {
        let mut output = vec![R::ZERO; ids.len() * self.width];
        gather_rows((&self.parameters, self.width), ids, &mut output);
        output
    }

    /// Optimizer step on the rows in `ids`, which must be in range.
    pub fn update(&mut self, ids: &[i32], gradients: &[R], optimizer: &dyn Optimizer, step: &Step) {
        let Table { width, parameters, states, pairs } = self;
        let width = *width;
        sort(ids, parameters.len() / width, pairs);
        let sorted = &pairs[0][..];
        let room = || [vec![R::ZERO; width], vec![R::ZERO; width]];
        stretches(sorted, width, parameters, states).into_par_iter().for_each_init(
            room,
            |room, stretch| {
                optimizer.update_rows(step, &mut Hits { sorted, stretch, width, gradients, room });
            },
        );
    }
}

/// The rows `ids` of a table of the given width, concatenated.
pub(crate) fn gather_rows<R: Real>((table, width): (&[R], usize), ids: &[i32], output: &mut [R]) {
    parallel::fill(output, parallel::rows_per_piece(width) * width, |start, part| {
        for (row, &id) in part.chunks_exact_mut(width).zip(&ids[start / width..]) {
            row.copy_from_slice(&table[id as usize * width..][..width]);
        }
    });
}

/// Splits the sorted ids at the ends of runs, so that each range is large enough for a thread and
/// has rows of its own.
fn stretches<'a, R: Real>(
    sorted: &[u64],
    width: usize,
    mut parameters: &'a mut [R],
    states: &'a mut [Vec<R>],
) -> Vec<Stretch<'a, R>> {
    let mut rest: [&mut [R]; MOST_STATES] = Default::default();
    rest.iter_mut().zip(states).for_each(|(slot, state)| *slot = state);
    let places = parallel::rows_per_piece(width);
    let (mut found, mut start, mut first_row) =
        (Vec::with_capacity(sorted.len() / places + 1), 0, 0);
    while start < sorted.len() {
        let mut end = (start + places).min(sorted.len());
        let last = sorted[end - 1] >> 32;
        end += sorted[end..].iter().take_while(|&&pair| pair >> 32 == last).count();
        let numbers = (last as usize + 1 - first_row) * width;
        let states = rest.each_mut().map(|state| split_off(state, numbers));
        let parameters = split_off(&mut parameters, numbers);
        found.push(Stretch { places: start..end, first_row, parameters, states });
        (start, first_row) = (end, last as usize + 1);
    }
    found
}

/// Splits off the first `numbers` values; a missing state stays empty.
fn split_off<'a, R>(rest: &mut &'a mut [R], numbers: usize) -> &'a mut [R] {
    let all = std::mem::take(rest);
    let (part, behind) = all.split_at_mut(numbers.min(all.len()));
    *rest = behind;
    part
}

/// Sorts ids below `rows`, packed with their positions, by id and then by position, into the first
/// of `pairs`. A stable radix sort from the least significant digit: 4,096 ids of 14,563 take two
/// passes.
fn sort(ids: &[i32], rows: usize, [pairs, other]: &mut [Vec<u64>; 2]) {
    pairs.clear();
    pairs.extend(ids.iter().zip(0..).map(|(&id, position)| (id as u64) << 32 | position));
    other.resize(pairs.len(), 0);
    let bits = usize::BITS - (rows - 1).leading_zeros();
    for shift in (0..bits).step_by(DIGIT as usize) {
        let digit = |pair: u64| (pair >> (32 + shift)) as usize & ((1 << DIGIT) - 1);
        let mut next = [0_usize; 1 << DIGIT];
        pairs.iter().for_each(|&pair| next[digit(pair)] += 1);
        let mut before = 0;
        for count in &mut next {
            before += std::mem::replace(count, before);
        }
        for &pair in &*pairs {
            let place = &mut next[digit(pair)];
            other[*place] = pair;
            *place += 1;
        }
        std::mem::swap(pairs, other);
    }
}

/// Sums the gradients of a run of positions in order, block by block: see
/// `shaders/ops/embedding/embedding_runs.wgsl`.
fn sum_of_run<R: Real>(
    sorted: &[u64],
    places: Range<usize>,
    gradients: &[R],
    sum: &mut [R],
    part: &mut [R],
) {
    R::dispatch(
        #[inline(always)]
        || sum_pieces(sorted, places, gradients, sum, part),
    );
}

#[inline(always)]
fn sum_pieces<R: Real>(
    sorted: &[u64],
    places: Range<usize>,
    gradients: &[R],
    sum: &mut [R],
    part: &mut [R],
) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    #[test]
    fn ids_come_in_order_and_equal_ones_in_the_order_of_their_positions() {
        let mut pairs = Default::default();
        for (count, rows) in
            [(1, 1), (40, 1), (300, 2), (300, 256), (300, 257), (4096, 14_563), (5000, 1 << 24)]
        {
            let mut random = Random::new(count, 0);
            let ids: Vec<i32> =
                (0..count).map(|_| (random.uniform() * rows as f64) as i32).collect();
            sort(&ids, rows, &mut pairs);
            let mut exact: Vec<u64> =
                ids.iter().zip(0..).map(|(&id, position)| (id as u64) << 32 | position).collect();
            exact.sort();
            assert_eq!(pairs[0], exact, "{count} ids of {rows}");
        }
    }
}
