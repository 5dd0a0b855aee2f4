//! Settings of a training run: the requested ones, with defaults for the rest.

use std::num::NonZeroUsize;

use gradus::data::Blocks;
use gradus::schedules::Schedule;
use gradus::{Augment, Model, optimizers, schedules};
use serde_json::{Map, Value, json};

use crate::output;
use crate::output::{Failure, Outcome};
use crate::samples::{Prepared, Task, columns_as_json, columns_in_words};
use crate::train::network::{Changes, Network};
use crate::train::options::{Before, Earlier, Hidden, Plan, Settings, Switch, Train, named};

/// Adam's default learning rate for a listwise loss.
const RANKING_RATE: f64 = 2e-3;

/// Names of the clipping options in `Fit` and in the JSON document of settings.
const CLIPS: [&str; 3] = ["clip_norm", "clip_tensor_norm", "clip_value"];

impl Settings {
    /// Adds the settings that a new model is compiled with.
    pub(super) fn with(mut self, plan: &Plan) -> Self {
        self.learning_rate = Some(plan.optimizer.initial_learning_rate());
        self.compiled.insert("loss".into(), plan.loss.name().into());
        self.compiled.insert("loss_options".into(), plan.loss.options());
        self.compiled.insert("optimizer".into(), plan.optimizer.name().into());
        self.compiled.insert("optimizer_options".into(), plan.optimizer.options());
        self
    }
}

impl Settings {
    /// The epochs that the requested steps take, with a number of updates to an epoch. A resumed
    /// training may begin in the midst of one.
    pub(super) fn of_updates(mut self, updates: usize, resumes: bool) -> Self {
        let is_whole = self.compiled.get("optimizer") == Some(&json!("gradient_descent"));
        let updates = if is_whole { 1 } else { updates.max(1) };
        if let Some(steps) = self.steps {
            self.epochs = steps.div_ceil(updates) + usize::from(resumes);
        }
        self
    }
}

impl Train {
    /// The requested settings, with defaults for the rest. The defaults for a listwise loss were
    /// chosen by NDCG@5 of three of them (`lambda_rank`, `list_net`, `pairwise_logistic`) on a
    /// fifth of the training queries of LightGBM's ranking example, mean of 12 seeds.
    ///
    /// A resumed model keeps its saved settings unless others are requested.
    pub(super) fn settings(&self, ranks: bool, earlier: Option<&Earlier>) -> Settings {
        let or = |given: Option<NonZeroUsize>, kept: Option<usize>, own: usize| {
            given.map(NonZeroUsize::get).or(kept).unwrap_or(own)
        };
        let is_set = self.optimizer_settings.iter().any(|(name, _)| name == "learning_rate");
        let own_rate = (ranks && self.optimizer == "adam" && !is_set && self.resume.is_none())
            .then_some(RANKING_RATE);
        let kept_rate = earlier.map_or(own_rate, Earlier::learning_rate);
        let before = earlier.map(Earlier::before).unwrap_or_default();
        // The remaining epochs of a saved training have the rest of an interrupted one among them.
        let rest = usize::from(before.is_cut && self.epochs.is_some());
        let kept_clip = || {
            let number = |name: &'static str| Some((name, earlier?.option(name).as_f64()?));
            CLIPS.into_iter().find_map(number)
        };
        let had =
            |name: &str| earlier.is_some_and(|earlier| earlier.option(name) == &Value::Bool(true));
        Settings {
            hidden: self
                .hidden
                .clone()
                .map_or(if ranks { vec![32] } else { vec![128, 64] }, |Hidden(units)| units),
            learning_rate: self.learning_rate.or(kept_rate),
            epochs: or(self.epochs, earlier.and_then(Earlier::left), if ranks { 20 } else { 5 })
                .saturating_add(rest),
            steps: self.steps.map(NonZeroUsize::get),
            before,
            batch_size: or(
                self.batch_size,
                earlier.and_then(Earlier::batch_size),
                if ranks { 8 } else { 64 },
            ),
            accumulate: or(
                self.accumulate,
                earlier
                    .and_then(Earlier::accumulate)
                    .filter(|batches| batches % self.processes() == 0)
                    .map(|batches| batches / self.processes()),
                1,
            ),
            l2: self.l2.unwrap_or(if ranks { 0.01 } else { 0.0 }),
            average: self.average.or_else(|| earlier?.average()),
            patience: self.patience.or_else(|| earlier?.patience()),
            skip_non_finite: self.skip_non_finite || had("skip_non_finite"),
            mixed_precision: self.is_mixed(earlier),
            clip: self.clip().or_else(kept_clip),
            augment: match (self.network.augment, earlier.map(|of| of.option("augment"))) {
                (Some(Changes(augment)), _) if augment == Augment::new() => None,
                (Some(Changes(augment)), _) => serde_json::to_value(augment).ok(),
                (None, saved) => saved.filter(|saved| saved.is_object()).cloned(),
            },
            compiled: earlier.map(Earlier::compiled).unwrap_or_default(),
        }
    }

