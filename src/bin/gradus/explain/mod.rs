//! `gradus explain`: where the loss of a saved model comes from, in the order of what can be acted
//! on: labels to correct, rows and slices to look at, classes, features, probabilities.

mod found;
mod json;
mod page;
mod part;
mod sharpness;
mod subject;
mod text;
mod training;
mod words;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gradus::Model;
use gradus::data::Target;
use gradus::losses::LossDefinition;

use crate::explain::found::{Effort, Found};
use crate::explain::subject::Subject;
use crate::explain::text::TextFound;
use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::source::Source;
use crate::samples::{Rows, Task, Truth};
use crate::{language, numbers, output, saved};

/// Shows where the loss of a saved model comes from, on rows with targets: labels that are probably
/// wrong, the rows with the largest loss, slices, pairs of classes, features, and whether the
/// probabilities are right; on a text (--text) the characters with the largest loss, and which
/// characters before raise it
#[derive(Args)]
pub struct Explain {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Rows shown in each list
    #[arg(long, value_name = "N", default_value = "10", value_parser = numbers::count)]
    top: NonZeroUsize,
    /// Leaves out the search for wrong labels, which trains two networks like the model's
    #[arg(long)]
    no_labels: bool,
    /// Epochs of each of these two trainings [default: as many as make 800 updates, from 10 to 100]
    #[arg(long, value_name = "N", value_parser = numbers::count, conflicts_with = "no_labels")]
    epochs: Option<NonZeroUsize>,
    /// The rows that the model was trained on, in the format of --data: names those that raise and
    /// lower the loss of the rows with the largest one
    #[arg(long, value_name = "PATH")]
    trained_on: Option<PathBuf>,
    /// Measures how sharp the minimum is: the loss of 41 x 41 models around this one, and the largest
    /// curvature, which bounds the learning rate of plain gradient descent
    #[arg(long)]
    sharpness: bool,
    /// Seed of shuffles, halves of the rows and directions
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = numbers::seed)]
    seed: u64,
    #[command(flatten)]
    device: DeviceChoice,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Writes a page with tables and pictures too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Explain {
    /// The rows of --trained-on with their targets.
    fn training_rows(
        &self,
        path: &Path,
        model: &Model,
        loss: &dyn LossDefinition,
    ) -> Outcome<(Rows, Truth)> {
        const FLAG: &str = "--trained-on";
        let is_stdin = |path: &Path| path == Path::new("-");
        if is_stdin(path) && is_stdin(self.source.path()) {
            let message = format!("{FLAG}: standard input is read once, by --data; name a file");
            return Err(Failure::Usage(message));
        }
        if path.extension().is_some_and(|extension| extension == "npy") {
            return Err(Failure::Failed(format!(
                "{FLAG}: {}: the targets of a .npy file are in another one; take a .npz file or a table",
                path.display()
            )));
        }
        let read = || {
            let rows = self.source.trained_for(path, model)?;
            check_answered(&rows)?;
            let truth = Task::of(loss, &rows.dataset)?.truth(&rows.dataset)?;
            Ok((rows, truth))
        };
        read().map_err(|error: Failure| error.instead_of("--data", FLAG))
    }

    /// Rejects what is only for rows.
    fn check_text(&self) -> Outcome {
        let given = [
            ("--no-labels", self.no_labels),
            ("--epochs", self.epochs.is_some()),
            ("--trained-on", self.trained_on.is_some()),
            ("--sharpness", self.sharpness),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(Failure::Usage(format!(
                "{flag}: it is for rows, and --text has characters; leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// Where the loss of a model of text comes from.
    fn of_text(&self, model: &mut Model, path: &Path) -> Outcome {
        let found = TextFound::of(model, &self.model, path, self.top.get())?;
        if let Some(html) = &self.html {
            text::page(&found, &self.origin(path, model))?.write(html)?;
        }
        match self.json {
            true => output::print_json(&found.as_json(model.device().name())),
            false => output::print(&text::words(&found)),
        }
    }

    /// What a page is of.
    fn origin(&self, path: &Path, model: &Model) -> String {
        format!(
            "{} on {}; {}; gradus {}",
            self.model.display(),
            path.display(),
            model.device().describe(),
            env!("CARGO_PKG_VERSION")
        )
    }

    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        if self.source.text().is_some() {
            self.check_text()?;
        }
        if let Some(html) = &self.html {
            let mut inputs = self.source.files();
            inputs.push(("MODEL", self.model.clone()));
            let beside = self.trained_on.iter().flat_map(|path| self.source.files_beside(path));
            inputs.extend(beside.map(|path| ("--trained-on", path)));
            saved::check_out("--html", html, &inputs)?;
        }
        let device = self.device.open(false)?;
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        if let Some(path) = self.source.text() {
            return self.of_text(&mut model, path);
        }
        language::refuse(&model, &self.model, "--text FILE explains its loss on a text")?;
        let rows = self.source.answered_for(&model)?;
        check_answered(&rows).map_err(|error| error.instead_of("--data", "--data"))?;
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!(
                "{}: the model was saved without a loss",
                self.model.display()
            )));
        };
        let task = Task::of(loss, &rows.dataset)?;
        let trained_on = match &self.trained_on {
            Some(path) => Some(self.training_rows(path, &model, loss)?),
            None => None,
        };
        let trained_on = trained_on.as_ref().map(|(rows, truth)| (rows, truth));
        let effort = Effort {
            top: self.top.get(),
            labels: !self.no_labels,
            epochs: self.epochs.map(NonZeroUsize::get),
            seed: self.seed,
            sharpness: self.sharpness,
            trained_on,
        };
        let truth = task.truth(&rows.dataset)?;
        let mut subject = Subject::new(&model, &rows)?;
        // A dense network takes the pixels of an image as a row.
        subject.image = subject.image.or(self.source.image().ok().flatten());
        let found = Found::of(&mut model, &rows.dataset, &truth, &subject, &effort)?;
        if let Some(html) = &self.html {
            let origin = self.origin(self.source.path(), &model);
            let mut photographs = page::Photographs {
                image: subject.image,
                model: &mut model,
                rows: &rows.dataset,
                truth: &truth,
            };
            page::of(&found, &subject, &mut photographs, &origin)?.write(html)?;
        }
        match self.json {
            true => output::print_json(&json::of(&found, &subject, device.name())),
            false => output::print(&words::of(&found, &subject)),
        }
    }
}

/// Refuses rows without targets.
fn check_answered(rows: &Rows) -> Outcome {
    if rows.dataset.target != Target::None {
        return Ok(());
    }
    let why = "the rows have no answers, so they have no loss; the target's column is missing (--target names it)";
    Err(Failure::Failed(rows.no_targets.clone().unwrap_or_else(|| why.into())))
}
