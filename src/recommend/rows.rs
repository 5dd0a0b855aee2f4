//! User or item rows on the CPU: their vectors, and the updates of those hit by a batch.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::recommend::engine::{Optimizer, Table};
use crate::recommend::features::Features;
use crate::recommend::sampling::LANES;

/// Marks the absence of a hit.
const NO_HIT: u32 = u32::MAX;

/// Number of row ranges, each updated by one thread. Rows are independent: any number gives the
/// same bits.
const RANGES: usize = 16;

/// Number of hits below which threads cost more than they save.
const WORTH_THREADS: usize = 256;

/// Contribution of a gradient to a row: the sample, and a factor (the sign, times the feature's
/// weight).
#[derive(Clone, Copy, Debug)]
struct Hit<R> {
    sample: u32,
    factor: R,
    /// The row's next hit.
    next: u32,
}

/// The hits of a batch, linked per row in their order.
#[derive(Debug)]
struct Hits<R> {
    list: Vec<Hit<R>>,
    /// The first and the last hit of each row.
    ends: Vec<[u32; 2]>,
    /// The hit rows, by range.
    touched: Vec<Vec<u32>>,
    rows_in_range: usize,
}

impl<R: Real> Hits<R> {
    fn new(rows: usize) -> Self {
        let rows_in_range = rows.div_ceil(RANGES).max(1);
        Hits {
            list: Vec::new(),
            ends: vec![[NO_HIT; 2]; rows],
            touched: vec![Vec::new(); RANGES],
            rows_in_range,
        }
    }

    fn push(&mut self, row: u32, sample: u32, factor: R) {
        let index = self.list.len() as u32;
        self.list.push(Hit { sample, factor, next: NO_HIT });
        let ends = &mut self.ends[row as usize];
        if ends[0] == NO_HIT {
            ends[0] = index;
            self.touched[row as usize / self.rows_in_range].push(row);
        } else {
            self.list[ends[1] as usize].next = index;
        }
        ends[1] = index;
    }

    fn clear(&mut self) {
        self.list.clear();
        for rows in &mut self.touched {
            rows.drain(..).for_each(|row| self.ends[row as usize] = [NO_HIT; 2]);
        }
    }
}

/// Side features and the entity vectors derived from the rows.
#[derive(Debug)]
struct Hybrid<R> {
    features: Arc<Features>,
    /// The entities of each feature: starts and entities.
    inverse: (Vec<u32>, Vec<u32>),
    vectors: Vec<R>,
    biases: Vec<R>,
    /// Entities whose vector is out of date, each once.
    stale: Vec<u32>,
    is_stale: Vec<bool>,
}

/// The gradients of a batch: sample s has the row `vectors[s]` and `biases[s]`.
pub(super) struct Gradients<'a, R> {
    /// [samples, stride].
    pub vectors: &'a [R],
    /// [samples].
    pub biases: &'a [R],
}

/// Two parallel lists: values and their squares, or vectors and biases.
pub(super) type Two<'a, R> = (&'a mut [R], &'a mut [R]);

/// Values with two states of the optimizer.
type Three<'a, R> = (Two<'a, R>, &'a mut [R]);

/// Update of a row by a hit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<R> {
    pub optimizer: Optimizer,
    pub rate: R,
    pub alpha: R,
}

/// Users or items.
#[derive(Debug)]
pub(super) struct Rows<R> {
    components: usize,
    stride: usize,
    embeddings: Vec<R>,
    biases: Vec<R>,
    embedding_squares: Vec<R>,
    bias_squares: Vec<R>,
    /// Adadelta's running means of squared updates; empty with other optimizers.
    embedding_updates: Vec<R>,
    bias_updates: Vec<R>,
    hybrid: Option<Hybrid<R>>,
    hits: Hits<R>,
}

impl<R: Real> Rows<R> {
    pub fn new(entities: usize, components: usize, features: Option<Arc<Features>>) -> Self {
        let stride = components.next_multiple_of(LANES);
        let rows = features.as_ref().map_or(entities, |features| features.features());
        let hybrid = features.map(|features| Hybrid {
            inverse: features.inverse(),
            vectors: vec![R::ZERO; entities * stride],
            biases: vec![R::ZERO; entities],
            stale: Vec::new(),
            is_stale: vec![false; entities],
            features,
        });
        Rows {
            components,
            stride,
            embeddings: vec![R::ZERO; rows * stride],
            biases: vec![R::ZERO; rows],
            embedding_squares: vec![R::ONE; rows * stride],
            bias_squares: vec![R::ONE; rows],
            embedding_updates: Vec::new(),
            bias_updates: Vec::new(),
            hybrid,
            hits: Hits::new(rows),
        }
    }

