//! A recommender on the CPU: f32 with vector instructions on all cores, or the f64 reference. The
//! bits do not depend on the number of threads.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::cpu::random::Permutation;
use crate::cpu::real::Real;
use crate::recommend::best::{Scored, best, cosines};
use crate::recommend::engine::{Engine, Layout, State, Tally, UpdateOptions};
use crate::recommend::interactions::Interactions;
use crate::recommend::rows::{Gradients, Rows, Step, Two};
use crate::recommend::sampling::{Loss, NO_ITEM, Rules, Sample, Vectors, dot, sample};

/// Interactions a thread samples at a time: some tens of microseconds.
const SAMPLES: usize = 64;

/// Work of one thread: places in the order, their samples, and the gradients of users and of items.
type Part<'a, R> = (((&'a [u32], &'a mut [Sample<R>]), Two<'a, R>), Two<'a, R>);

/// Both sides, the interactions and the buffers of a batch.
#[derive(Debug)]
pub(crate) struct CpuEngine<R> {
    layout: Layout,
    stride: usize,
    users: Rows<R>,
    items: Rows<R>,
    interactions: Option<Arc<Interactions>>,
    batch: Batch<R>,
}

/// Samples and gradients of a batch.
#[derive(Debug, Default)]
struct Batch<R> {
    samples: Vec<Sample<R>>,
    /// User gradients, c·(q⁻ − q⁺): [samples, stride].
    user_vectors: Vec<R>,
    user_biases: Vec<R>,
    /// Item gradients, c·p, before their sign: [samples, stride].
    item_vectors: Vec<R>,
    item_biases: Vec<R>,
}

impl<R: Real> Batch<R> {
    fn resize(&mut self, length: usize, stride: usize) {
        let nothing =
            Sample { positive: 0, negative: NO_ITEM, draws: 0, step: R::ZERO, loss: R::ZERO };
        self.samples.resize(length, nothing);
        self.user_vectors.resize(length * stride, R::ZERO);
        self.item_vectors.resize(length * stride, R::ZERO);
        self.user_biases.resize(length, R::ZERO);
        self.item_biases.resize(length, R::ZERO);
    }
}

impl<R: Real> CpuEngine<R> {
    pub(crate) fn new(layout: Layout) -> Self {
        let Layout { users, items, components, user_features, item_features } = layout.clone();
        CpuEngine {
            layout,
            stride: components.next_multiple_of(super::sampling::LANES),
            users: Rows::new(users as usize, components, user_features),
            items: Rows::new(items as usize, components, item_features),
            interactions: None,
            batch: Batch::default(),
        }
    }

