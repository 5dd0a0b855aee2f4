//! `gradus predict`: predictions of a saved model for the rows of a data set.

use std::path::PathBuf;

use clap::Args;
use gradus::Model;
use gradus::data::{Dataset, Encoding, Target, TargetEncoding};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::source::Source;
use crate::scores::{in_unit, label_names, largest, output_names, threshold};
use crate::{language, output, probabilities, saved};

/// Predicts the rows of a data set with a saved model
#[derive(Args)]
pub struct Predict {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// class: the most likely one; probabilities: of each class; raw: the outputs of the last
    /// layer; top:K: the K most likely classes with their probabilities [default: the class, or the
    /// number]
    #[arg(long, value_name = "WHAT", value_parser = output_kind)]
    output: Option<Output>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Prints a table with a header on stdout, for any --output
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Output for each row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Output {
    Class,
    Probabilities,
    Raw,
    Top(usize),
}

fn output_kind(text: &str) -> Result<Output, String> {
    match text {
        "class" => Ok(Output::Class),
        "probabilities" => Ok(Output::Probabilities),
        "raw" => Ok(Output::Raw),
        _ => {
            let count = text
                .strip_prefix("top:")
                .and_then(|count| count.parse().ok())
                .filter(|count| *count > 0);
            count.map(Output::Top).ok_or_else(|| {
                "it must be class, probabilities, raw or top:K, such as top:3".into()
            })
        }
    }
}

/// Named columns, and the cells of the rows as text or JSON.
struct Predictions {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// True if each row is a single value, without column names.
    is_plain: bool,
}

impl Predict {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        if self.source.text().is_some() {
            let name = self.model.display();
            return Err(Failure::Usage(format!(
                "--text: `gradus generate {name} --prompt TEXT` goes on from a text; leave --text out"
            )));
        }
        let device = self.device.open(false)?;
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        let name = self.model.display();
        let advice = format!("`gradus generate {name} --prompt TEXT` asks it");
        language::refuse(&model, &self.model, &advice)?;
        let rows = self.source.read_for(&model)?;
        if let Some(reason) = &rows.no_targets {
            output::note(&format!("note: predictions are compared with no targets: {reason}"));
        }
        let outputs = model.predict(&rows.dataset.features)?;
        let accuracy = accuracy(&model, &rows.dataset, &outputs);
        if let Some(accuracy) = accuracy {
            output::note(&format!(
                "accuracy: {:.2} % of {} rows",
                100.0 * accuracy,
                rows.dataset.rows()
            ));
        }
        let predictions = self.predictions(&model, rows.encoding.as_ref(), &outputs)?;
        if self.json {
            return output::print_json(&json!({
                "device": device.name(), "predictions": predictions.as_json(), "accuracy": accuracy,
            }));
        }
        output::print(&if predictions.is_plain && !self.csv {
            predictions.as_lines()
        } else {
            predictions.as_csv()
        })
    }

    fn predictions(
        &self,
        model: &Model,
        encoding: Option<&Encoding>,
        outputs: &Array2<f32>,
    ) -> Outcome<Predictions> {
        let is_labels =
            matches!(encoding.map(Encoding::target), Some(TargetEncoding::Flags { .. }));
        let is_classes = model.predicts_classes() && !is_labels;
        let names = class_names(model, encoding);
        let numbers = |values: &Array2<f64>| {
            values.rows().into_iter().map(|row| row.iter().map(|&x| short(x)).collect()).collect()
        };
        match self.output {
            None | Some(Output::Class) if is_classes => {
                let rows = largest(outputs).into_iter().map(|class| vec![class_value(&names, class)]).collect();
                Ok(Predictions { names: vec![target_name(encoding, "class")], rows, is_plain: true })
            }
            None if is_labels => Ok(Predictions {
                names: label_names(encoding, outputs.ncols()),
                rows: outputs.rows().into_iter().map(|row| row.iter().map(|&x| json!(u8::from(x > threshold(model)))).collect()).collect(),
                is_plain: false,
            }),
            None => {
                let decoded = in_unit(model, encoding, outputs);
                // Outputs of standardized targets carry the roundings of sums of about 1, so a small
                // one has no more decimals than 1 has; any other output has its own.
                let is_standardized =
                    ndarray::Zip::from(&decoded).and(outputs).any(|&number, &x| number != f64::from(x));
                let least = if is_standardized { 1.0 } else { 0.0 };
                let step = |x: f32| {
                    let size = x.abs().max(least);
                    x + x.signum() * (size.next_up() - size)
                };
                let gaps = (&decoded - &in_unit(model, encoding, &outputs.mapv(step))).mapv(f64::abs);
                let cells = |(row, gaps): (ndarray::ArrayView1<f64>, ndarray::ArrayView1<f64>)| {
                    row.iter().zip(gaps).map(|(&number, &gap)| within(number, gap / 2.0)).collect()
                };
                let rows = decoded.rows().into_iter().zip(gaps.rows()).map(cells).collect();
                Ok(Predictions { names: output_names(encoding, outputs.ncols()), rows, is_plain: true })
            }
            Some(Output::Raw) => {
                let columns = if is_classes { names } else { output_names(encoding, outputs.ncols()) };
                Ok(Predictions { names: columns, rows: numbers(&outputs.mapv(f64::from)), is_plain: false })
            }
            Some(Output::Probabilities) if is_classes || is_labels => {
                let found = probabilities::of(model, outputs, is_classes)?;
                let columns = if is_labels { label_names(encoding, outputs.ncols()) } else { names };
                Ok(Predictions { names: columns, rows: numbers(&found), is_plain: false })
            }
            Some(Output::Top(count)) if is_classes => {
                Ok(top(&names, &probabilities::of(model, outputs, true)?, count))
            }
            Some(_) if is_labels => Err(Failure::Usage(
                "--output: the model answers each label by itself; allowed: raw, probabilities, or nothing for the labels".into(),
            )),
            Some(_) => Err(Failure::Usage(
                "--output: the model predicts no classes; allowed: raw, or nothing for the predictions in the target's unit".into(),
            )),
        }
    }
}

