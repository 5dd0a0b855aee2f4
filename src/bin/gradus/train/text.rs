//! `gradus train --model gpt --text FILE`: trains a model of characters.

use std::path::Path;
use std::time::Instant;

use gradus::data::text::{Characters, sequences, shifted_sequences};
use gradus::losses::{Domain, LossDefinition};
use gradus::{Device, Epoch, HeldOut, Model, Stop, cases, text};
use ndarray::Array2;
use serde_json::Value;

use crate::interrupt::Interrupt;
use crate::language::Measured;
use crate::log::Log;
use crate::output::{Failure, Outcome};
use crate::samples::Task;
use crate::train::options::{Earlier, Plan, Settings, Train};
use crate::train::report::as_text;
use crate::train::run::{numbers, report};
use crate::train::trained::Trained;
use crate::{language, output, saved};

/// A GPT's gradient is clipped at this norm unless another clip is requested: nanoGPT's.
const CLIP: (&str, f64) = ("clip_norm", 1.0);

/// The ids that are trained on, as sequences that begin at other places in each epoch.
struct Training {
    ids: Vec<i64>,
    context: usize,
    seed: u64,
    /// Sequences in an epoch.
    rows: usize,
}

impl Training {
    fn epoch(&self, epoch: u32) -> gradus::Result<(Array2<f32>, Array2<i64>)> {
        shifted_sequences(&self.ids, self.context, self.seed, epoch)
    }
}

/// Sequences of a text, each with the next characters.
struct Part {
    x: Array2<f32>,
    y: Array2<i64>,
}

/// What is trained and validated on.
struct Parts {
    train: Training,
    validation: Option<Part>,
}

impl Train {
    pub(super) fn run_text(
        &self,
        path: &Path,
        plan: Option<Plan>,
        held_out: HeldOut,
        earlier: Option<&Earlier>,
    ) -> Outcome {
        if let Some(plan) = &plan {
            check_loss(&*plan.loss)?;
        }
        let content = language::read(path)?;
        let (mut model, characters, context, mut settings) = match plan {
            Some(plan) => {
                let characters = Characters::of(&content)?;
                if characters.len() < 2 {
                    return Err(Failure::Failed(format!(
                        "--text: {}: it has one character over and over; at least 2 are needed",
                        path.display()
                    )));
                }
                let context = self.network.tokens();
                // A text that is too short is an error before a device is opened.
                parts(&characters, &content, context, held_out, path)?;
                let mut settings = self.settings(false, None).with(&plan);
                settings.clip = settings.clip.or(Some(CLIP));
                let model =
                    self.new_gpt(plan, &characters, &self.device(None).open_and_report()?)?;
                (model, characters, context, settings)
            }
            None => {
                let from = self.resume.as_deref().unwrap_or(Path::new(""));
                let model = Model::load(from, &self.device(earlier).open_and_report()?)
                    .map_err(|error| Failure::from(error).of("--resume"))?;
                saved::check_resumed(Some(from), self.out.as_deref())?;
                let (characters, context) =
                    language::characters(&model, from).map_err(|failure| failure.of("--resume"))?;
                (model, characters, context, self.settings(false, earlier))
            }
        };
        settings.hidden.clear();
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed("--resume: the model was saved without a loss".into()));
        };
        self.check_same_loss(loss)?;
        let parts = parts(&characters, &content, context, held_out, path)?;
        let task = Task::of_tokens(characters.len());
        model.set_held_out(held_out);
        if let Some(done) = earlier
            .filter(|_| self.epochs.is_none() && self.steps.is_none())
            .and_then(Earlier::in_words)
        {
            output::note(&format!("resumed: {done}"));
        }
        let interrupt = Interrupt::listen()?;
        if !self.json {
            let rows = |count: usize| text::count(count as u64);
            let held = parts.validation.as_ref().map_or(String::new(), |part| {
                format!(", {} of the end to validate on", rows(part.x.nrows()))
            });
            let chosen = format!(
                "{} characters, {} different ones; {} sequences of {context} to train on, at other places in each epoch{held}\n{}\n",
                text::count(content.chars().count() as u64),
                characters.len(),
                rows(parts.train.rows),
                self.chosen_in_words(&settings, &task, &model)
            );
            let summary = format!("{}\n{chosen}", model.summary_for(settings.batch_size));
            output::print_beside(self.out.as_deref(), &output::folded(&summary))?;
        }
        let (mut trained, validated) = self.fit_text(model, &parts, settings, &interrupt)?;
        let report = if self.json {
            output::document(&self.text_as_json(&trained, &task, validated.as_ref()))
        } else {
            let in_words = |found: Measured| format!("validation: {}\n", found.in_words());
            as_text(&trained, false) + &validated.map_or(String::new(), in_words)
        };
        output::print_beside(self.out.as_deref(), &report)?;
        self.write_page(&trained, &task)?;
        let logged = std::mem::replace(&mut trained.logged, Ok(()));
        self.ended(&trained, interrupt.is_asked()).and(logged)
    }

    fn new_gpt(&self, plan: Plan, characters: &Characters, device: &Device) -> Outcome<Model> {
        Task::check_outputs(&*plan.loss)?;
        let l2 = self.l2.unwrap_or(0.0);
        let layers = self.network.gpt(characters.len()).seed(self.seed).l1(self.l1).l2(l2);
        let model = layers.proximal_l1(self.proximal_l1).on(device);
        let mut model = model
            .map_err(|error| Failure::from(error).of("--model gpt"))?
            .compile_boxed(plan.loss, plan.optimizer)?;
        model.set_names(Vec::new(), characters.names(), None);
        Ok(model)
    }

    fn fit_text(
        &self,
        mut model: Model,
        parts: &Parts,
        chosen: Settings,
        interrupt: &Interrupt,
    ) -> Outcome<(Trained, Option<Measured>)> {
        let updates = self.updates(parts.train.rows, &chosen);
        let chosen = chosen.of_updates(updates, self.resume.is_some());
        let fit = self.asked(&model, updates, &chosen)?;
        let has_perplexity =
            model.loss().and_then(|loss| language::perplexity(loss, 0.0)).is_some();
        let figures = move |epoch: &Epoch| {
            let mut figures = numbers(epoch, 1.0);
            let perplexity = epoch.val_loss.filter(|_| has_perplexity).map(f64::exp);
            figures.extend(perplexity.map(|value| ("perplexity", value)));
            figures
        };
        let log = Log::new(self.log.as_deref(), self.resume.is_some())?
            .with_tensorboard(self.tensorboard.as_deref())?;
        log.behind(model.history().len(), model.history().iter().map(figures).collect());
        let mut fit = report(fit, &log, chosen.before.numbered, chosen.epochs, figures);
        if let Some(path) = &self.out {
            fit = fit.checkpoint(path);
        }
        if let Some(Part { x, y }) = &parts.validation {
            fit = fit.validation_data(x, y);
        }
        let (start, step) = (Instant::now(), interrupt.clone());
        let of_steps = log.clone();
        let fit = fit.on_step(move |epoch, report| {
            of_steps.step(epoch, report, 1.0);
            step.flow()
        });
        let history = model.fit_epochs(|epoch| parts.train.epoch(epoch), fit)?;
        let seconds = start.elapsed().as_secs_f64();
        if history.before > 0 {
            log.catch_up();
        }
        let logged = log.close();
        interrupt.end_at_once();
        let is_asked = matches!(history.stopped, Some(Stop::Asked { .. }));
        let validated = match parts.validation.as_ref().filter(|_| !is_asked) {
            Some(part) => Some(measured(&mut model, part)?),
            None => None,
        };
        let trained = Trained {
            model,
            history,
            chosen,
            validation: None,
            test: None,
            seconds,
            logged,
            in_pieces: false,
        };
        Ok((trained, validated))
    }

    fn text_as_json(&self, trained: &Trained, task: &Task, found: Option<&Measured>) -> Value {
        let mut document = self.as_json(trained, task);
        let number = cases::number_to_json;
        if let Some(found) = found {
            document["validation"] = found.as_json(&trained.model);
            if found.perplexity.is_some() {
                let of = |epoch: &Epoch| epoch.val_loss.map(|loss| number(loss.exp()));
                document["history"]["perplexity"] = trained.history.epochs.iter().map(of).collect();
            }
        }
        if self.resume.is_none() {
            document["settings"]["gpt"] = self.network.gpt_as_json();
        }
        document
    }
}