    /// Vectors [entities, stride] and biases [entities].
    pub fn vectors(&self) -> (&[R], &[R]) {
        match &self.hybrid {
            Some(hybrid) => (&hybrid.vectors, &hybrid.biases),
            None => (&self.embeddings, &self.biases),
        }
    }

    /// Records that a sample's gradient, times `factor`, applies to an entity.
    #[inline]
    pub fn hit(&mut self, entity: u32, sample: u32, factor: R) {
        let Some(hybrid) = &self.hybrid else {
            self.hits.push(entity, sample, factor);
            return;
        };
        let (features, weights) = hybrid.features.of(entity as usize);
        for (&feature, &weight) in features.iter().zip(weights) {
            self.hits.push(feature, sample, factor * R::from_f32(weight));
        }
    }

    /// Updates the rows that were hit and clears the hits.
    pub fn update(&mut self, gradients: &Gradients<R>, step: Step<R>) {
        match step.optimizer {
            Optimizer::Adadelta { rho, epsilon } => {
                let rule = Adadelta { rho: R::new(rho), epsilon: R::new(epsilon) };
                self.move_by_averages(gradients, rule, step.alpha);
            }
            Optimizer::Adagrad | Optimizer::Sgd => self.move_rows(gradients, step),
        }
        self.note_stale();
        self.hits.clear();
        self.refresh();
    }

    fn move_rows(&mut self, gradients: &Gradients<R>, step: Step<R>) {
        let (hits, stride) = (&self.hits, self.stride);
        let (per_range, width) = (hits.rows_in_range, hits.rows_in_range * stride);
        let ranges =
            (self.embeddings.chunks_mut(width).zip(self.embedding_squares.chunks_mut(width)))
                .zip(self.biases.chunks_mut(per_range).zip(self.bias_squares.chunks_mut(per_range)))
                .enumerate();
        let move_range = |(range, (embeddings, biases)): (usize, (Two<R>, Two<R>))| {
            for &row in &hits.touched[range] {
                let place = row as usize - range * per_range;
                let part = place * stride..(place + 1) * stride;
                let vector = (&mut embeddings.0[part.clone()], &mut embeddings.1[part]);
                let bias = (&mut biases.0[place], &mut biases.1[place]);
                move_row(hits, row, gradients, step, vector, bias);
            }
        };
        if hits.list.len() < WORTH_THREADS {
            ranges.for_each(move_range);
        } else {
            ranges.collect::<Vec<_>>().into_par_iter().for_each(move_range);
        }
    }

    fn move_by_averages(&mut self, gradients: &Gradients<R>, rule: Adadelta<R>, alpha: R) {
        let (hits, stride) = (&self.hits, self.stride);
        let (per_range, width) = (hits.rows_in_range, hits.rows_in_range * stride);
        self.embedding_updates.resize(self.embeddings.len(), R::ZERO);
        self.bias_updates.resize(self.biases.len(), R::ZERO);
        let embeddings = self
            .embeddings
            .chunks_mut(width)
            .zip(self.embedding_squares.chunks_mut(width))
            .zip(self.embedding_updates.chunks_mut(width));
        let biases = self
            .biases
            .chunks_mut(per_range)
            .zip(self.bias_squares.chunks_mut(per_range))
            .zip(self.bias_updates.chunks_mut(per_range));
        let move_range = |(range, (embeddings, biases)): (usize, (Three<R>, Three<R>))| {
            let ((vectors, squares), updates) = embeddings;
            let ((own_biases, bias_squares), bias_updates) = biases;
            for &row in &hits.touched[range] {
                let place = row as usize - range * per_range;
                let part = place * stride..(place + 1) * stride;
                let mut index = hits.ends[row as usize][0];
                while index != NO_HIT {
                    let Hit { sample, factor, next } = hits.list[index as usize];
                    let gradient = &gradients.vectors[sample as usize * stride..][..stride];
                    let cells = vectors[part.clone()]
                        .iter_mut()
                        .zip(&mut squares[part.clone()])
                        .zip(&mut updates[part.clone()]);
                    for (((x, square), update), &g) in cells.zip(gradient) {
                        rule.move_one(x, square, update, factor * g, alpha);
                    }
                    let g = factor * gradients.biases[sample as usize];
                    let (x, square) = (&mut own_biases[place], &mut bias_squares[place]);
                    rule.move_one(x, square, &mut bias_updates[place], g, alpha);
                    index = next;
                }
            }
        };
        let ranges = embeddings.zip(biases).enumerate();
        if hits.list.len() < WORTH_THREADS {
            ranges.for_each(move_range);
        } else {
            ranges.collect::<Vec<_>>().into_par_iter().for_each(move_range);
        }
    }

