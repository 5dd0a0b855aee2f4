//! The trainings of a range test: many at once where the device gains from it, else one after
//! another.

use crate::Result;
use crate::nn::model::Model;
use crate::nn::population::engines;
use crate::nn::rates::rows::TestRows;
use crate::nn::train::batched_engine::{BatchedEngine, MemberBatches};
use crate::nn::train::engine::{Batch, Outcome, Samples, TrainingSpec};
use crate::nn::train::options::Fit;
use crate::nn::train::samples::InputSpec;
use crate::nn::train::training::Progress;
use crate::nn::train::training_run::{self, Loaded, TrainingRun};
use crate::runtime::device::Device;

/// Numbers of all members' weights on a host, at most: 128 MiB in f32, three to four times that
/// with gradients and states.
const MOST_WEIGHTS: usize = 1 << 25;

/// Updates between two looks at the losses.
const PIECE: usize = 10;

/// Decay of the smoothed loss, and the factor over its lowest value at which a training is dropped:
/// those of fastai and Lightning.
const DECAY: f64 = 0.98;
const DROPPED_AT: f64 = 4.0;

/// A training at a constant rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub rate: f64,
    /// Number of the seed, 0 for the model's own.
    pub seed: usize,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trained {
    /// The held-out loss behind the last step; none if the training was dropped.
    pub loss: Option<f64>,
    /// Completed updates.
    pub steps: usize,
}

/// Members of an engine, at most.
const MOST_MEMBERS: usize = 256;

/// All trials of a test, and what they began with.
#[derive(Debug)]
pub(super) struct AllTrained {
    pub trained: Vec<Trained>,
    /// The held-out loss that learning nothing has, of each seed: of the initial weights, or of the
    /// best constant if that is lower.
    pub untrained: Vec<f64>,
    /// Rows, or lists, that were scored.
    pub held_out: usize,
}

/// The engine and what its trainings have in common.
pub(super) struct Trials<'m> {
    model: &'m Model,
    specs: Vec<TrainingSpec>,
    fit: Fit,
    run: TrainingRun,
    engine: Box<dyn BatchedEngine>,
    members: usize,
    /// The weights that trainings begin with, if they are not those of the seed.
    weights: Option<Vec<f64>>,
    states: Vec<Vec<f64>>,
    steps: usize,
}

impl<'m> Trials<'m> {
    /// For a number of trials of a number of steps.
    pub fn new(
        model: &'m Model,
        mut spec: TrainingSpec,
        rows: &TestRows,
        (steps, trials): (usize, usize),
    ) -> Result<Self> {
        let graph = &model.graph;
        spec.step_options = rows.fit.step_options();
        let is_plain = !rows.fit.weighting.is_some()
            && !spec.chunked_head
            && !spec.loss.targets().pads()
            && spec.step_options.augment.is_none()
            && !spec.step_options.mixed_precision
            && spec.is_elementwise();
        let most = trials.clamp(1, MOST_MEMBERS);
        let together = match is_plain {
            true => engines::side_by_side(graph, &model.device, most)?,
            false => None,
        };
        let on_host = !matches!(model.device, Device::Gpu(_)) && graph.as_dense_chain().is_some();
        let (mut engine, members) = match together {
            Some(engine) => (engine, most),
            None => {
                let fitting = (MOST_WEIGHTS / graph.all_length().max(1)).clamp(1, most);
                let members = if on_host { fitting } else { 1 };
                (engines::several(graph, &model.device, members)?, members)
            }
        };
        let input_spec = InputSpec { graph, scaling: model.scaling.as_ref() };
        let (features, targets) = (rows.features.features(), rows.targets.targets());
        let load = |samples: &Samples| engine.load(samples);
        let fit = Fit { schedule: None, ..rows.fit.clone() };
        let run = TrainingRun::new(input_spec, &spec.loss, features, &targets, &fit, load)?;
        training_run::check_accumulation(&spec, &fit, run.training, graph.positions())?;
        training_run::check_last_batch(&fit, run.training, graph.least_rows())?;
        let weights = model.engine.parameters()?;
        let initial = graph.initial_parameters(model.description.seed);
        let is_initial = match model.device {
            Device::Reference => initial == weights,
            // What f32 has of them.
            _ => {
                initial.len() == weights.len()
                    && initial.iter().zip(&weights).all(|(a, b)| f64::from(*a as f32) == *b)
            }
        };
        let mut states = model.engine.states()?;
        states.truncate(spec.optimizer.states());
        Ok(Trials {
            model,
            specs: vec![spec; members],
            fit,
            run,
            engine,
            members,
            weights: (!is_initial).then_some(weights),
            states,
            steps,
        })
    }

    /// Trains and scores all trials; `seeds` is the number of seeds among them.
    pub fn run(mut self, trials: &[Trial], seeds: usize) -> Result<AllTrained> {
        let validation = self.run.validation.unwrap_or(self.run.training);
        let yardstick = self.run.yardstick.as_ref();
        let constant = yardstick.and_then(|yardstick| yardstick.baseline.val_loss);
        let mut untrained = Vec::with_capacity(seeds);
        for seed in 0..seeds {
            self.begin(0, seed)?;
            let loss = self.scores(&[0], validation)?[0];
            untrained.push(constant.filter(|constant| *constant < loss).unwrap_or(loss));
        }
        let mut trained = Vec::with_capacity(trials.len());
        for group in trials.chunks(self.members) {
            trained.extend(self.group(group, validation)?);
        }
        Ok(AllTrained { trained, untrained, held_out: validation.rows })
    }

