//! The rows of users or items on the CPU: their vectors, and the updates of those that a batch hits.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::recommend::engine::{Optimizer, Table};
use crate::recommend::features::Features;
use crate::recommend::sampling::LANES;

/// In place of a hit: there is none.
const NO_HIT: u32 = u32::MAX;

/// Into so many ranges the rows are cut, each updated by one thread. Rows do not touch each other: any number gives the same bits.
const RANGES: usize = 16;

/// Below so many hits threads cost more than they save.
const WORTH_THREADS: usize = 256;

/// A gradient's way to a row: the sample whose gradient it is, and a factor (the sign, times the feature's weight).
#[derive(Clone, Copy, Debug)]
struct Hit<R> {
    sample: u32,
    factor: R,
    /// The row's next hit.
    next: u32,
}

/// The hits of a batch, chained by row in their order.
#[derive(Debug)]
struct Hits<R> {
    list: Vec<Hit<R>>,
    /// The first and the last hit of each row.
    ends: Vec<[u32; 2]>,
    /// The rows that are hit, by range.
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

/// Side features and what they make of the rows.
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

/// The gradients of a batch: of sample s the row `vectors[s]` and `biases[s]`.
pub(super) struct Gradients<'a, R> {
    /// [samples, stride].
    pub vectors: &'a [R],
    /// [samples].
    pub biases: &'a [R],
}

/// Two lists that are written side by side: values and their squares, vectors and biases.
pub(super) type Two<'a, R> = (&'a mut [R], &'a mut [R]);

/// How a hit moves a row.
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

    /// Notes that a sample's gradient, times `factor`, goes to an entity.
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

    /// Moves the rows that were hit, and forgets the hits.
    pub fn update(&mut self, gradients: &Gradients<R>, step: Step<R>) {
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
        self.note_stale();
        self.hits.clear();
        self.refresh();
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

    /// Sums the features of the entities that are out of date.
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
        }
    }

    /// Takes rows over, whose lengths are right.
    pub fn set_table(&mut self, table: &Table) {
        let pad = |rows: &mut [R], values: &[f64]| {
            for (row, values) in rows.chunks_mut(self.stride).zip(values.chunks(self.components)) {
                row.iter_mut().zip(values).for_each(|(slot, &value)| *slot = R::new(value));
            }
        };
        pad(&mut self.embeddings, &table.embeddings);
        pad(&mut self.embedding_squares, &table.embedding_squares);
        let copy = |slots: &mut [R], values: &[f64]| {
            slots.iter_mut().zip(values).for_each(|(s, &v)| *s = R::new(v))
        };
        copy(&mut self.biases, &table.biases);
        copy(&mut self.bias_squares, &table.bias_squares);
        if let Some(hybrid) = &mut self.hybrid {
            hybrid.stale = (0..hybrid.is_stale.len() as u32).collect();
        }
        self.refresh();
    }

    /// Whether all vectors and biases are finite.
    pub fn is_finite(&self) -> bool {
        self.embeddings.iter().chain(&self.biases).all(|x| x.is_finite())
    }
}

/// A row through its hits, one after the other.
fn move_row<R: Real>(
    hits: &Hits<R>,
    row: u32,
    gradients: &Gradients<R>,
    step: Step<R>,
    (vector, squares): (&mut [R], &mut [R]),
    (bias, bias_square): (&mut R, &mut R),
) {
    simd::dispatch(
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
        Optimizer::Sgd => step.rate,
    };
    *x = *x - rate * (g + step.alpha * *x);
    *square += g * g;
}
