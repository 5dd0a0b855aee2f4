//! `gradus evaluate`: metrics of a saved model on labelled rows.

use std::path::{Path, PathBuf};

use clap::Args;
use gradus::Model;
use gradus::data::Target;
use serde_json::{Value, json};

use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::Task;
use crate::samples::source::Source;
use crate::scores::Scores;
use crate::{language, output, saved};

/// Measures a saved model on rows with targets: metrics in the target's unit, confusion matrix,
/// precision and recall per class
#[derive(Args)]
pub struct Evaluate {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    device: DeviceChoice,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        let device = self.device.open(false)?;
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        if let Some(text) = self.source.text() {
            return self.of_text(&mut model, text);
        }
        language::refuse(&model, &self.model, "--text FILE measures it on a text")?;
        let rows = self.source.answered_for(&model)?;
        if rows.dataset.target == Target::None {
            return Err(Failure::Failed(rows.no_targets.unwrap_or_else(|| {
                "--data: the rows have no answers to compare with; the target's column is missing (--target names it)".into()
            })));
        }
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!(
                "{}: the model was saved without a loss",
                self.model.display()
            )));
        };
        let task = Task::of(loss, &rows.dataset)?;
        let scores = Scores::of(&mut model, &task, &rows.dataset, rows.encoding.as_ref())?;
        if self.json {
            let mut document = json!({ "device": device.name(), "rows": rows.dataset.rows() });
            if let Value::Object(document) = &mut document {
                document.extend(scores.as_json());
                document.extend(scores.details_as_json());
            }
            return output::print_json(&document);
        }
        output::print(&format!(
            "{} rows: {}\n{}",
            rows.dataset.rows(),
            scores.in_words(),
            scores.details_in_words()
        ))
    }

    /// Loss, accuracy and perplexity on a text.
    fn of_text(&self, model: &mut Model, path: &Path) -> Outcome {
        let found = language::measure(model, &self.model, path)?;
        if self.json {
            return output::print_json(&found.as_json(model));
        }
        output::print(&format!("{} sequences: {}\n", found.sequences, found.in_words()))
    }
}
