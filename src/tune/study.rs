//! A search over dense networks from rows to a decision.

use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::data::{Dataset, Fingerprint, Target};
use crate::runtime::device::Device;
use crate::tune::budget::Budget;
use crate::tune::candidate::{self, Candidate};
use crate::tune::decision::{Decision, decide};
use crate::tune::halving::{Plan, Rung, Trial, search};
use crate::tune::importance::{Importance, importances};
use crate::tune::journal::{Entry, Journal};
use crate::tune::metric::Metric;
use crate::tune::networks::Networks;
use crate::tune::rows::{Answers, Rows};
use crate::tune::space::{Configuration, Space};
use crate::tune::worker::Worker;
use crate::{Error, Result};

/// Passes over the rows that a search takes by default.
const PASSES: u64 = 600;

/// The fewest row-updates of a search by default.
const LEAST: u64 = 3_000_000;

/// A search for a loss, an optimizer, their options and a dense network.
///
/// ```
/// use gradus::data::{Dataset, Target};
/// use gradus::tune::{Budget, Tune};
/// use gradus::Device;
/// use ndarray::Array2;
///
/// // y = 2 x₀ − x₁.
/// let features = Array2::from_shape_fn((60, 2), |(row, column)| {
///     ((row * 7 + column * 13) % 11) as f32 / 5.0 - 1.0
/// });
/// let targets = Array2::from_shape_fn((60, 1), |(row, _)| {
///     2.0 * features[[row, 0]] - features[[row, 1]]
/// });
/// let rows = Dataset::new(features, Target::Values(targets))?;
/// let tuned = Tune::new().budget(Budget::RowUpdates(40_000)).bracket(6).run(&rows, &Device::cpu())?;
/// assert!(tuned.trials.len() >= 3 && tuned.cost <= 40_000);
/// assert_eq!(tuned.space.get(&tuned.trials[0].configuration, "loss").as_deref(), Some("mse"));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tune {
    metric: Option<Metric>,
    budget: Option<Budget>,
    bracket: usize,
    group: usize,
    seed: u64,
    study: Option<PathBuf>,
}

impl Default for Tune {
    fn default() -> Self {
        Tune { metric: None, budget: None, bracket: 54, group: 3, seed: 7, study: None }
    }
}

/// The result of a [`Tune`].
#[derive(Debug)]
pub struct Tuned {
    /// The metric that was made small.
    pub metric: Metric,
    /// The space that was searched.
    pub space: Space,
    /// All trials in their order; the first is the default.
    pub trials: Vec<Trial>,
    /// The last comparison; none if the search was stopped before it.
    pub decision: Option<Decision>,
    /// What the trial that was taken stands for: the default where nothing beat it.
    pub winner: Candidate,
    /// Epochs of the winner's training on all rows.
    pub epochs: usize,
    /// How much each parameter mattered, the most important first.
    pub importances: Vec<Importance>,
    /// Row-updates of the search, without the last comparison.
    pub cost: u64,
    /// Rungs done, over all brackets.
    pub rungs: usize,
    /// Stopped by the callback.
    pub stopped: bool,
    /// Features and outputs of the networks.
    pub sizes: [usize; 2],
}