    fn note_stale(&mut self) {
        let Some(hybrid) = &mut self.hybrid else { return };
        let (starts, entities) = &hybrid.inverse;
        for &feature in self.hits.touched.iter().flatten() {
            for &entity in
                &entities[starts[feature as usize] as usize..starts[feature as usize + 1] as usize]
            {
                if !std::mem::replace(&mut hybrid.is_stale[entity as usize], true) {
                    hybrid.stale.push(entity);
                }
            }
        }
    }

    /// Recomputes the out-of-date entities from their features.
    fn refresh(&mut self) {
        let Some(hybrid) = &mut self.hybrid else { return };
        for entity in hybrid.stale.drain(..).map(|entity| entity as usize) {
            hybrid.is_stale[entity] = false;
            let vector = &mut hybrid.vectors[entity * self.stride..][..self.stride];
            vector.fill(R::ZERO);
            let mut bias = R::ZERO;
            let (features, weights) = hybrid.features.of(entity);
            for (&feature, &weight) in features.iter().zip(weights) {
                let weight = R::from_f32(weight);
                let embedding = &self.embeddings[feature as usize * self.stride..][..self.stride];
                vector.iter_mut().zip(embedding).for_each(|(sum, &x)| *sum += weight * x);
                bias += weight * self.biases[feature as usize];
            }
            hybrid.biases[entity] = bias;
        }
    }

    /// The rows without their padding.
    pub fn table(&self) -> Table {
        let unpadded = |values: &[R]| {
            values
                .chunks(self.stride)
                .flat_map(|row| &row[..self.components])
                .map(|x| x.to_f64())
                .collect()
        };
        let plain = |values: &[R]| values.iter().map(|x| x.to_f64()).collect();
        Table {
            embeddings: unpadded(&self.embeddings),
            biases: plain(&self.biases),
            embedding_squares: unpadded(&self.embedding_squares),
            bias_squares: plain(&self.bias_squares),
            embedding_updates: unpadded(&self.embedding_updates),
            bias_updates: plain(&self.bias_updates),
        }
    }

    /// Copies rows in; lengths must match.
    pub fn set_table(&mut self, table: &Table) {
        let pad = |rows: &mut [R], values: &[f64]| {
            for (row, values) in rows.chunks_mut(self.stride).zip(values.chunks(self.components)) {
                row.iter_mut().zip(values).for_each(|(slot, &value)| *slot = R::new(value));
            }
        };
        pad(&mut self.embeddings, &table.embeddings);
        pad(&mut self.embedding_squares, &table.embedding_squares);
        let averages = !table.bias_updates.is_empty();
        let length = |all: usize| if averages { all } else { 0 };
        self.embedding_updates.resize(length(self.embeddings.len()), R::ZERO);
        self.bias_updates.resize(length(self.biases.len()), R::ZERO);
        pad(&mut self.embedding_updates, &table.embedding_updates);
        let copy = |slots: &mut [R], values: &[f64]| {
            slots.iter_mut().zip(values).for_each(|(s, &v)| *s = R::new(v))
        };
        copy(&mut self.biases, &table.biases);
        copy(&mut self.bias_squares, &table.bias_squares);
        copy(&mut self.bias_updates, &table.bias_updates);
        if let Some(hybrid) = &mut self.hybrid {
            hybrid.stale = (0..hybrid.is_stale.len() as u32).collect();
        }
        self.refresh();
    }

    /// True if all vectors and biases are finite.
    pub fn is_finite(&self) -> bool {
        self.embeddings.iter().chain(&self.biases).all(|x| x.is_finite())
    }
}

