//! `gradus generate`: text by a saved model.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use gradus::{Generate as Options, Model};
use serde_json::json;

use crate::output::{DeviceChoice, Failure, Outcome};
use crate::{language, numbers, output, saved};

/// Writes text with a saved model of text, from a prompt on
#[derive(Args)]
pub struct Generate {
    /// A model that `gradus train --model gpt --out` saved
    model: PathBuf,
    /// Text to go on from
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Number of characters to write
    #[arg(long, value_name = "N", default_value = "200", value_parser = numbers::times, allow_negative_numbers = true)]
    tokens: usize,
    /// Below 1 likely characters become likelier; 0 always takes the most likely one
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = numbers::not_negative, allow_negative_numbers = true)]
    temperature: f64,
    /// Draws from the N most likely characters alone [default: from all]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    top_k: Option<NonZeroUsize>,
    /// Draws from the fewest most likely characters whose probabilities sum up to P [default: from
    /// all]
    #[arg(long, value_name = "P", value_parser = numbers::probability, allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Seed of the drawing
    #[arg(long, value_name = "SEED", default_value_t = 7, value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    device: DeviceChoice,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Generate {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        if self.prompt.is_empty() {
            return Err(Failure::Usage("--prompt is empty; it must have a character".into()));
        }
        let device = self.device.open(false)?;
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        let (characters, _) = language::characters(&model, &self.model)?;
        let prompt =
            characters.ids(&self.prompt).map_err(|error| Failure::from(error).of("--prompt"))?;
        let mut options =
            Options::new().tokens(self.tokens).temperature(self.temperature).seed(self.seed);
        if let Some(count) = self.top_k {
            options = options.top_k(count.get());
        }
        if let Some(share) = self.top_p {
            options = options.top_p(share);
        }
        let text = characters.text(&model.generate(&prompt, &options)?)?;
        if self.json {
            return output::print_json(&json!({
                "device": device.name(), "prompt": self.prompt, "text": text,
            }));
        }
        output::print_text(&format!("{}{text}\n", self.prompt))
    }
}
