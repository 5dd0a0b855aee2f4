//! What is found out about a model of text: which characters its loss comes from, and which of those
//! before raise and lower it.

use std::path::Path;

use gradus::data::text::{Characters, sequences};
use gradus::explain::{Calibration, IntegratedGradients, LossCell, calibration, loss_cells};
use gradus::{Model, RowResults};
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use crate::explain::found::{by_loss, top_share};
use crate::explain::json::{calibration as calibration_as_json, each};
use crate::explain::part::Section;
use crate::output::{Failure, Outcome};
use crate::{language, output};

/// Outputs, a number for each character and class: 256 MiB in f64, of which some copies are made.
const MOST_OUTPUTS: usize = 1 << 25;

/// A character with a large loss.
pub struct LargeToken {
    /// Its place in the text, in characters from 0.
    pub place: usize,
    /// Line and character, from 1.
    pub line: [usize; 2],
    /// The characters that the model saw, by their ids.
    pub seen: Vec<usize>,
    pub target: usize,
    pub predicted: usize,
    pub p: Option<f64>,
    pub loss: f64,
    pub share: f64,
    /// What each of the seen characters adds to the loss, and the loss behind characters of no kind.
    pub parts: Section<Parts>,
}

/// Attributions that add up to a loss.
pub struct Parts {
    pub each: Vec<f64>,
    /// The loss behind the baseline.
    pub baseline: f64,
}

/// Characters that follow between so many others.
pub struct SeenLoss {
    pub seen: [usize; 2],
    pub characters: usize,
    pub mean_loss: f64,
}

/// A character, and the loss where it is the right one.
pub struct CharacterLoss {
    pub character: usize,
    pub rows: usize,
    pub mean_loss: f64,
    pub share: f64,
}

/// Everything.
pub struct TextFound {
    pub loss: String,
    /// Characters that were predicted.
    pub characters: usize,
    /// Characters at the end that make no whole sequence.
    pub left_out: usize,
    pub mean_loss: f64,
    pub perplexity: Option<f64>,
    pub accuracy: f64,
    pub top_shares: [f64; 2],
    pub large: Vec<LargeToken>,
    pub of_characters: Vec<CharacterLoss>,
    pub cells: Vec<LossCell>,
    pub seen: Vec<SeenLoss>,
    pub calibration: Section<Calibration>,
    /// The largest residual of the attributions.
    pub residual: Option<f64>,
    pub names: Vec<String>,
    pub top: usize,
}

impl TextFound {
    pub fn of(model: &mut Model, saved: &Path, path: &Path, top: usize) -> Outcome<Self> {
        let (characters, context) = language::characters(model, saved)?;
        let Some(loss) = model.loss() else {
            let message = format!("{}: the model was saved without a loss", saved.display());
            return Err(Failure::Failed(message));
        };
        let name = loss.name().to_string();
        let failed = |error: gradus::Error| Failure::from(error).of("--text");
        let content = language::read(path)?;
        let ids = characters.ids(&content).map_err(failed)?;
        if ids.len() <= context {
            return Err(Failure::Failed(format!(
                "--text: {}: it has {} characters; the model sees {context} at once and needs {} at least",
                path.display(),
                ids.len(),
                context + 1
            )));
        }
        let (mut x, mut y) = sequences(&ids, context, context).map_err(failed)?;
        let most = (MOST_OUTPUTS / (context * characters.len())).max(1);
        let left_out = ids.len() - 1 - x.len();
        if x.nrows() > most {
            output::note(&format!(
                "note: the first {} of {} characters are explained: more would take too much memory",
                most * context,
                ids.len()
            ));
            x = x.slice_axis(Axis(0), (..most).into()).to_owned();
            y = y.slice_axis(Axis(0), (..most).into()).to_owned();
        }
        let results = model.evaluate_tokens(&x, &y)?;
        let Some(classes) = &results.classes else {
            let message = format!("{}: {name} has no classes", saved.display());
            return Err(Failure::Failed(message));
        };
        let cells = loss_cells(&results.loss, classes)?;
        let right = classes.is_right().filter(|right| *right).count();
        let (large, residual) = large(model, &results, (&x, &y), &content, top)?;
        let mean_loss = results.mean_loss();
        Ok(TextFound {
            loss: name,
            characters: results.rows(),
            left_out,
            mean_loss,
            perplexity: model.loss().and_then(|loss| language::perplexity(loss, mean_loss)),
            accuracy: right as f64 / results.rows() as f64,
            top_shares: [0.01, 0.1].map(|share| top_share(&results.loss, share)),
            large,
            of_characters: of_characters(&cells, characters.len()),
            seen: by_seen(&results.loss, context),
            calibration: calibration(classes).map_err(|error| error.to_string()),
            cells,
            residual,
            names: Characters::names(&characters),
            top,
        })
    }

