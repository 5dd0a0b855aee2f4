//! Models of text: their characters, and files for them.

use std::path::Path;

use gradus::data::text::{Characters, sequences};
use gradus::losses::LossDefinition;
use gradus::{Error, Model, cases, text};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::output::{Failure, Outcome};

/// The content of a text file in UTF-8, without the byte order mark at its beginning: that is no
/// character of the text.
pub fn read(path: &Path) -> Outcome<String> {
    let mut text = std::fs::read_to_string(path)
        .map_err(|source| Failure::from(Error::Io { path: path.into(), source }).of("--text"))?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if text.is_empty() {
        return Err(Failure::Failed(format!("--text: {}: it is empty", path.display())));
    }
    Ok(text)
}

/// The characters of a saved model, and how many it sees at once.
pub fn characters(model: &Model, path: &Path) -> Outcome<(Characters, usize)> {
    let known = model.context().zip(Characters::from_names(&model.names().classes).ok());
    known.map(|(context, characters)| (characters, context)).ok_or_else(|| {
        Failure::Failed(format!(
            "{}: the model is not of text; `gradus train --model gpt --text FILE` makes one",
            path.display()
        ))
    })
}

/// Rejects a model of text where rows of numbers are wanted.
pub fn refuse(model: &Model, path: &Path, instead: &str) -> Outcome {
    match model.context() {
        Some(_) => {
            Err(Failure::Failed(format!("{}: the model is of text; {instead}", path.display())))
        }
        None => Ok(()),
    }
}

/// exp of a mean cross-entropy; none for another loss.
pub fn perplexity(loss: &dyn LossDefinition, value: f64) -> Option<f64> {
    let is_plain = loss.name() == "cross_entropy"
        && loss.options()["label_smoothing"].as_f64().unwrap_or(0.0) == 0.0;
    is_plain.then(|| value.exp())
}

/// Quality of a model of text on sequences.
pub struct Measured {
    pub sequences: usize,
    pub loss: f64,
    pub accuracy: Option<f64>,
    pub perplexity: Option<f64>,
}

impl Measured {
    /// Measures a model on sequences and the characters that follow.
    pub fn of(model: &mut Model, x: &Array2<f32>, y: &Array2<i64>) -> Outcome<Self> {
        let score = model.evaluate(x, y)?;
        let perplexity = model.loss().and_then(|loss| perplexity(loss, score.loss));
        let (loss, accuracy) = (score.loss, score.accuracy);
        Ok(Measured { sequences: x.nrows(), loss, accuracy, perplexity })
    }

    pub fn as_json(&self, model: &Model) -> Value {
        let number = cases::number_to_json;
        json!({
            "device": model.device().name(),
            "sequences": self.sequences,
            "loss": number(self.loss),
            "accuracy": self.accuracy,
            "perplexity": self.perplexity.map(number),
        })
    }

    pub fn in_words(&self) -> String {
        let mut words = format!("loss {}", text::number(self.loss));
        if let Some(accuracy) = self.accuracy {
            words += &format!(", accuracy {:.2} %", 100.0 * accuracy);
        }
        if let Some(perplexity) = self.perplexity {
            words += &format!(", perplexity {}", text::number(perplexity));
        }
        words
    }
}

/// Measures a saved model on a text file.
pub fn measure(model: &mut Model, saved: &Path, path: &Path) -> Outcome<Measured> {
    let (characters, context) = characters(model, saved)?;
    if model.loss().is_none() {
        let message = format!("{}: the model was saved without a loss", saved.display());
        return Err(Failure::Failed(message));
    }
    let failed = |error: Error| Failure::from(error).of("--text");
    let ids = characters.ids(&read(path)?).map_err(failed)?;
    let (x, y) = sequences(&ids, context, context).map_err(failed)?;
    Measured::of(model, &x, &y)
}
