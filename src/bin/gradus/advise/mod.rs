//! `gradus advise`: which loss, optimizer and network for a data set, and why.

pub(crate) mod command;
mod page;
mod text;

use std::path::PathBuf;

use clap::Args;
use gradus::advise::{self, Advice, AdviseOptions};
use serde_json::{Value, json};

use crate::numbers;
use crate::output::{Failure, Outcome};
use crate::samples::source::{Raw, Source};
use crate::{output, saved};

/// Names losses, an optimizer and a network for a data set, each with its reason
#[derive(Args)]
pub struct Advise {
    #[command(flatten)]
    source: Source,
    /// Seed of the sample of rows and of the folds
    #[arg(long, value_name = "SEED", default_value_t = 7, value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Writes an HTML page with pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Advise {
    pub fn run(&self) -> Outcome {
        if self.source.text().is_some() {
            return Err(Failure::Usage(
                "--text: a text has no target to advise on; `gradus train --text FILE --model gpt` trains on it"
                    .into(),
            ));
        }
        // Fail now: the page is written at the end.
        if let Some(file) = &self.html {
            saved::check_out("--html", file, &self.source.files())?;
        }
        let advice = self.advice()?;
        let commands: Vec<Option<String>> =
            advice.losses.iter().map(|loss| command::train(&self.source, &advice, loss)).collect();
        if let Some(file) = &self.html {
            page::page(&self.source, &advice, &commands)?.write(file)?;
        }
        if self.json {
            return output::print_json(&as_json(&self.source, &advice, &commands));
        }
        output::print(&text::text(&self.source, &advice, &commands))
    }

    fn advice(&self) -> Outcome<Advice> {
        let options = |targets: Vec<String>, left_out: Vec<String>| AdviseOptions {
            targets,
            left_out,
            images: self.source.is_images(),
            seed: self.seed,
        };
        let of_data = |error: gradus::Error| Failure::from(error).of("--data");
        match self.source.raw()? {
            Raw::Table(table) => {
                let (targets, left_out) = self.source.chosen(&table)?;
                if targets.is_empty() {
                    let names: Vec<&str> = table.names().collect();
                    return Err(Failure::Usage(format!(
                        "--target is missing: it names the column to predict; the columns are {}",
                        names.join(", ")
                    )));
                }
                for note in table.notes() {
                    output::note(&format!("note: {}: {note}", table.path().display()));
                }
                advise::advise(&table, &options(targets, left_out)).map_err(of_data)
            }
            Raw::Arrays(split) => {
                advise::advise_arrays(&split.train, &options(Vec::new(), Vec::new()))
                    .map_err(of_data)
            }
        }
    }
}

/// The advice as JSON, each loss with its command line.
fn as_json(source: &Source, advice: &Advice, commands: &[Option<String>]) -> Value {
    let mut document = json!(advice);
    for (place, command) in commands.iter().enumerate() {
        document["losses"][place]["command"] = json!(command);
    }
    document["data"] = source.as_json();
    document["gradus"] = json!(env!("CARGO_PKG_VERSION"));
    document
}
