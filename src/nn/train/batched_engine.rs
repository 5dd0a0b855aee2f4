//! The device interface for training many models of one shape at once.

use std::fmt::Debug;
use std::sync::Arc;

use rayon::prelude::*;

use crate::nn::loss_scale::LossScale;
use crate::nn::train::engine::{Batch, Engine, Outcome, Samples, TrainingSpec};
use crate::{Error, Result};

/// The batches of one member in a call.
#[derive(Debug)]
pub(crate) struct MemberBatches {
    pub member: usize,
    pub batches: Vec<Batch>,
}

/// A device that trains many models of one shape on the same rows. All member steps of a call have
/// the same number of batches, and batches at the same position have the same number of rows.
pub(crate) trait BatchedEngine: Debug + Send {
    fn parameters(&self, member: usize) -> Result<Vec<f64>>;
    fn set_parameters(&mut self, member: usize, values: &[f64]) -> Result<()>;
    fn states(&self, member: usize) -> Result<Vec<Vec<f64>>>;
    /// Sets the states of all members, and their number per member.
    fn set_all_states(&mut self, states: &[Vec<Vec<f64>>]) -> Result<()>;
    fn set_states(&mut self, member: usize, states: &[Vec<f64>]) -> Result<()>;
    /// Sets the scale of a member's gradients in mixed precision; without effect where members run
    /// side by side, which none do in it.
    fn set_loss_scale(&mut self, member: usize, scale: LossScale) -> Result<()>;
    /// Number of a member's steps skipped since the last call.
    fn take_skipped(&mut self, member: usize) -> Result<usize>;
    /// True if all members run in the same dispatches, which excludes rules that read whole
    /// tensors.
    fn is_side_by_side(&self) -> bool {
        false
    }
    /// Saves the parameters and states of all members.
    fn remember(&mut self) -> Result<()>;
    /// Restores a member's last saved state.
    fn recall(&mut self, member: usize) -> Result<()>;
    /// Uploads a data set once for all members; returns its handle.
    fn load(&mut self, samples: &Samples) -> Result<usize>;
    fn unload(&mut self, data: usize);
    /// The outcomes of the batches of each member step. `training_specs` are those of all members,
    /// by index.
    fn train(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>>;
    fn evaluate(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>>;
    /// Predictions of each member for all rows in order.
    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<Vec<f64>>>;
}

/// An engine whose data sets can be shared with others of its kind.
pub(crate) trait Shares: Engine {
    type Data: Send + Sync;
    /// True if engines of this kind gain from running concurrently.
    const SIDE_BY_SIDE: bool;

    /// Converts a data set to the engine's format.
    fn prepare(&self, samples: &Samples) -> Result<Arc<Self::Data>>;
    /// Registers a data set prepared by any engine of the same shape and device.
    fn register(&mut self, data: Arc<Self::Data>) -> usize;
}

/// An engine per member: concurrent on the cores of the host, sequential on a GPU.
#[derive(Debug)]
pub(crate) struct Several<E>(Vec<E>);

impl<E: Shares> Several<E> {
    pub fn new(engines: Vec<E>) -> Self {
        Several(engines)
    }

    fn member(&self, member: usize) -> Result<&E> {
        self.0.get(member).ok_or_else(|| no_member(member, self.0.len()))
    }

    fn member_mut(&mut self, member: usize) -> Result<&mut E> {
        let members = self.0.len();
        self.0.get_mut(member).ok_or_else(|| no_member(member, members))
    }

    /// Runs `work` on the engines that have a member step. The members are independent, so the bits
    /// do not depend on the number of threads.
    fn each<T: Send>(
        &mut self,
        member_steps: &[MemberBatches],
        work: impl Fn(&mut E, &MemberBatches) -> Result<T> + Send + Sync,
    ) -> Result<Vec<T>> {
        let mut chosen: Vec<(usize, &mut E, &MemberBatches)> =
            Vec::with_capacity(member_steps.len());
        for (member, engine) in self.0.iter_mut().enumerate() {
            if let Some(place) =
                member_steps.iter().position(|member_step| member_step.member == member)
            {
                chosen.push((place, engine, &member_steps[place]));
            }
        }
        chosen.sort_by_key(|(place, _, _)| *place);
        if E::SIDE_BY_SIDE {
            return chosen
                .into_par_iter()
                .map(|(_, engine, member_step)| work(engine, member_step))
                .collect();
        }
        chosen.into_iter().map(|(_, engine, member_step)| work(engine, member_step)).collect()
    }
}

/// The error for a member out of range.
pub(crate) fn no_member(member: usize, members: usize) -> Error {
    Error::option(
        "population",
        "member",
        member,
        &format!("below {members}, the number of members"),
    )
}

impl<E: Shares> BatchedEngine for Several<E> {
    fn parameters(&self, member: usize) -> Result<Vec<f64>> {
        self.member(member)?.parameters()
    }

    fn set_parameters(&mut self, member: usize, values: &[f64]) -> Result<()> {
        self.member_mut(member)?.set_parameters(values)
    }

    fn states(&self, member: usize) -> Result<Vec<Vec<f64>>> {
        self.member(member)?.states()
    }

    fn set_all_states(&mut self, states: &[Vec<Vec<f64>>]) -> Result<()> {
        self.0.iter_mut().zip(states).try_for_each(|(engine, states)| engine.set_states(states))
    }

    fn set_states(&mut self, member: usize, states: &[Vec<f64>]) -> Result<()> {
        self.member_mut(member)?.set_states(states)
    }

    fn set_loss_scale(&mut self, member: usize, scale: LossScale) -> Result<()> {
        self.member_mut(member)?.set_loss_scale(scale)
    }

    fn take_skipped(&mut self, member: usize) -> Result<usize> {
        self.member_mut(member)?.take_skipped()
    }

    fn remember(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(Engine::remember)
    }

    fn recall(&mut self, member: usize) -> Result<()> {
        self.member_mut(member)?.recall()
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let data = self.member(0)?.prepare(samples)?;
        // All engines number their data sets alike, so one handle is valid in each.
        Ok(self
            .0
            .iter_mut()
            .map(|engine| engine.register(data.clone()))
            .fold(0, |_, number| number))
    }

    fn unload(&mut self, data: usize) {
        self.0.iter_mut().for_each(|engine| engine.unload(data));
    }

    fn train(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        self.each(member_steps, |engine, member_step| {
            engine.train(data, &training_specs[member_step.member], &member_step.batches)
        })
    }

    fn evaluate(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        self.each(member_steps, |engine, member_step| {
            engine.evaluate(data, &training_specs[member_step.member], &member_step.batches)
        })
    }

    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<Vec<f64>>> {
        if E::SIDE_BY_SIDE {
            return self.0.par_iter_mut().map(|engine| engine.predict(data, batch_size)).collect();
        }
        self.0.iter_mut().map(|engine| engine.predict(data, batch_size)).collect()
    }
}