impl Tune {
    /// A search in the default space for the default metric, RMSE of numbers and log loss of
    /// classes, in brackets of 54 trials, three of a shape; 600 passes over the rows and at least
    /// 3,000,000 row-updates; seed 7.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is made small.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = Some(metric);
        self
    }

    /// How long the search goes on. The last comparison comes on top.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Number of trials of a bracket, at least 3. Of each rung a third goes on to the next.
    pub fn bracket(mut self, trials: usize) -> Self {
        self.bracket = trials;
        self
    }

    /// Number of trials of the same shape, which train side by side.
    pub fn group(mut self, trials: usize) -> Self {
        self.group = trials;
        self
    }

    /// The seed of everything: what is drawn, the splits, the trainings.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The file of the study, which Optuna reads and goes on with (`JournalStorage`). A search that
    /// was ended goes on where it was; one that is over is not trained again.
    ///
    /// Several processes may run the same search over one file, also from several machines that see
    /// it: they share the trainings, each ends with the whole result, and what one that is killed had
    /// begun is trained by the others. They tell each other by a folder `FILE.work`, whose files are
    /// locked by whoever works. The last one removes it; if that one is killed it stays, and may be
    /// deleted.
    pub fn study(mut self, path: impl Into<PathBuf>) -> Self {
        self.study = Some(path.into());
        self
    }

    /// Searches.
    ///
    /// # Errors
    /// [`Error::Option`] for options outside their domains, [`Error::Input`] for targets that the
    /// metric does not take, [`Error::Data`] for a study of other data or options,
    /// [`Error::Option`] if another process works on the study with another budget or a limit of time,
    /// and those of the trainings.
    pub fn run(&self, rows: &Dataset, device: &Device) -> Result<Tuned> {
        self.run_with(rows, device, |_, _| ControlFlow::Continue(()))
    }

    /// As [`Tune::run`], with a function called after each rung with all trials so far; the search
    /// stops if it breaks.
    ///
    /// # Errors
    /// As [`Tune::run`].
    pub fn run_with(
        &self,
        rows: &Dataset,
        device: &Device,
        each: impl FnMut(&Rung, &[Trial]) -> ControlFlow<()>,
    ) -> Result<Tuned> {
        self.check_options()?;
        let metric = self.metric_of(rows);
        let rows = Rows::new(rows, metric)?;
        let space = candidate::space(metric, rows.len() * 4 / 5)?;
        let first = candidate::first(&space, metric)?;
        let least = LEAST.max(PASSES * rows.len() as u64);
        let plan = Plan {
            budget: self.budget.unwrap_or(Budget::RowUpdates(least)),
            bracket: self.bracket,
            group: self.group,
            seed: self.seed,
            first,
        };
        let mut networks = Networks::new(&rows, &space, device, metric, self.seed);
        let mut journal = Journal::open(self.study.as_deref(), &space)?;
        journal.add(Entry::Attribute("written_by", json!(written_by())));
        let settings = self.settings(metric, &rows, device);
        journal.add(Entry::Attribute("settings", settings.clone()));
        journal.commit()?;
        let worker = match &self.study {
            Some(path) => {
                let own = json!({ "written_by": written_by(), "settings": settings });
                Worker::join(path, &own, plan.budget)?
            }
            None => None,
        };
        let searched = search(&space, &plan, &mut journal, worker, &mut networks, each)?;
        let trials = searched.trials;
        let decision = if searched.stopped { None } else { Some(decide(&networks, &trials)?) };
        let taken = decision.as_ref().map(|decision| &decision.finalists[decision.winner]);
        let (trial, rung) =
            taken.map_or((0, networks.fidelities.len() - 1), |taken| (taken.trial, taken.rung));
        if let Some(decision) = &decision {
            journal.add(Entry::Attribute("result", result(decision)));
            journal.commit()?;
        }
        let configuration = trials.get(trial).map(|trial| trial.configuration.clone());
        let winner = Candidate::of(&space, &configuration.unwrap_or_else(|| plan.first[0].clone()));
        let epochs = networks.epochs(&winner, rung, rows.len() * 4 / 5);
        Ok(Tuned {
            metric,
            importances: importances(&space, &trials),
            sizes: [rows.features.ncols(), rows.outputs()],
            space,
            trials,
            decision,
            winner,
            epochs,
            cost: searched.cost,
            rungs: searched.rungs,
            stopped: searched.stopped,
        })
    }

    /// The metric for the targets of rows.
    fn metric_of(&self, rows: &Dataset) -> Metric {
        self.metric.unwrap_or(match rows.target {
            Target::Labels { .. } => Metric::LogLoss,
            _ => Metric::Rmse,
        })
    }

    /// Checks the options and the rows without a search.
    ///
    /// # Errors
    /// As [`Tune::run`], but for those of the study and of the trainings.
    pub fn check(&self, rows: &Dataset) -> Result<()> {
        self.check_options()?;
        Rows::new(rows, self.metric_of(rows)).map(drop)
    }

    fn check_options(&self) -> Result<()> {
        let refused = |name: &str, found: String, allowed: &str| {
            Err(Error::option("tune", name, found, allowed))
        };
        match self.budget {
            Some(Budget::RowUpdates(0)) => return refused("budget", "0".into(), "at least 1"),
            Some(Budget::Rungs(0)) => return refused("rungs", "0".into(), "at least 1"),
            Some(Budget::Seconds(seconds)) if !(seconds > 0.0 && seconds.is_finite()) => {
                return refused("seconds", seconds.to_string(), "finite and > 0");
            }
            _ => {}
        }
        match (self.bracket, self.group) {
            (..3, _) => refused("bracket", self.bracket.to_string(), "at least 3 trials"),
            (_, 0) => refused("group", "0".into(), "at least 1 trial"),
            _ => Ok(()),
        }
    }

    /// What decides a search besides its budget: in the study, so that it does not go
    /// on with anything else.
    fn settings(&self, metric: Metric, rows: &Rows, device: &Device) -> Value {
        let mut content = Fingerprint::new();
        content.add_each(rows.features.iter().copied());
        match &rows.targets {
            Answers::Numbers(numbers) => content.add_all(numbers),
            Answers::Classes { labels, .. } => {
                let labels: Vec<u64> = labels.iter().map(|&label| label as u64).collect();
                content.add_all(&labels);
            }
        }
        json!({
            "metric": metric.name(), "seed": self.seed, "bracket": self.bracket, "group": self.group,
            "rows": rows.len(), "features": rows.features.ncols(), "content": format!("{:016x}", content.value()),
            "device": device.name(),
        })
    }
}

fn written_by() -> String {
    format!("gradus {}", env!("CARGO_PKG_VERSION"))
}

/// The decision for the study.
fn result(decision: &Decision) -> Value {
    let number = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
    let finalist = |one: &crate::tune::decision::Finalist| {
        json!({
            "trial": one.trial, "rung": one.rung, "value": number(one.value),
            "difference": number(one.difference), "error": number(one.error),
        })
    };
    json!({
        "trial": decision.finalists[decision.winner].trial,
        "finalists": decision.finalists.iter().map(finalist).collect::<Vec<_>>(),
        "bias": number(decision.bias), "reason": decision.reason,
    })
}

impl Tuned {
    /// The trials from the best to the worst: those that came further first, then by the metric.
    pub fn leaderboard(&self) -> Vec<&Trial> {
        let mut order: Vec<&Trial> = self.trials.iter().collect();
        let key = |trial: &Trial| (trial.last().is_nan(), usize::MAX - trial.values.len());
        order.sort_by(|a, b| {
            key(a).cmp(&key(b)).then(a.last().total_cmp(&b.last())).then(a.number.cmp(&b.number))
        });
        order
    }

    /// What a configuration stands for.
    pub fn candidate(&self, configuration: &Configuration) -> Candidate {
        Candidate::of(&self.space, configuration)
    }
}
