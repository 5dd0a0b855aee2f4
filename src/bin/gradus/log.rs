//! Reports each epoch as it ends: a line on stderr if that is not a terminal, one in the file given
//! by `--log`, and scalars in the folder given by `--tensorboard`.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gradus::{StepReport, TensorBoard, cases, text};
use serde_json::{Map, Value, json};

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
    path: Option<PathBuf>,
    goes_on: bool,
    /// Epochs of a resumed training run, until it is known which of them the file lacks.
    earlier: Vec<Map<String, Value>>,
    /// Opened after the first epoch: a rejected training run leaves an earlier log unchanged.
    file: Option<File>,
    /// First write error: training continues, and the command ends with this error.
    failed: Option<String>,
}

impl Log {
    /// Logs to a file, if given: appends to it if `goes_on`, else overwrites it.
    pub fn new(path: Option<&Path>, goes_on: bool) -> Self {
        let path = path.map(PathBuf::from);
        let shared =
            Shared { path: path.clone(), goes_on, earlier: Vec::new(), file: None, failed: None };
        Log {
            shared: Arc::new(Mutex::new(shared)),
            path,
            tensorboard: None,
            prints: !io::stderr().is_terminal(),
            is_refit: false,
        }
    }

    /// The same log, with an event file in a folder, if given.
    pub fn with_tensorboard(self, folder: Option<&Path>) -> Outcome<Self> {
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
            let figures = numbers
                .iter()
                .map(|(name, value)| format!("{name} {}", text::significant(*value, 5)));
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
        if self.path.is_some() && self.failed.is_none() {
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
        let file = match (&mut self.file, &self.path) {
            (Some(file), _) => file,
            (None, None) => return Ok(()),
            (None, Some(_)) if line.is_none() && earlier.is_empty() => return Ok(()),
            (empty, Some(path)) => {
                let mut file = open(path, self.goes_on)?;
                if !earlier.is_empty() {
                    let found = lines(&mut file)?;
                    earlier.retain(|line| !found.contains(&key(line)));
                }
                empty.insert(file)
            }
        };
        for line in earlier.into_iter().chain(line) {
            file.write_all(format!("{}\n", Value::Object(line)).as_bytes())?;
        }
        file.flush()
    }
}

/// The epochs in a log; other lines are ignored.
fn lines(file: &mut File) -> io::Result<HashSet<(Option<u64>, bool)>> {
    file.seek(SeekFrom::Start(0))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let parsed =
        text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(parsed.map(|line: Map<String, Value>| key(&line)).collect())
}

/// Opens a log. Terminates the partial line of a killed process, so that the next line is separate.
fn open(path: &Path, goes_on: bool) -> io::Result<File> {
    if !goes_on {
        return File::create(path);
    }
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