/// Applies a row's hits in order.
fn move_row<R: Real>(
    hits: &Hits<R>,
    row: u32,
    gradients: &Gradients<R>,
    step: Step<R>,
    (vector, squares): (&mut [R], &mut [R]),
    (bias, bias_square): (&mut R, &mut R),
) {
    R::dispatch(
        #[inline(always)]
        || {
            let (stride, mut index) = (vector.len(), hits.ends[row as usize][0]);
            while index != NO_HIT {
                let Hit { sample, factor, next } = hits.list[index as usize];
                let gradient = &gradients.vectors[sample as usize * stride..][..stride];
                for ((x, square), &g) in vector.iter_mut().zip(squares.iter_mut()).zip(gradient) {
                    move_one(x, square, factor * g, step);
                }
                move_one(bias, bias_square, factor * gradients.biases[sample as usize], step);
                index = next;
            }
        },
    );
}

/// step = rate / √G; x = x − step·(g + alpha·x); G = G + g·g.
#[inline(always)]
fn move_one<R: Real>(x: &mut R, square: &mut R, g: R, step: Step<R>) {
    let rate = match step.optimizer {
        Optimizer::Adagrad => step.rate / Real::sqrt(*square),
        // Adadelta has a rule of its own.
        Optimizer::Sgd | Optimizer::Adadelta { .. } => step.rate,
    };
    *x = *x - rate * (g + step.alpha * *x);
    *square += g * g;
}

/// Adadelta's rule.
#[derive(Clone, Copy, Debug)]
struct Adadelta<R> {
    rho: R,
    epsilon: R,
}

impl<R: Real> Adadelta<R> {
    /// G = ρG + (1 − ρ)g²; d = √(M + ε)/√(G + ε)·g; x = x − d − alpha·x·√(M + ε)/√(G + ε);
    /// M = ρM + (1 − ρ)d².
    #[inline(always)]
    fn move_one(self, x: &mut R, square: &mut R, update: &mut R, g: R, alpha: R) {
        let rest = R::ONE - self.rho;
        *square = self.rho * *square + rest * g * g;
        let rate = Real::sqrt(*update + self.epsilon) / Real::sqrt(*square + self.epsilon);
        let moved = rate * g;
        *update = self.rho * *update + rest * moved * moved;
        *x = *x - moved - rate * alpha * *x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D. Zeiler's rule written out for one number that two samples of a batch hit.
    #[test]
    fn adadelta_moves_a_row_by_its_rule_and_keeps_its_averages() {
        let (rho, epsilon, alpha) = (0.9, 1e-6, 0.01);
        let mut rows = Rows::<f64>::new(2, 1, None);
        rows.set_table(&Table {
            embeddings: vec![0.5, -0.25],
            biases: vec![0.0, 0.125],
            embedding_squares: vec![0.0; 2],
            bias_squares: vec![0.0; 2],
            embedding_updates: vec![0.0; 2],
            bias_updates: vec![0.0; 2],
        });
        rows.hit(1, 0, -1.0);
        rows.hit(1, 1, 1.0);
        let stride = rows.stride;
        let mut vectors = vec![0.0; 2 * stride];
        (vectors[0], vectors[stride]) = (0.3, 0.7);
        let optimizer = Optimizer::Adadelta { rho, epsilon };
        let gradients = Gradients { vectors: &vectors, biases: &[0.2, 0.4] };
        rows.update(&gradients, Step { optimizer, rate: 1.0, alpha });
        let moved = |mut x: f64, gradients: [f64; 2]| {
            let (mut square, mut update) = (0.0, 0.0);
            for g in gradients {
                square = rho * square + (1.0 - rho) * g * g;
                let rate = ((update + epsilon) / (square + epsilon)).sqrt();
                update = rho * update + (1.0 - rho) * (rate * g).powi(2);
                x -= rate * (g + alpha * x);
            }
            [x, square, update]
        };
        let found = rows.table();
        let of = |part: [&Vec<f64>; 3]| part.map(|values| values[1]);
        let vector = of([&found.embeddings, &found.embedding_squares, &found.embedding_updates]);
        let bias = of([&found.biases, &found.bias_squares, &found.bias_updates]);
        for (found, expected) in
            [(vector, moved(-0.25, [-0.3, 0.7])), (bias, moved(0.125, [-0.2, 0.4]))]
        {
            for (found, expected) in found.into_iter().zip(expected) {
                // Some ten roundings of f64, relative.
                assert!((found - expected).abs() <= 1e-14 * expected.abs(), "{found} {expected}");
            }
        }
        assert_eq!((found.embeddings[0], found.embedding_updates[0]), (0.5, 0.0)); // not hit
    }
}