impl Predictions {
    fn as_lines(&self) -> String {
        let line = |row: &Vec<Value>| row.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n";
        self.rows.iter().map(line).collect()
    }

    fn as_csv(&self) -> String {
        let names = self.names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",");
        let line = |row: &Vec<Value>| {
            row.iter().map(|cell| quoted(&plain(cell))).collect::<Vec<_>>().join(",") + "\n"
        };
        format!("{names}\n{}", self.rows.iter().map(line).collect::<String>())
    }

    fn as_json(&self) -> Value {
        if !self.is_plain {
            let object = |row: &Vec<Value>| {
                self.names.iter().cloned().zip(row.iter().cloned()).collect::<Value>()
            };
            return self.rows.iter().map(object).collect();
        }
        self.rows
            .iter()
            .map(|row| if let [one] = &row[..] { one.clone() } else { json!(row) })
            .collect()
    }
}

/// The most likely classes of each row with their probabilities.
fn top(names: &[String], probabilities: &Array2<f64>, count: usize) -> Predictions {
    let count = count.min(probabilities.ncols());
    let row = |row: ndarray::ArrayView1<f64>| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&one, &other| row[other].total_cmp(&row[one]));
        order
            .into_iter()
            .take(count)
            .flat_map(|class| [class_value(names, class), short(row[class])])
            .collect()
    };
    let headings = (1..=count)
        .flat_map(|place| [format!("class {place}"), format!("probability {place}")])
        .collect();
    Predictions {
        names: headings,
        rows: probabilities.rows().into_iter().map(row).collect(),
        is_plain: false,
    }
}

/// A number in the fewest digits that give the same f32, the type it was computed in; all digits if
/// it is beyond f32.
fn short(number: f64) -> Value {
    let narrow = number as f32;
    let text = if narrow.is_finite() { narrow.to_string() } else { number.to_string() };
    text.parse::<f64>().map_or(Value::Null, |number| json!(number))
}

/// A number in the fewest digits that are nearer to it than `most`: half of the step between two
/// f32 outputs of the model, in the number's unit.
fn within(number: f64, most: f64) -> Value {
    let rounded = |digits: usize| format!("{number:.digits$e}").parse().ok();
    let found = (0..17).filter_map(rounded).find(|found: &f64| (found - number).abs() < most);
    json!(found.unwrap_or(number))
}

fn plain(cell: &Value) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), String::from)
}

/// A field of a CSV file, quoted if necessary.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

/// Class names, if the training data had names; else class numbers.
pub fn class_names(model: &Model, encoding: Option<&Encoding>) -> Vec<String> {
    let encoded = encoding.map_or(&[][..], |encoding| encoding.target().classes());
    let saved = &model.names().classes[..];
    match [encoded, saved].into_iter().find(|names| names.len() == model.outputs()) {
        Some(names) => names.to_vec(),
        None => (0..model.outputs()).map(|class| class.to_string()).collect(),
    }
}

/// A class as a number if all classes are canonical whole numbers, else as text: `007` is a name.
fn class_value(names: &[String], class: usize) -> Value {
    let number =
        |name: &String| name.parse().ok().filter(|number: &i64| number.to_string() == *name);
    let numbers: Option<Vec<i64>> = names.iter().map(number).collect();
    numbers.map_or_else(|| json!(names[class]), |numbers| json!(numbers[class]))
}

fn target_name(encoding: Option<&Encoding>, other: &str) -> String {
    match encoding.map_or(&[][..], |encoding| encoding.target().columns()) {
        [one] => one.clone(),
        _ => other.into(),
    }
}

/// Accuracy; none unless both the model and the rows have classes.
fn accuracy(model: &Model, rows: &Dataset, outputs: &Array2<f32>) -> Option<f64> {
    let Target::Labels { labels, .. } = &rows.target else { return None };
    let right = |classes: Vec<usize>| {
        classes.iter().zip(labels).filter(|(class, label)| **class as i64 == **label).count()
    };
    model.predicts_classes().then(|| right(largest(outputs)) as f64 / rows.rows().max(1) as f64)
}