    fn seed(&self, number: usize) -> u64 {
        self.model.description.seed.wrapping_add(number as u64)
    }

    /// Sets a member to where its training begins.
    fn begin(&mut self, member: usize, seed: usize) -> Result<()> {
        let initial;
        let weights = match &self.weights {
            Some(weights) => weights,
            None => {
                initial = self.model.graph.initial_parameters(self.seed(seed));
                &initial
            }
        };
        self.engine.set_loss_scale(member, self.model.engine.loss_scale()?)?;
        self.engine.set_parameters(member, weights)
    }

    /// Trains a group of trials, each as a member of the engine.
    fn group(&mut self, group: &[Trial], validation: Loaded) -> Result<Vec<Trained>> {
        for (member, trial) in group.iter().enumerate() {
            self.begin(member, trial.seed)?;
        }
        self.engine.set_all_states(&vec![self.states.clone(); self.members])?;
        let batches: Vec<Vec<Batch>> = group.iter().map(|trial| self.batches(trial)).collect();
        let mut watched: Vec<Watched> = group.iter().map(|_| Watched::default()).collect();
        let mut active: Vec<usize> = (0..group.len()).collect();
        let mut done = 0;
        while !active.is_empty() && done < batches[0].len() {
            let end = end_of_piece(&batches[0], done);
            let steps: Vec<MemberBatches> = active
                .iter()
                .map(|&member| MemberBatches {
                    member,
                    batches: batches[member][done..end].to_vec(),
                })
                .collect();
            let outcomes = self.engine.train(self.run.training.data, &self.specs, &steps)?;
            for (step, outcomes) in steps.iter().zip(&outcomes) {
                watched[step.member].add(&step.batches, outcomes);
            }
            active.retain(|&member| !watched[member].is_dropped);
            done = end;
        }
        let scores = self.scores(&active, validation)?;
        let mut trained: Vec<Trained> =
            watched.iter().map(|watched| Trained { loss: None, steps: watched.steps }).collect();
        for (&member, loss) in active.iter().zip(scores) {
            trained[member].loss = Some(loss).filter(|loss| loss.is_finite());
        }
        Ok(trained)
    }

    /// The batches of a trial: those of a training of the model at this rate.
    fn batches(&self, trial: &Trial) -> Vec<Batch> {
        let fit = Fit { learning_rate: Some(trial.rate), ..self.fit.clone() };
        let mut progress = Progress { averaged: 0, ..self.model.progress };
        let until = progress.steps + self.steps as u64;
        let mut all = Vec::new();
        while progress.steps < until {
            let (seed, before) = (self.seed(trial.seed), progress);
            let mut epoch =
                training_run::batches(&self.specs[0], &fit, self.run.training, seed, &mut progress);
            training_run::limit(&mut epoch, until - before.steps, &mut progress, before);
            progress.epochs += 1;
            all.extend(epoch);
        }
        all
    }

    /// The losses of some members on rows.
    fn scores(&mut self, members: &[usize], rows: Loaded) -> Result<Vec<f64>> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let batches =
            |&member: &usize| MemberBatches { member, batches: training_run::scoring(rows) };
        let batches: Vec<MemberBatches> = members.iter().map(batches).collect();
        let outcomes = self.engine.evaluate(rows.data, &self.specs, &batches)?;
        let score =
            |outcomes: &Vec<Outcome>| training_run::score(&self.specs[0], outcomes, rows.kept).loss;
        Ok(outcomes.iter().map(score).collect())
    }
}

/// The batch behind the next updates.
fn end_of_piece(batches: &[Batch], first: usize) -> usize {
    let mut updates = 0;
    for (place, batch) in batches.iter().enumerate().skip(first) {
        updates += usize::from(batch.update.is_some());
        if updates == PIECE {
            return place + 1;
        }
    }
    batches.len()
}

/// The losses of a training as far as they decide whether it is dropped.
#[derive(Debug, Default)]
struct Watched {
    steps: usize,
    first: f64,
    mean: f64,
    lowest: Option<f64>,
    /// The loss of the batches of an update that is not complete.
    open: f64,
    is_dropped: bool,
}

impl Watched {
    fn add(&mut self, batches: &[Batch], outcomes: &[Outcome]) {
        for (batch, outcome) in batches.iter().zip(outcomes) {
            let loss = self.open + outcome.loss;
            self.open = if batch.update.is_some() { 0.0 } else { loss };
            if !self.is_dropped && (batch.update.is_some() || !loss.is_finite()) {
                self.step(loss);
            }
        }
    }

    fn step(&mut self, loss: f64) {
        if !loss.is_finite() {
            self.is_dropped = true;
            return;
        }
        if self.steps == 0 {
            self.first = loss;
        }
        self.steps += 1;
        self.mean = DECAY * self.mean + (1.0 - DECAY) * loss;
        let smoothed = self.mean / (1.0 - DECAY.powi(self.steps as i32));
        let lowest = self.lowest.map_or(smoothed, |lowest| lowest.min(smoothed));
        self.lowest = Some(lowest);
        // Losses may be below 0: so far above the lowest as four times a positive one is.
        let is_high = smoothed - lowest > (DROPPED_AT - 1.0) * lowest.abs();
        self.is_dropped = is_high && smoothed > self.first;
    }
}
