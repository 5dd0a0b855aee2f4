//! Reports each epoch as it ends: a line on stderr if that is not a terminal, one in the file given
//! by `--log`, and scalars in the folder given by `--tensorboard`.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gradus::{StepReport, TensorBoard, cases, text};
use serde_json::{Map, Value, json};

use crate::lines::LineFile;
use crate::output::{self, Failure, Outcome};

/// Log of the epochs of a training run. Clones write to the same file.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Mutex<Shared>>,
    path: Option<PathBuf>,
    tensorboard: Option<TensorBoard>,
    /// Print lines on stderr; a terminal shows the progress bar instead.
    prints: bool,
    /// True for the final training on all rows, after the test.
    is_refit: bool,
}

struct Shared {
    goes_on: bool,
    /// Epochs of a resumed training run, until it is known which of them the file lacks.
    earlier: Vec<Map<String, Value>>,
    /// Held from the beginning, and changed after the first epoch: a rejected training run leaves an
    /// earlier log as it was.
    file: Option<LineFile>,
    /// First write error: training continues, and the command ends with this error.
    failed: Option<String>,
}

impl Log {
    /// Logs to a file, if given: appends to it if `goes_on`, else overwrites it.
    ///
    /// # Errors
    /// A file that another training run writes to, by the number of its process.
    pub fn new(path: Option<&Path>, goes_on: bool) -> Outcome<Self> {
        let file = path.map(LineFile::hold).transpose();
        let file = file.map_err(|error| Failure::from(error).of("--log"))?;
        let shared = Shared { goes_on, earlier: Vec::new(), file, failed: None };
        Ok(Log {
            shared: Arc::new(Mutex::new(shared)),
            path: path.map(PathBuf::from),
            tensorboard: None,
            prints: !io::stderr().is_terminal(),
            is_refit: false,
        })
    }

    /// The same log, with an event file in a folder, if given.
    pub fn with_tensorboard(self, folder: Option<&Path>) -> Outcome<Self> {
        if folder == Some(Path::new("-")) {
            let message = "--tensorboard: -: standard output takes no folder; name one";
            return Err(Failure::Failed(message.into()));
        }
        let tensorboard = folder.map(TensorBoard::new).transpose();
        let tensorboard = tensorboard.map_err(|error| Failure::from(error).of("--tensorboard"))?;
        Ok(Log { tensorboard, ..self })
    }

    /// Reports a step of an epoch, numbered from 1; losses are in `unit`.
    pub fn step(&self, epoch: usize, report: &StepReport, unit: f64) {
        if let Some(tensorboard) = &self.tensorboard {
            let mut report = *report;
            report.loss *= unit;
            tensorboard.step(epoch, &report);
        }
    }

    /// The same log, for the training on all rows.
    pub fn of_refit(&self) -> Self {
        Log { is_refit: true, ..self.clone() }
    }

    /// Sets the epochs of a resumed training run, ending with number `last`. Those that the file
    /// lacks are written before the next epoch: a killed process may have saved an epoch that it
    /// had not logged yet.
    pub fn behind(&self, last: usize, epochs: Vec<Vec<(&'static str, f64)>>) {
        let first = 1 + last.saturating_sub(epochs.len());
        // Their durations are not saved.
        let line = |(number, numbers)| self.line(number, numbers, Value::Null);
        let earlier = (first..).zip(epochs).map(line).collect();
        if let Ok(mut shared) = self.shared.lock() {
            shared.earlier = earlier;
        }
    }

    /// Writes the missing epochs of a resumed training run if no further epoch follows.
    pub fn catch_up(&self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.write(None);
        }
    }

    fn line(
        &self,
        number: usize,
        numbers: Vec<(&'static str, f64)>,
        seconds: Value,
    ) -> Map<String, Value> {
        let mut line = Map::from_iter([("epoch".to_string(), json!(number))]);
        if self.is_refit {
            line.insert("refit".into(), json!(true));
        }
        line.extend(
            numbers
                .into_iter()
                .map(|(name, value)| (name.to_string(), cases::number_to_json(value))),
        );
        line.insert("seconds".into(), seconds);
        line
    }

    /// Reports epoch `number` (from 1) of `planned`; `numbers` are its metrics by name.
    pub fn report(
        &self,
        number: usize,
        planned: usize,
        numbers: Vec<(&'static str, f64)>,
        seconds: f64,
    ) {
        if let Some(tensorboard) = &self.tensorboard {
            let seconds = ("seconds", seconds);
            tensorboard.numbers("epoch", number as u64, numbers.iter().copied().chain([seconds]));
        }
        if self.prints {
            let figures = numbers.iter().map(|(name, value)| match *name {
                "skipped" => format!("{name} {value}"),
                _ => format!("{name} {}", text::significant(*value, 5)),
            });
            let (figures, word) = (
                figures.collect::<Vec<_>>().join(", "),
                if self.is_refit { "refit epoch" } else { "epoch" },
            );
            output::note(&format!(
                "{word} {number} of {planned}: {figures} ({})",
                text::seconds(seconds)
            ));
        }
        let line = self.line(number, numbers, json!(seconds));
        if let Ok(mut shared) = self.shared.lock() {
            shared.write(Some(line));
        }
    }

    /// Returns the first write error.
    pub fn close(&self) -> Outcome {
        if let Some(tensorboard) = &self.tensorboard {
            tensorboard.close().map_err(|error| Failure::from(error).of("--tensorboard"))?;
        }
        let failed = self.shared.lock().ok().and_then(|mut shared| shared.failed.take());
        match (failed, &self.path) {
            (Some(error), Some(path)) => Err(Failure::Failed(format!(
                "--log: {}: {error}; the epochs from there on are not in it",
                path.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// Identifies a line of the file: epoch number, and whether it belongs to the training on all rows.
fn key(line: &Map<String, Value>) -> (Option<u64>, bool) {
    (line.get("epoch").and_then(Value::as_u64), line.get("refit") == Some(&json!(true)))
}

impl Shared {
    /// Writes a line, preceded by the missing lines of a resumed training run.
    fn write(&mut self, line: Option<Map<String, Value>>) {
        if self.file.is_some() && self.failed.is_none() {
            self.failed = self.written(line).err().map(|error| error.to_string());
        }
    }

    fn written(&mut self, line: Option<Map<String, Value>>) -> io::Result<()> {
        let mut earlier = std::mem::take(&mut self.earlier);
        // On other rows a new training run begins and counts from 1.
        let goes_on = |line: &Map<String, Value>| {
            earlier.last().is_some_and(|last| key(last).0 < key(line).0)
        };
        if !line.as_ref().is_none_or(goes_on) {
            earlier.clear();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if line.is_none() && earlier.is_empty() && !file.is_begun() {
            return Ok(());
        }
        if !file.is_begun() {
            let cut = file.begin(self.goes_on)?;
            if let Some(cut) = cut {
                output::note(&format!("--log: {cut}"));
            }
        }
        if !earlier.is_empty() {
            let found = lines(&file.content()?);
            earlier.retain(|line| !found.contains(&key(line)));
        }
        for line in earlier.into_iter().chain(line) {
            file.append(&Value::Object(line).to_string())?;
        }
        Ok(())
    }
}

/// The epochs in a log; other lines are ignored.
fn lines(text: &[u8]) -> HashSet<(Option<u64>, bool)> {
    let parsed =
        text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    parsed.map(|line: Map<String, Value>| key(&line)).collect()
}