    fn vectors(&self) -> Vectors<'_, R> {
        let ((users, user_biases), (items, item_biases)) =
            (self.users.vectors(), self.items.vectors());
        Vectors { users, user_biases, items, item_biases, stride: self.stride }
    }

    /// The first phase of a batch: samples and their gradients.
    fn sample(
        &mut self,
        interactions: &Interactions,
        order: &[u32],
        rules: &Rules,
        update_options: &UpdateOptions,
        epoch: u32,
    ) {
        let (known, stride) = (interactions.known(), self.stride);
        let mut batch = std::mem::take(&mut self.batch);
        batch.resize(order.len(), stride);
        let vectors = self.vectors();
        let bias_sign = match (rules.loss, update_options.user_bias_gradient) {
            (Loss::Logistic, _) => -R::ONE,
            (_, true) => R::ONE,
            (_, false) => R::ZERO,
        };
        let work = |part: Part<R>| {
            let (((order, samples), (user_vectors, user_biases)), (item_vectors, item_biases)) =
                part;
            R::dispatch(
                #[inline(always)]
                || {
                    for (place, &interaction) in order.iter().enumerate() {
                        let found = sample(rules, &known, &vectors, epoch, interaction);
                        let part = place * stride..(place + 1) * stride;
                        let user = vectors.user(known.users[interaction as usize]);
                        gradients(
                            &vectors,
                            user,
                            &found,
                            &mut user_vectors[part.clone()],
                            &mut item_vectors[part],
                        );
                        user_biases[place] = bias_sign * found.step;
                        item_biases[place] = found.step;
                        samples[place] = found;
                    }
                },
            );
        };
        let parts = (order.chunks(SAMPLES).zip(batch.samples.chunks_mut(SAMPLES)))
            .zip(
                batch
                    .user_vectors
                    .chunks_mut(SAMPLES * stride)
                    .zip(batch.user_biases.chunks_mut(SAMPLES)),
            )
            .zip(
                batch
                    .item_vectors
                    .chunks_mut(SAMPLES * stride)
                    .zip(batch.item_biases.chunks_mut(SAMPLES)),
            );
        if order.len() <= SAMPLES {
            parts.for_each(work);
        } else {
            parts.collect::<Vec<_>>().into_par_iter().for_each(work);
        }
        self.batch = batch;
    }

    /// The second phase: each row applies its hits.
    fn update(
        &mut self,
        interactions: &Interactions,
        order: &[u32],
        update_options: &UpdateOptions,
        tally: &mut Tally,
    ) {
        let (known, CpuEngine { users, items, batch, .. }) = (interactions.known(), self);
        for (place, (found, &interaction)) in batch.samples.iter().zip(order).enumerate() {
            tally.loss += found.loss.to_f64();
            tally.draws += u64::from(found.draws);
            if found.step == R::ZERO {
                continue;
            }
            tally.updates += 1;
            let place = place as u32;
            users.hit(known.users[interaction as usize], place, R::ONE);
            items.hit(found.positive, place, -R::ONE);
            if found.negative != NO_ITEM {
                items.hit(found.negative, place, R::ONE);
            }
        }
        let step = |alpha: f64| Step {
            optimizer: update_options.optimizer,
            rate: R::new(update_options.learning_rate),
            alpha: R::new(alpha),
        };
        users.update(
            &Gradients { vectors: &batch.user_vectors, biases: &batch.user_biases },
            step(update_options.user_alpha),
        );
        items.update(
            &Gradients { vectors: &batch.item_vectors, biases: &batch.item_biases },
            step(update_options.item_alpha),
        );
    }
}

/// c·(q⁻ − q⁺) and c·p.
#[inline(always)]
fn gradients<R: Real>(
    vectors: &Vectors<R>,
    user: &[R],
    found: &Sample<R>,
    to_user: &mut [R],
    to_item: &mut [R],
) {
    if found.step == R::ZERO {
        return;
    }
    let positive = vectors.item(found.positive);
    if found.negative == NO_ITEM {
        to_user.iter_mut().zip(positive).for_each(|(slot, &q)| *slot = -(found.step * q));
    } else {
        let both = vectors.item(found.negative).iter().zip(positive);
        to_user
            .iter_mut()
            .zip(both)
            .for_each(|(slot, (&down, &up))| *slot = found.step * (down - up));
    }
    to_item.iter_mut().zip(user).for_each(|(slot, &p)| *slot = found.step * p);
}

impl<R: Real> Engine for CpuEngine<R> {
    fn set_state(&mut self, state: &State) -> Result<()> {
        self.users.set_table(&state.users);
        self.items.set_table(&state.items);
        Ok(())
    }

    fn state(&self) -> Result<State> {
        Ok(State { users: self.users.table(), items: self.items.table() })
    }

    fn set_interactions(&mut self, interactions: Arc<Interactions>) -> Result<()> {
        self.interactions = Some(interactions);
        Ok(())
    }

