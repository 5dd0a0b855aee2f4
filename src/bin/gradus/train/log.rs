//! Each epoch as it ends: a line on stderr where that is no terminal, and one in the file that `--log` names.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gradus::{Epoch, Fit, cases, text};
use serde_json::{Map, Value, json};

use crate::output::{self, Failure, Outcome};

/// What is told of epochs while a training runs.
pub struct Log {
    shared: Arc<Mutex<Shared>>,
    path: Option<PathBuf>,
}

struct Shared {
    path: Option<PathBuf>,
    goes_on: bool,
    /// Opened when the first epoch is over: a training that is refused leaves an earlier log as it was.
    file: Option<File>,
    /// The first line that could not be written: the training goes on, and the command ends with it.
    failed: Option<String>,
}

impl Log {
    /// To a file, if there is one: behind its lines where a training goes on, else anew.
    pub fn new(path: Option<&Path>, goes_on: bool) -> Self {
        let path = path.map(PathBuf::from);
        let shared = Shared { path: path.clone(), goes_on, file: None, failed: None };
        Log { shared: Arc::new(Mutex::new(shared)), path }
    }

    /// Tells of each epoch of a training of so many; losses are given in the unit of the targets, of which one of the encoded is `unit`.
    pub fn watch(&self, fit: Fit, planned: usize, unit: f64) -> Fit {
        let shared = self.shared.clone();
        // A terminal has the bar.
        let tells = !std::io::stderr().is_terminal();
        if self.path.is_none() && !tells {
            return fit;
        }
        fit.on_epoch(move |number, epoch| {
            let mut epoch = epoch.clone();
            epoch.loss *= unit;
            epoch.val_loss = epoch.val_loss.map(|loss| loss * unit);
            if tells {
                output::note(&in_words(number, planned, &epoch));
            }
            if let Ok(mut shared) = shared.lock() {
                shared.write(number, &epoch);
            }
            ControlFlow::Continue(())
        })
    }

    /// What could not be written.
    pub fn close(&self) -> Outcome {
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

impl Shared {
    fn write(&mut self, number: usize, epoch: &Epoch) {
        if self.path.is_some() && self.failed.is_none() {
            self.failed = self.written(&as_json(number, epoch)).err().map(|error| error.to_string());
        }
    }

    fn written(&mut self, line: &Value) -> io::Result<()> {
        let file = match (&mut self.file, &self.path) {
            (Some(file), _) => file,
            (empty, Some(path)) => empty.insert(open(path, self.goes_on)?),
            (None, None) => return Ok(()),
        };
        file.write_all(format!("{line}\n").as_bytes())?;
        file.flush()
    }
}

/// Opens a log. What a process that was killed has left of a line gets an end, so that the next one stands by itself.
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

/// The numbers of an epoch that it has.
fn numbers(epoch: &Epoch) -> Vec<(&'static str, f64)> {
    let all = [
        ("loss", Some(epoch.loss)),
        ("accuracy", epoch.accuracy),
        ("r2", epoch.r2),
        ("val_loss", epoch.val_loss),
        ("val_accuracy", epoch.val_accuracy),
        ("val_r2", epoch.val_r2),
        ("learning_rate", epoch.learning_rate),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn in_words(number: usize, planned: usize, epoch: &Epoch) -> String {
    let told: Vec<String> =
        numbers(epoch).into_iter().map(|(name, value)| format!("{name} {}", text::significant(value, 5))).collect();
    format!("epoch {number} of {planned}: {} ({})", told.join(", "), text::seconds(epoch.seconds))
}

fn as_json(number: usize, epoch: &Epoch) -> Value {
    let mut document = Map::from_iter([("epoch".to_string(), json!(number))]);
    document.extend(numbers(epoch).into_iter().map(|(name, value)| (name.to_string(), cases::number_to_json(value))));
    document.insert("seconds".into(), json!(epoch.seconds));
    if epoch.skipped > 0 {
        document.insert("skipped".into(), json!(epoch.skipped));
    }
    Value::Object(document)
}