    /// A character as it is shown: what is no letter of its own by its escape.
    pub fn shown(&self, character: usize) -> String {
        match self.names.get(character).map(String::as_str) {
            Some(" ") => "space".into(),
            Some(name) => escaped(name),
            None => character.to_string(),
        }
    }

    /// Characters as a text on one line.
    pub fn text(&self, ids: &[usize]) -> String {
        ids.iter().filter_map(|&id| self.names.get(id)).map(|name| escaped(name)).collect()
    }

    /// As one JSON document.
    pub fn as_json(&self, device: &str) -> Value {
        let name = |id: usize| self.names.get(id).cloned().unwrap_or_default();
        let large = |large: &LargeToken| {
            let (parts, why_not) = match &large.parts {
                Ok(parts) => (Some(parts), None),
                Err(reason) => (None, Some(reason)),
            };
            json!({
                "place": large.place, "line": large.line[0], "column": large.line[1],
                "before": large.seen.iter().map(|&id| name(id)).collect::<String>(),
                "target": name(large.target), "predicted": name(large.predicted),
                "target_probability": large.p, "loss": large.loss, "share_of_loss": large.share,
                "baseline_loss": parts.map(|parts| parts.baseline),
                "attributions": parts.map(|parts| &parts.each), "why_no_attributions": why_not,
            })
        };
        let cell = |cell: &LossCell| {
            json!({
                "target": name(cell.target), "predicted": name(cell.predicted), "count": cell.rows,
                "mean_loss": cell.mean_loss, "share_of_loss": cell.share,
            })
        };
        let of_character = |of: &CharacterLoss| {
            json!({
                "character": name(of.character), "count": of.rows, "mean_loss": of.mean_loss,
                "share_of_loss": of.share,
            })
        };
        let seen = |of: &SeenLoss| json!({ "seen": of.seen, "count": of.characters, "mean_loss": of.mean_loss });
        let (calibration, why_not) = match each(&self.calibration, calibration_as_json) {
            Ok(found) => (found, Value::Null),
            Err(reason) => (Value::Null, json!(reason)),
        };
        json!({
            "device": device,
            "characters": self.characters,
            "left_out": self.left_out,
            "loss": self.loss,
            "mean_loss": self.mean_loss,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "share_of_top_1_percent": self.top_shares[0],
            "share_of_top_10_percent": self.top_shares[1],
            "largest_losses": self.large.iter().map(large).collect::<Vec<_>>(),
            "largest_residual": self.residual,
            "by_character": self.of_characters.iter().map(of_character).collect::<Vec<_>>(),
            "class_pairs": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "by_characters_seen": self.seen.iter().map(seen).collect::<Vec<_>>(),
            "calibration": calibration,
            "why_not": { "calibration": why_not },
        })
    }
}

fn escaped(name: &str) -> String {
    let shown = |character: char| match character {
        '"' | '\'' => character.to_string(),
        character => character.escape_debug().to_string(),
    };
    name.chars().map(shown).collect()
}