/// Rejects a loss that does not take the class of each character.
fn check_loss(loss: &dyn LossDefinition) -> Outcome {
    match loss.targets() {
        // Thresholds are one less than the classes; a prior is of one class to a row.
        Domain::Class | Domain::Label
            if loss.inner().is_none()
                && loss.classes(2) == 2
                && loss.inputs().iter().all(|input| input.name != "class_prior") =>
        {
            Ok(())
        }
        _ => Err(Failure::Usage(format!(
            "--loss is {}; a model of text takes a loss of classes, such as cross_entropy",
            loss.name()
        ))),
    }
}

/// Measures a part by the averaged weights, if there are some.
fn measured(model: &mut Model, Part { x, y }: &Part) -> Outcome<Measured> {
    match model.keeps_average() {
        true => Measured::of(&mut model.averaged()?, x, y),
        false => Measured::of(model, x, y),
    }
}

/// The sequences of a text: those of its last characters are held out.
fn parts(
    characters: &Characters,
    content: &str,
    context: usize,
    held_out: HeldOut,
    path: &Path,
) -> Outcome<Parts> {
    let ids = characters.ids(content).map_err(|error| Failure::from(error).of("--text"))?;
    let HeldOut { seed, share } = held_out;
    let held = (ids.len() as f64 * share).round() as usize;
    let (train, end) = ids.split_at(ids.len() - held.min(ids.len()));
    let too_short = |ids: &[i64], purpose: &str| {
        Failure::Failed(format!(
            "--text: {}: {} characters are left to {purpose} on, and --context {context} needs {}; take a longer text, a shorter context or \
             another --validation (0 validates on nothing)",
            path.display(),
            ids.len(),
            context.saturating_add(1)
        ))
    };
    let validation = match share > 0.0 {
        true => {
            let made = sequences(end, context, context);
            let (x, y) = made.map_err(|_| too_short(end, "validate"))?;
            Some(Part { x, y })
        }
        false => None,
    };
    let first = shifted_sequences(train, context, seed, 0);
    let rows = first.map_err(|_| too_short(train, "train"))?.0.nrows();
    Ok(Parts { train: Training { ids: train.to_vec(), context, seed, rows }, validation })
}