    /// True if products are rounded to f16: as asked, or as in the saved training.
    pub(super) fn is_mixed(&self, earlier: Option<&Earlier>) -> bool {
        let had = || {
            earlier.is_some_and(|earlier| earlier.option("mixed_precision") == &Value::Bool(true))
        };
        self.mixed_precision.map_or_else(had, |switch| switch == Switch::On)
    }

    /// The requested clipping.
    fn clip(&self) -> Option<(&'static str, f64)> {
        let given = [self.clip_norm, self.clip_tensor_norm, self.clip_value];
        CLIPS.into_iter().zip(given).find_map(|(name, limit)| Some((name, limit?)))
    }

    /// One line with the number of rows and the interpretation of their targets; another with all
    /// chosen settings.
    pub(super) fn in_words(
        &self,
        parts: &Prepared,
        settings: &Settings,
        task: &Task,
        model: &Model,
    ) -> String {
        let decided = task.decided(&parts.train, self.source.target().as_deref());
        let columns = columns_in_words(&parts.encoding);
        format!(
            "{columns}{}; {decided}\n{}\n",
            sizes(parts),
            self.chosen_in_words(settings, task, model)
        )
    }

    pub(super) fn chosen_in_words(
        &self,
        settings: &Settings,
        task: &Task,
        model: &Model,
    ) -> String {
        let of = |name: &str| {
            settings.compiled.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        let mut parts = vec![of("loss") + &set(&self.settings)];
        if self.resume.is_none() {
            let hidden: Vec<String> = settings.hidden.iter().map(ToString::to_string).collect();
            let with = format!("{} with {}", hidden.join(","), self.activation);
            parts.push(match self.network() {
                Network::Dense if hidden.is_empty() => "hidden none".into(),
                Network::Dense => format!("hidden {with}"),
                network => network.name().into(),
            });
            parts.push(format!("l1 {}, l2 {}", self.l1, settings.l2));
        }
        let rate = settings.learning_rate.map_or("the saved one".into(), |rate| rate.to_string());
        parts.push(format!(
            "{}{} at learning rate {rate}",
            of("optimizer"),
            set(&self.optimizer_settings)
        ));
        if let Some(schedule) = &self.schedule {
            parts.push(format!("schedule {schedule}"));
        }
        let rows = if task.ranks { "queries" } else { "rows" };
        let length = match (settings.steps, settings.epochs) {
            (Some(1), _) => "1 step".into(),
            (Some(steps), _) => format!("{steps} steps"),
            (None, epochs) => {
                let has_rest = settings.before.is_cut && self.epochs.is_some();
                let whole = epochs - usize::from(has_rest);
                let rest = if has_rest { "the rest of an epoch and " } else { "" };
                format!("{rest}{whole} epoch{}", if whole == 1 { "" } else { "s" })
            }
        };
        let each = match self.processes() {
            1 => String::new(),
            processes => format!(" in each of {processes} processes"),
        };
        parts.push(format!("{length} of batches of {} {rows}{each}", settings.batch_size));
        if settings.accumulate > 1 {
            parts.push(format!("{} batches per update", settings.accumulate));
        }
        parts.extend(settings.mixed_precision.then(|| "mixed precision".to_string()));
        parts.extend(
            settings.skip_non_finite.then(|| "steps that are not finite skipped".to_string()),
        );
        parts.extend(settings.clip.map(|(name, limit)| format!("{name} {limit}")));
        parts.extend(settings.average.map(|decay| format!("average {decay}")));
        parts.extend(settings.patience.map(|epochs| format!("patience {epochs}")));
        parts.extend(settings.augment.as_ref().map(augment_in_words));
        parts.extend(self.weights.in_words(model));
        if self.network() != Network::Gpt {
            parts.push(format!(
                "features {}",
                if is_standardized(model) { "standardized" } else { "as they are" }
            ));
        }
        parts.push(format!("seed {}", settings.compiled.get("seed").unwrap_or(&json!(self.seed))));
        parts.join(", ")
    }

    /// Everything that a run depends on: together with the data it reproduces the same numbers.
    pub(super) fn settings_as_json(
        &self,
        model: &Model,
        chosen: &Settings,
        in_pieces: bool,
        task: &Task,
    ) -> Value {
        let Settings { hidden, learning_rate, epochs, batch_size, l2, .. } = chosen;
        let Settings { average, patience, skip_non_finite, mixed_precision, compiled, .. } = chosen;
        let clip = |name: &str| chosen.clip.filter(|(own, _)| *own == name).map(|(_, limit)| limit);
        let (held_out, is_dense) = (model.held_out(), self.network() == Network::Dense);
        let schedule = model.schedule().map(|(schedule, by_epoch)| {
            json!({ "name": schedule.name(), "options": schedule.options(), "by_epoch": by_epoch })
        });
        let mut document = json!({
            "gradus": env!("CARGO_PKG_VERSION"),
            "data": self.source.as_json(),
            "test": self.test.as_deref().map(output::path),
            "resume": self.resume.as_deref().map(output::path),
            "predicts": task.predicts(),
            "outputs": task.outputs,
            "loss": null,
            "loss_options": null,
            "model": self.resume.is_none().then(|| self.network().name()),
            "hidden": if is_dense { json!(hidden) } else { Value::Null },
            "activation": if is_dense { json!(self.activation) } else { Value::Null },
            "output_activation": task.activation,
            "optimizer": null,
            "optimizer_options": null,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "epochs": epochs,
            "steps": chosen.steps,
            "batch_size": batch_size,
            "accumulate": chosen.accumulate,
            "processes": self.processes(),
            "l1": self.l1,
            "l2": l2,
            "proximal_l1": self.proximal_l1,
            "clip_norm": clip("clip_norm"),
            "clip_tensor_norm": clip("clip_tensor_norm"),
            "clip_value": clip("clip_value"),
            "skip_non_finite": skip_non_finite,
            "mixed_precision": mixed_precision,
            "augment": chosen.augment,
            "average": average,
            "patience": patience,
            "seed": self.seed,
            "validation": held_out.map(|held_out| held_out.share),
            "columns": model.encoding().map(columns_as_json),
            "standardized": is_standardized(model),
            "stream": in_pieces,
        });
        if let Value::Object(document) = &mut document {
            document.extend(compiled.clone());
            document
                .extend(self.weights.as_json(model).map(|(name, value)| (name.to_string(), value)));
        }
        document
    }

    /// The requested schedule. It starts at --learning-rate or the optimizer's default, and its
    /// length, if it has one that is not set, is the whole training run, with the given number of
    /// updates per epoch.
    pub(super) fn named_schedule(
        &self,
        updates: usize,
        settings: &Settings,
    ) -> Outcome<Option<Box<dyn Schedule>>> {
        let Some(name) = &self.schedule else { return Ok(None) };
        let mut options: Map<String, Value> = self.schedule_settings.iter().cloned().collect();
        let entry =
            schedules::entry(name).map_err(|error| Failure::usage(error).of("--schedule"))?;
        if entry.options.iter().any(|option| option.name == "learning_rate")
            && !options.contains_key("learning_rate")
        {
            let own = || {
                Some(
                    optimizers::from_name(&self.optimizer, &Value::Null)
                        .ok()?
                        .initial_learning_rate(),
                )
            };
            let set = self.optimizer_settings.iter().find(|(name, _)| name == "learning_rate");
            let rate =
                settings.learning_rate.or(set.and_then(|(_, rate)| rate.as_f64())).or_else(own);
            options.extend(rate.map(|rate| ("learning_rate".to_string(), json!(rate))));
        }
        let spans =
            ["cosine", "linear", "one_cycle", "polynomial", "warmup_cosine"].contains(&entry.name);
        if spans && !options.contains_key("steps") {
            let Before { updates: done, epochs, .. } = settings.before;
            let (each, done) = if self.schedule_by_epoch { (1, epochs) } else { (updates, done) };
            let length = match settings.steps {
                Some(steps) if !self.schedule_by_epoch => steps,
                _ => settings.epochs.saturating_mul(each),
            };
            options.insert("steps".into(), json!(length.saturating_add(done).max(2)));
        }
        let made = schedules::from_name(name, &Value::Object(options));
        made.map(Some).map_err(|error| named(error, "--schedule", "--schedule-set"))
    }
}

/// True if a model's features are scaled, by the model itself or by its column encoding.
fn is_standardized(model: &Model) -> bool {
    model.scales_inputs() || model.encoding().is_some_and(gradus::data::Encoding::standardizes)
}

/// Options that were set, for display after a name.
fn set(options: &[(String, Value)]) -> String {
    options.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// Number of rows or queries in each split.
fn sizes(parts: &Prepared) -> String {
    let mut text = match &parts.train.groups {
        Some(groups) => {
            format!("{} queries to train on ({} rows)", groups.len(), parts.train.rows())
        }
        None => format!("{} rows to train on", parts.rows()),
    };
    if let Some(large) = &parts.large {
        let test = large.test.as_ref().map(|test| test.rows());
        for (rows, purpose) in
            [(large.validation.as_ref().map(|rows| rows.rows()), "validate"), (test, "test")]
        {
            text += &rows.map_or(String::new(), |rows| format!(", {rows} to {purpose} on"));
        }
    }
    for (rows, purpose) in [(&parts.validation, "validate"), (&parts.test, "test")] {
        if let Some(rows) = rows {
            let count = rows.groups.as_ref().map_or(rows.rows(), Vec::len);
            text += &format!(", {count} to {purpose} on");
        }
    }
    text
}

/// Changes of images, from their JSON: `augment crop 4, flip, cutout 8`.
fn augment_in_words(augment: &Value) -> String {
    let size = |name: &str| {
        augment[name].as_u64().filter(|size| *size > 0).map(|size| format!("{name} {size}"))
    };
    let flip = (augment["flip"] == json!(true)).then(|| "flip".to_string());
    let parts: Vec<String> = [size("crop"), flip, size("cutout")].into_iter().flatten().collect();
    format!("augment {}", parts.join(", "))
}