    fn batches(
        &mut self,
        rules: &Rules,
        update_options: &UpdateOptions,
        epoch: u32,
        which: Range<usize>,
        tally: &mut Tally,
    ) -> Result<()> {
        let Some(interactions) = self.interactions.clone() else { return Ok(()) };
        let [start, end] = [which.start, which.end].map(|batch| {
            batch.saturating_mul(update_options.batch_size).min(interactions.len()) as u32
        });
        let shuffle = Permutation::new(interactions.len() as u32, rules.seed, epoch);
        let order: Vec<u32> = (start..end).into_par_iter().map(|place| shuffle.at(place)).collect();
        for order in order.chunks(update_options.batch_size) {
            self.sample(&interactions, order, rules, update_options, epoch);
            self.update(&interactions, order, update_options, tally);
        }
        Ok(())
    }

    fn is_finite(&self) -> Result<bool> {
        Ok(self.users.is_finite() && self.items.is_finite())
    }

    fn scores(&self, users: &[u32]) -> Result<Vec<f32>> {
        let (vectors, items) = (self.vectors(), self.layout.items as usize);
        let mut scores = vec![0.0; users.len() * items];
        scores.par_chunks_mut(items).zip(users).for_each(|(row, &user)| {
            let bias = vectors.user_biases[user as usize];
            score_items(&vectors, user, |item, score| row[item] = (score + bias).to_f32());
        });
        Ok(scores)
    }

    fn ranks(&self, wanted: &Interactions, excluded: Option<&Interactions>) -> Result<Vec<u32>> {
        let (vectors, items) = (self.vectors(), self.layout.items as usize);
        let ranks: Vec<Vec<u32>> = (0..wanted.users())
            .into_par_iter()
            .map(|user| {
                if wanted.of(user).is_empty() {
                    return Vec::new();
                }
                let mut scores = vec![R::ZERO; items];
                score_items(&vectors, user as u32, |item, score| scores[item] = score);
                let excluded = excluded.map_or(&[][..], |excluded| excluded.of(user));
                wanted.of(user).iter().map(|&item| rank_of(&scores, item, excluded)).collect()
            })
            .collect();
        Ok(ranks.concat())
    }

    fn best(
        &self,
        users: &[u32],
        n: usize,
        seen: Option<&Interactions>,
    ) -> Result<Vec<Vec<Scored>>> {
        let (vectors, items) = (self.vectors(), self.layout.items as usize);
        let list = |&user: &u32| {
            let (mut scores, bias) = (vec![0.0; items], vectors.user_biases[user as usize]);
            score_items(&vectors, user, |item, score| scores[item] = (score + bias).to_f32());
            best(&scores, n, seen.map_or(&[], |seen| seen.of(user as usize)))
        };
        Ok(users.par_iter().map(list).collect())
    }

    fn similar(&self, item: u32, n: usize) -> Result<Vec<Scored>> {
        let (vectors, components) = (self.items.vectors().0, self.layout.components);
        let rows = vectors.chunks(self.stride);
        let vectors: Vec<f32> =
            rows.flat_map(|row| &row[..components]).map(|x| x.to_f32()).collect();
        Ok(best(&cosines(&vectors, components, item), n, &[item]))
    }
}

/// Calls `take` with each item's score without the user's bias.
fn score_items<R: Real>(vectors: &Vectors<R>, user: u32, mut take: impl FnMut(usize, R)) {
    let row = vectors.user(user);
    R::dispatch(
        #[inline(always)]
        || {
            let rows =
                vectors.items.chunks_exact(vectors.stride).zip(vectors.item_biases).enumerate();
            for (item, (vector, &bias)) in rows {
                take(item, dot(row, vector) + bias);
            }
        },
    );
}

/// Number of other items, except the excluded ones, that do not score lower. A NaN score ranks last
/// and outranks nothing.
fn rank_of<R: Real>(scores: &[R], item: u32, left_out: &[u32]) -> u32 {
    let score = scores[item as usize];
    // Not `>=`: with it a NaN score would rank first.
    let is_below = |other: R| other < score;
    let counts = |&&other: &&u32| other != item && !is_below(scores[other as usize]);
    // The item itself is not below itself and was counted.
    let all = scores.iter().filter(|&&other| !is_below(other)).count() - 1;
    (all - left_out.iter().filter(counts).count()) as u32
}
