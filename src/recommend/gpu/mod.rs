//! A recommender on a GPU: an epoch is a chain of dispatches, read back once at its end.
//!
//! For each batch, its interactions are sampled in parallel, the hits of users and of items are
//! sorted by row, and each row applies its hits in order. No atomic additions: two runs give the
//! same bits.

mod batches;
mod choosing;
mod hybrid;
#[cfg(test)]
mod hybrid_tests;
mod measuring;
#[cfg(test)]
mod measuring_tests;
mod ranking;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::recommend::best::Scored;
use crate::recommend::engine::{Engine, State, Tally, UpdateOptions};
use crate::recommend::gpu::state::{GpuEngine, Resident};
use crate::recommend::interactions::Interactions;
use crate::recommend::metrics::{Convention, Metrics};
use crate::recommend::sampling::Rules;

impl Engine for GpuEngine {
    fn set_state(&mut self, state: &State) -> Result<()> {
        self.users.set(&self.gpu, &state.users)?;
        self.items.set(&self.gpu, &state.items)
    }

    fn state(&self) -> Result<State> {
        Ok(State { users: self.users.table(&self.gpu)?, items: self.items.table(&self.gpu)? })
    }

    fn set_interactions(&mut self, interactions: Arc<Interactions>) -> Result<()> {
        let known = interactions.known();
        let weights: Vec<u32> = known.weights.iter().map(|weight| weight.to_bits()).collect();
        let words = [known.starts, known.items, known.users, &weights].concat();
        let known = self.gpu.upload("interactions", &words)?;
        (self.interactions, self.batches) =
            (Some(Resident { count: interactions.len(), known }), None);
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
        let gpu = self.gpu.clone();
        let Some(batches) = self.prepared(rules, update_options)? else { return Ok(()) };
        let which = batches.within(which);
        batches.run(&gpu, rules, epoch, which.clone(), |_| Vec::new())?;
        batches.add_to(&gpu, which, tally)
    }

    fn is_finite(&self) -> Result<bool> {
        ranking::is_finite(self)
    }

    fn scores(&self, users: &[u32]) -> Result<Vec<f32>> {
        ranking::scores(self, users)
    }

    fn ranks(&self, wanted: &Interactions, excluded: Option<&Interactions>) -> Result<Vec<u32>> {
        ranking::ranks(self, wanted, excluded)
    }

    fn metrics(
        &self,
        convention: Convention,
        test: &Interactions,
        train: Option<&Interactions>,
        k: usize,
    ) -> Result<Metrics> {
        measuring::metrics(self, convention, test, train, k)
    }

    fn best(
        &self,
        users: &[u32],
        n: usize,
        seen: Option<&Interactions>,
    ) -> Result<Vec<Vec<Scored>>> {
        choosing::best_of(self, users, n, seen)
    }

    fn similar(&self, item: u32, n: usize) -> Result<Vec<Scored>> {
        choosing::similar(self, item, n)
    }
}
