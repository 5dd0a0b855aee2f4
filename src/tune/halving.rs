//! Synchronous successive halving in brackets: many configurations are trained a little, the best
//! third of them three times as long, and so on.
//!
//! Source: K. Jamieson, A. Talwalkar, *Non-stochastic best arm identification and hyperparameter
//! optimization*, 2016; L. Li et al., *Hyperband*, 2018. A configuration is trained from the start
//! at each rung, which costs a third more than going on with its weights: so a schedule ends with
//! each rung, and what is compared is what a training of that length gives.

use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::json;

use crate::Result;
use crate::tune::budget::Budget;
use crate::tune::journal::{Ending, Entry, Journal};
use crate::tune::sampler::{Observation, Sampler};
use crate::tune::space::{Configuration, Space};
use crate::tune::worker::{Next, Worker};

/// Of so many trials of a rung one goes on.
const FACTOR: usize = 3;

/// What a search calls to try configurations.
pub(crate) trait Evaluator {
    /// Number of rungs.
    fn rungs(&self) -> usize;
    /// Work for a configuration at a rung, in row-updates.
    fn cost(&self, configuration: &Configuration, rung: usize) -> u64;
    /// The places of configurations that are trained side by side, at whatever rung.
    fn groups(&self, configurations: &[&Configuration]) -> Vec<Vec<usize>>;
    /// The metric of each configuration at a rung, less is better; NaN for a training that failed.
    fn evaluate(&mut self, configurations: &[&Configuration], rung: usize) -> Result<Vec<f64>>;
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Trained up to the last rung.
    Complete,
    /// Left behind at a rung by better ones.
    Pruned,
    /// Its weights or its metric were not finite.
    Failed,
    /// The budget ended before its next rung.
    Stopped,
}

/// A configuration that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its number, from 0; the default is number 0.
    pub number: usize,
    /// The bracket that it belongs to.
    pub bracket: usize,
    /// Its parameters.
    pub configuration: Configuration,
    /// The metric at each rung that it reached.
    pub values: Vec<f64>,
    /// How it ended.
    pub state: State,
    /// Work in row-updates, over all of its rungs.
    pub cost: u64,
}

impl Trial {
    /// The metric at the last rung that it reached.
    pub fn last(&self) -> f64 {
        self.values.last().copied().unwrap_or(f64::NAN)
    }
}

/// Options of a search.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub budget: Budget,
    /// Trials in a bracket.
    pub bracket: usize,
    /// Trials with the same structural values.
    pub group: usize,
    pub seed: u64,
    /// The first trials; the first of them is the default, which is never left behind.
    pub first: Vec<Configuration>,
}

/// A rung that was done.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    /// The bracket, from 0.
    pub bracket: usize,
    /// The rung, from 0.
    pub rung: usize,
    /// Number of trials at it.
    pub trials: usize,
    /// Number of trials that failed at it.
    pub failed: usize,
    /// The best metric at it.
    pub best: f64,
    /// The trial with the best metric.
    pub leader: usize,
    /// Row-updates so far.
    pub cost: u64,
    /// The values were read from the file of the study.
    pub from_file: bool,
}

/// The result of a search.
#[derive(Debug)]
pub(crate) struct Searched {
    pub trials: Vec<Trial>,
    pub cost: u64,
    pub rungs: usize,
    /// Stopped by the callback.
    pub stopped: bool,
}

/// A search while it runs.
struct Search<'s, E> {
    plan: &'s Plan,
    journal: &'s mut Journal,
    evaluator: &'s mut E,
    /// The processes that share the trainings.
    worker: Option<Worker>,
    done: Searched,
    begun: Instant,
}

