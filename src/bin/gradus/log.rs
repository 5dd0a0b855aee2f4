//! Each epoch as it ends: a line on stderr where that is no terminal, and one in the file that `--log` names.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gradus::{cases, text};
use serde_json::{Map, Value, json};

use crate::output::{self, Failure, Outcome};

/// What is told of epochs while a training runs. A copy tells to the same file.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Mutex<Shared>>,
    path: Option<PathBuf>,
    /// A terminal has the bar.
    tells: bool,
    /// The training is one on everything, behind the test.
    is_refit: bool,
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
        Log { shared: Arc::new(Mutex::new(shared)), path, tells: !io::stderr().is_terminal(), is_refit: false }
    }

    /// The same, of a training on everything.
    pub fn of_refit(&self) -> Self {
        Log { is_refit: true, ..self.clone() }
    }

    /// Tells of the epoch of a number, counted from 1, of so many; `numbers` are those that it has, by their names.
    pub fn tell(&self, number: usize, planned: usize, numbers: Vec<(&'static str, f64)>, seconds: f64) {
        if self.tells {
            let told = numbers.iter().map(|(name, value)| format!("{name} {}", text::significant(*value, 5)));
            let (told, word) =
                (told.collect::<Vec<_>>().join(", "), if self.is_refit { "refit epoch" } else { "epoch" });
            output::note(&format!("{word} {number} of {planned}: {told} ({})", text::seconds(seconds)));
        }
        let mut line = Map::from_iter([("epoch".to_string(), json!(number))]);
        if self.is_refit {
            line.insert("refit".into(), json!(true));
        }
        line.extend(numbers.into_iter().map(|(name, value)| (name.to_string(), cases::number_to_json(value))));
        line.insert("seconds".into(), json!(seconds));
        if let Ok(mut shared) = self.shared.lock() {
            shared.write(&Value::Object(line));
        }
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
    fn write(&mut self, line: &Value) {
        if self.path.is_some() && self.failed.is_none() {
            self.failed = self.written(line).err().map(|error| error.to_string());
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