/// The characters with the largest loss, what those before add to it, and the largest residual.
fn large(
    model: &mut Model,
    results: &RowResults,
    (x, y): (&Array2<f32>, &Array2<i64>),
    content: &str,
    top: usize,
) -> Outcome<(Vec<LargeToken>, Option<f64>)> {
    let context = x.ncols();
    let Some(classes) = &results.classes else { return Ok((Vec::new(), None)) };
    let order: Vec<usize> = by_loss(&results.loss).into_iter().take(top).collect();
    let rows: Vec<usize> = order.iter().map(|token| token / context).collect();
    let (parts, residual) = match ignored(model) {
        Some(ignored) => {
            let mut labels = Array2::from_elem((order.len(), context), ignored);
            for (row, &token) in order.iter().enumerate() {
                let place = token % context;
                labels[[row, place]] = y[[token / context, place]];
            }
            let seen = x.select(Axis(0), &rows);
            match IntegratedGradients::new().attribute_tokens(model, &seen, &labels) {
                Ok(found) => {
                    let residual = found.largest_residual();
                    (Ok(found), Some(residual))
                }
                Err(error) => (Err(error.to_string()), None),
            }
        }
        None => (
            Err("that takes a loss with a label that it ignores, as cross_entropy".to_string()),
            None,
        ),
    };
    let all: f64 = results.loss.iter().sum();
    let of = |(row, &token): (usize, &usize)| {
        let seen = token % context + 1;
        let place = token + 1;
        let before = content.chars().take(place);
        let target = classes.target[token];
        LargeToken {
            place,
            line: line_of(before),
            seen: (0..seen).map(|at| x[[token / context, at]] as usize).collect(),
            target,
            predicted: classes.predicted[token],
            p: classes.probabilities.as_ref().map(|all| all[[token, target]]),
            loss: results.loss[token],
            share: if all == 0.0 { 0.0 } else { results.loss[token] / all },
            parts: match &parts {
                Ok(found) => Ok(Parts {
                    each: found.values.row(row).iter().take(seen).copied().collect(),
                    baseline: found.baseline_loss[row],
                }),
                Err(reason) => Err(reason.clone()),
            },
        }
    };
    Ok((order.iter().enumerate().map(of).collect(), residual))
}

/// A label that the model's loss ignores.
fn ignored(model: &Model) -> Option<i64> {
    let options = model.loss()?.options();
    match &options["ignore_index"] {
        Value::Array(all) => all.first()?.as_i64(),
        one => one.as_i64(),
    }
}

/// Line and character of what follows, from 1.
fn line_of(before: impl Iterator<Item = char>) -> [usize; 2] {
    before.fold([1, 1], |[line, column], character| match character {
        '\n' => [line + 1, 1],
        _ => [line, column + 1],
    })
}

/// The loss of each character that is a target, the largest share first.
fn of_characters(cells: &[LossCell], count: usize) -> Vec<CharacterLoss> {
    let mut all: Vec<CharacterLoss> = (0..count)
        .map(|character| {
            let own = || cells.iter().filter(|cell| cell.target == character);
            let rows: usize = own().map(|cell| cell.rows).sum();
            let sum: f64 = own().map(|cell| cell.rows as f64 * cell.mean_loss).sum();
            let share = own().map(|cell| cell.share).sum();
            CharacterLoss { character, rows, mean_loss: sum / rows.max(1) as f64, share }
        })
        .filter(|of| of.rows > 0)
        .collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// The mean loss by how many characters were seen: 1, 2, 3 to 4, 5 to 8 and so on.
fn by_seen(losses: &[f64], context: usize) -> Vec<SeenLoss> {
    let mut all = Vec::new();
    let (mut first, mut last) = (1, 1);
    while first <= context {
        let seen = [first, last.min(context)];
        let own = losses.iter().enumerate().filter(|(token, _)| {
            let number = token % context + 1;
            (seen[0]..=seen[1]).contains(&number)
        });
        let (characters, sum) =
            own.fold((0_usize, 0.0), |(count, sum), (_, loss)| (count + 1, sum + loss));
        all.push(SeenLoss { seen, characters, mean_loss: sum / characters.max(1) as f64 });
        (first, last) = (last + 1, last * 2);
    }
    all
}