/// Runs brackets until the budget ends, or `each` breaks after a rung.
pub(crate) fn search<E: Evaluator>(
    space: &Space,
    plan: &Plan,
    journal: &mut Journal,
    worker: Option<Worker>,
    evaluator: &mut E,
    mut each: impl FnMut(&Rung, &[Trial]) -> ControlFlow<()>,
) -> Result<Searched> {
    let mut sampler = Sampler::new(space, plan.seed, plan.first.len() + 10);
    let done = Searched { trials: Vec::new(), cost: 0, rungs: 0, stopped: false };
    let begun = Instant::now();
    let mut search = Search { plan, journal, evaluator, worker, done, begun };
    for bracket in 0.. {
        if !search.bracket(bracket, &mut sampler, &mut each)? {
            break;
        }
    }
    if !search.done.stopped {
        search.journal.add(Entry::Attribute("rungs", json!(search.done.rungs)));
        search.journal.commit()?;
    }
    Ok(search.done)
}

impl<E: Evaluator> Search<'_, E> {
    /// Trials so far as observations: those that came further are better, among them those with the
    /// lower metric. Trials of others are as far as one can come.
    fn observations(&self, bracket: usize) -> Vec<Observation> {
        let own = self
            .done
            .trials
            .iter()
            .map(|trial| (trial.configuration.clone(), trial.values.len(), trial.last()));
        let foreign = self.journal.foreign(bracket).iter();
        let rungs = self.evaluator.rungs();
        let all = own.chain(foreign.map(|one| (one.configuration.clone(), rungs, one.value)));
        let all: Vec<(Configuration, usize, f64)> = all.collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        let key = |at: usize| (all[at].2.is_nan(), usize::MAX - all[at].1);
        order.sort_by(|&a, &b| key(a).cmp(&key(b)).then(all[a].2.total_cmp(&all[b].2)));
        let mut ranks = vec![0.0; all.len()];
        order.iter().enumerate().for_each(|(rank, &at)| ranks[at] = rank as f64);
        let ranked = all.into_iter().zip(ranks);
        ranked.map(|((configuration, _, _), rank)| Observation { configuration, rank }).collect()
    }

    /// The configurations of a bracket, as many as the budget allows.
    fn draw(&mut self, bracket: usize, sampler: &mut Sampler) -> Vec<Configuration> {
        let first = self.done.trials.len();
        let mut drawn: Vec<Configuration> = Vec::new();
        if bracket == 0 {
            drawn.extend(self.plan.first.iter().filter(|one| sampler.know(one)).cloned());
        }
        let left = self.plan.bracket.saturating_sub(drawn.len());
        let observations = self.observations(bracket);
        drawn.extend(sampler.draw(first + drawn.len(), left, self.plan.group, &observations));
        if let Some(trials) = self.journal.trials_of(bracket) {
            drawn.truncate(trials);
            return drawn;
        }
        let Budget::RowUpdates(budget) = self.plan.budget else { return drawn };
        // Of each rung a third goes on to the next, which may hold out more rows by more folds.
        let (evaluator, rungs) = (&*self.evaluator, self.evaluator.rungs());
        let at = |configuration: &Configuration, rung: usize| {
            evaluator.cost(configuration, rung) / (FACTOR as u64).pow(rung as u32)
        };
        let mut cost = self.done.cost;
        if let Some(default) = self.plan.first.first().filter(|_| bracket == 0) {
            // The default is at every rung.
            cost += (1..rungs).map(|rung| evaluator.cost(default, rung)).sum::<u64>();
        }
        let least = if bracket == 0 { FACTOR } else { 0 };
        let affordable = drawn.iter().take_while(|configuration| {
            cost += (0..rungs).map(|rung| at(configuration, rung)).sum::<u64>();
            cost <= budget
        });
        let affordable = affordable.count().max(least);
        drawn.truncate(affordable);
        drawn
    }

    /// One bracket; false if it was the last one.
    fn bracket(
        &mut self,
        bracket: usize,
        sampler: &mut Sampler,
        each: &mut impl FnMut(&Rung, &[Trial]) -> ControlFlow<()>,
    ) -> Result<bool> {
        let first = self.done.trials.len();
        if self.is_over(first) {
            return Ok(false);
        }
        // Others may have begun the bracket, or else what is known of trials of others is theirs too.
        self.journal.hold()?;
        let foreign = self.journal.foreign(bracket).len();
        let drawn = self.draw(bracket, sampler);
        if drawn.is_empty() {
            self.journal.release();
            return Ok(false);
        }
        let note = json!({ "number": bracket, "trials": drawn.len(), "foreign": foreign });
        self.journal.add(Entry::Attribute("bracket", note));
        for configuration in drawn {
            self.begin(bracket, configuration);
        }
        self.journal.commit()?;
        let last = self.done.trials.len();
        let ended = |trial: usize| self.journal.recorded(trial).is_some_and(|found| found.ended);
        let is_whole = (first..last).all(ended);
        let mut alive: Vec<usize> = (first..last).collect();
        let rungs = self.evaluator.rungs();
        let mut goes_on = true;
        for rung in 0..rungs {
            if rung > 0 && self.ends_before(&alive, rung, is_whole) {
                // A bracket that a smaller budget ended is over; the search goes on with the next.
                goes_on = is_whole && !self.is_spent(&alive, rung);
                break;
            }
            let values = self.values(&alive, rung, is_whole)?;
            let report = self.record(bracket, rung, &alive, &values, is_whole);
            alive = self.survivors(&alive, rung);
            self.journal.commit()?;
            self.done.rungs += 1;
            if each(&report, &self.done.trials).is_break() && !is_whole {
                self.done.stopped = true;
                if rung + 1 < rungs {
                    // Left as it is: the next run trains the bracket again and goes on with it.
                    return Ok(false);
                }
            }
            if alive.is_empty() {
                break;
            }
        }
        for &trial in &alive {
            let last = self.done.trials[trial].last();
            let reached = self.done.trials[trial].values.len();
            let ending = if reached == rungs { Ending::Complete } else { Ending::Pruned };
            self.done.trials[trial].state =
                if reached == rungs { State::Complete } else { State::Stopped };
            self.journal.add(Entry::End(trial, ending, last));
        }
        self.journal.commit()?;
        Ok(goes_on && !self.done.stopped)
    }

    /// True if the budget is spent before a bracket that begins with a trial. What the file has is
    /// always gone through.
    fn is_over(&self, first: usize) -> bool {
        if first < self.journal.trials() {
            return false;
        }
        match self.plan.budget {
            Budget::RowUpdates(budget) => first > 0 && self.done.cost >= budget,
            Budget::Seconds(seconds) => first > 0 && self.begun.elapsed().as_secs_f64() >= seconds,
            Budget::Rungs(rungs) => self.done.rungs >= rungs,
        }
    }

    /// True if a bracket ends before a rung: for lack of budget, or because it did so in the file.
    fn ends_before(&self, alive: &[usize], rung: usize, is_whole: bool) -> bool {
        if is_whole {
            let has = |trial: &usize| {
                self.journal.recorded(*trial).is_some_and(|found| found.values.contains_key(&rung))
            };
            return !alive.iter().all(has);
        }
        self.is_spent(alive, rung)
    }

    /// True if the budget does not allow a rung.
    fn is_spent(&self, alive: &[usize], rung: usize) -> bool {
        let cost =
            |trial: &usize| self.evaluator.cost(&self.done.trials[*trial].configuration, rung);
        match self.plan.budget {
            // What the file has of a bracket is gone through, however fast this run is.
            Budget::Seconds(_) if self.journal.replays() => false,
            Budget::RowUpdates(budget) => {
                self.done.cost + alive.iter().map(cost).sum::<u64>() > budget
            }
            Budget::Seconds(seconds) => self.begun.elapsed().as_secs_f64() >= seconds,
            Budget::Rungs(rungs) => self.done.rungs >= rungs,
        }
    }

    fn begin(&mut self, bracket: usize, configuration: Configuration) {
        let number = self.done.trials.len();
        self.journal.add(Entry::Create);
        for (place, value) in configuration.0.iter().enumerate() {
            if let Some(value) = value {
                self.journal.add(Entry::Parameter(number, place, *value));
            }
        }
        self.done.trials.push(Trial {
            number,
            bracket,
            configuration,
            values: Vec::new(),
            state: State::Pruned,
            cost: 0,
        });
    }

    /// The metrics of trials at a rung: from the file for a bracket that ended in it.
    fn values(&mut self, alive: &[usize], rung: usize, is_whole: bool) -> Result<Vec<f64>> {
        if is_whole {
            let of = |trial: &usize| {
                let found = self.journal.recorded(*trial);
                found.and_then(|found| found.values.get(&rung).copied()).unwrap_or(f64::NAN)
            };
            return Ok(alive.iter().map(of).collect());
        }
        let trials = &self.done.trials;
        let of = |numbers: &[usize]| -> Vec<&Configuration> {
            numbers.iter().map(|&trial| &trials[trial].configuration).collect()
        };
        let Some(worker) = &mut self.worker else {
            return self.evaluator.evaluate(&of(alive), rung);
        };
        let groups = self.evaluator.groups(&of(alive));
        let groups: Vec<Vec<usize>> = groups
            .into_iter()
            .map(|group| group.into_iter().map(|place| alive[place]).collect())
            .collect();
        loop {
            match worker.next(&groups, rung, rayon::current_num_threads())? {
                Next::Train(own) => {
                    let metrics = self.evaluator.evaluate(&of(&own), rung)?;
                    worker.put(&own, rung, &metrics)?;
                }
                Next::Wait => worker.wait(),
                Next::Done(metrics) => return Ok(metrics),
            }
        }
    }

    fn record(
        &mut self,
        bracket: usize,
        rung: usize,
        alive: &[usize],
        values: &[f64],
        from_file: bool,
    ) -> Rung {
        let (mut best, mut leader, mut failed) = (f64::INFINITY, alive[0], 0);
        for (&number, &value) in alive.iter().zip(values) {
            let trial = &mut self.done.trials[number];
            let cost = self.evaluator.cost(&trial.configuration, rung);
            (trial.cost, self.done.cost) = (trial.cost + cost, self.done.cost + cost);
            // An infinite metric is no better than none.
            let value = if value.is_finite() { value } else { f64::NAN };
            trial.values.push(value);
            self.journal.add(Entry::Intermediate(number, rung, value));
            if value.is_nan() {
                failed += 1;
            } else if value < best {
                (best, leader) = (value, number);
            }
        }
        let (trials, cost) = (alive.len(), self.done.cost);
        Rung { bracket, rung, trials, failed, best, leader, cost, from_file }
    }

    /// The trials that go on after a rung; ends the others. After the last rung all of them are
    /// left.
    fn survivors(&mut self, alive: &[usize], rung: usize) -> Vec<usize> {
        let value = |trial: usize| self.done.trials[trial].last();
        let mut order: Vec<usize> =
            alive.iter().copied().filter(|&trial| !value(trial).is_nan()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let is_last = rung + 1 == self.evaluator.rungs();
        let kept = if is_last { order.len() } else { (alive.len() / FACTOR).max(1) };
        let mut going_on: Vec<usize> = order.iter().copied().take(kept).collect();
        // The default is compared with at every rung.
        if order.contains(&0) && !going_on.contains(&0) {
            going_on.push(0);
        }
        going_on.sort_unstable();
        for &number in alive {
            if going_on.contains(&number) {
                continue;
            }
            let trial = &mut self.done.trials[number];
            let value = trial.last();
            trial.state = if value.is_nan() { State::Failed } else { State::Pruned };
            let reason = if value.is_nan() { "not finite" } else { "left behind" };
            self.journal.add(Entry::TrialAttribute(number, "reason", json!(reason)));
            self.journal.add(Entry::End(number, Ending::Pruned, value));
        }
        going_on
    }
}

#[cfg(test)]
mod tests;
