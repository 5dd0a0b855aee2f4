//! The file of a study: Optuna's `JournalStorage`, JSON lines that are only appended.
//!
//! A search that is run again over its own file does not append what is there already: each line
//! that it would write is compared with the line in the file, times aside. So a search that was
//! ended at any moment goes on exactly where it ended. Lines of others, as of Optuna going on with
//! the study, stand between its own and are observations.

mod line;
pub(in crate::tune) mod lock;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use serde_json::{Map, Value, json};

use crate::tune::journal::line::{number, parse, written};
use crate::tune::journal::lock::Lock;
use crate::tune::space::{Configuration, Domain, Space};
use crate::{Error, Result};

/// Who wrote a line, and the default name of a study.
const WORKER: &str = "gradus";

/// How the lines of a journal begin, those of Optuna too.
const BEGINNING: &str = "{\"op_code\":";

/// Study attributes that tell of the file and decide nothing: another version, another result of
/// the same study that went on.
const ASIDE: [&str; 3] = ["written_by", "rungs", "result"];

/// How a trial ended, by Optuna's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete = 1,
    Pruned = 2,
}

/// A line to write; trials are counted among those of this search.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Attribute(&'static str, Value),
    /// The next trial.
    Create,
    Parameter(usize, usize, f64),
    TrialAttribute(usize, &'static str, Value),
    Intermediate(usize, usize, f64),
    End(usize, Ending, f64),
}

/// What the file has of a trial of this search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub values: BTreeMap<usize, f64>,
    pub ended: bool,
}

/// A finished trial of somebody else.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub configuration: Configuration,
    pub value: f64,
}

/// A trial while lines are read.
#[derive(Clone, Debug)]
struct Reading {
    /// Its number in this search, or none if somebody else made it.
    own: Option<usize>,
    parameters: Vec<Option<f64>>,
    values: BTreeMap<usize, f64>,
}

/// A line of this search in the file.
#[derive(Clone, Debug)]
struct OwnLine {
    number: usize,
    content: Value,
}

/// A study in a file, or in memory alone.
#[derive(Debug)]
pub(crate) struct Journal {
    path: Option<PathBuf>,
    name: String,
    space: Space,
    study: Option<usize>,
    studies: usize,
    own_lines: Vec<OwnLine>,
    cursor: usize,
    trials: BTreeMap<usize, Reading>,
    /// The file's number of each trial of this search.
    ids: Vec<usize>,
    /// Number of trials in the file, of all studies.
    created: usize,
    recorded: Vec<Recorded>,
    foreign: Vec<Foreign>,
    lines: usize,
    length: u64,
    pending: Vec<Entry>,
    /// Held until the next commit.
    held: Option<Lock>,
}

impl Journal {
    /// Opens the file of a study, or makes it; none is in memory alone. A last line that is cut off
    /// is removed.
    pub fn open(path: Option<&Path>, space: &Space) -> Result<Self> {
        let mut journal = Journal {
            path: path.map(Path::to_path_buf),
            name: WORKER.into(),
            space: space.clone(),
            study: None,
            studies: 0,
            own_lines: Vec::new(),
            cursor: 0,
            trials: BTreeMap::new(),
            ids: Vec::new(),
            created: 0,
            recorded: Vec::new(),
            foreign: Vec::new(),
            lines: 0,
            length: 0,
            pending: Vec::new(),
            held: None,
        };
        let Some(path) = journal.path.clone() else { return Ok(journal) };
        let failed = |source| Error::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let _lock = Lock::acquire(&path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Before anything is cut: a file of another kind stays as it is.
        journal.take(&text[..whole])?;
        let torn = &text[whole..];
        if !torn.is_empty() {
            let shared = torn.len().min(BEGINNING.len());
            if torn[..shared] != BEGINNING.as_bytes()[..shared] {
                return Err(journal.no_line(journal.lines + 1));
            }
            file.set_len(whole as u64).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        Ok(journal)
    }

    fn no_line(&self, line: usize) -> Error {
        Error::Data {
            path: self.path.clone().unwrap_or_default(),
            position: format!("line {line}"),
            found: "no line of a journal".into(),
            expected: "a file written by `gradus tune` or by Optuna's JournalStorage".into(),
        }
    }

    /// True if the file has lines of this search that were not gone through yet.
    pub fn replays(&self) -> bool {
        self.cursor < self.own_lines.len()
    }

    /// Number of trials of this search in the file.
    pub fn trials(&self) -> usize {
        self.recorded.len()
    }

    /// What the file has of a trial.
    pub fn recorded(&self, trial: usize) -> Option<&Recorded> {
        self.recorded.get(trial)
    }

    /// The number that the file has of a bracket that is still to be gone through: of its `trials`,
    /// or of the finished trials of others, `foreign`, that it took into account.
    fn noted(&self, bracket: usize, name: &str) -> Option<usize> {
        let left = self.own_lines.get(self.cursor..).unwrap_or_default();
        left.iter().find_map(|line| {
            let noted = &line.content["user_attr"]["bracket"];
            let number = noted[name].as_u64().filter(|_| noted["number"] == json!(bracket));
            number.map(|number| number as usize)
        })
    }

    /// The number of trials of a bracket in the file: a larger budget would draw more.
    pub fn trials_of(&self, bracket: usize) -> Option<usize> {
        self.noted(bracket, "trials")
    }

    /// The finished trials of others that a search takes into account for a bracket: when it is run
    /// again, those that it knew the first time.
    pub fn foreign(&self, bracket: usize) -> &[Foreign] {
        let known = self.noted(bracket, "foreign").unwrap_or(self.foreign.len());
        &self.foreign[..known.min(self.foreign.len())]
    }

    /// Keeps others from writing until the next [`Journal::commit`] or [`Journal::release`], and reads
    /// what they have written.
    ///
    /// # Errors
    /// Those of [`Journal::commit`].
    pub fn hold(&mut self) -> Result<()> {
        let Some(path) = self.path.clone().filter(|_| self.held.is_none()) else { return Ok(()) };
        let failed = |source| Error::Io { path: path.clone(), source };
        let lock = Lock::acquire(&path)?;
        if self.study.is_some() {
            let mut options = OpenOptions::new();
            let mut file = options.read(true).write(true).open(&path).map_err(failed)?;
            self.take_new(&mut file)?;
        }
        // Only now: after an error others may write, this process among them.
        self.held = Some(lock);
        Ok(())
    }

    /// Lets others write again.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Adds an entry, written by [`Journal::commit`].
    pub fn add(&mut self, entry: Entry) {
        self.pending.push(entry);
    }

    /// Writes all entries added since the last call, under the file's lock.
    ///
    /// # Errors
    /// [`Error::Data`] if the file has other lines, [`Error::Io`].
    pub fn commit(&mut self) -> Result<()> {
        let done = self.write();
        self.release();
        done
    }

    fn write(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut left = pending.into_iter().peekable();
        self.compare_each(&mut left)?;
        let Some(path) = self.path.clone() else {
            for entry in left {
                if let Entry::Create = entry {
                    self.ids.push(self.ids.len());
                }
            }
            return Ok(());
        };
        if left.peek().is_none() {
            return Ok(());
        }
        let failed = |source| Error::Io { path: path.clone(), source };
        if self.held.is_none() {
            self.held = Some(Lock::acquire(&path)?);
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).open(&path).map_err(failed)?;
        self.take_new(&mut file)?;
        // Another process of the same search may have been here first.
        self.compare_each(&mut left)?;
        if left.peek().is_none() {
            return Ok(());
        }
        let mut text = String::new();
        if self.study.is_none() {
            text += &format!(
                "{{\"op_code\":0,\"worker_id\":\"{WORKER}\",\"study_name\":{},\"directions\":[1]}}\n",
                json!(self.name)
            );
            self.study = Some(self.studies);
            self.studies += 1;
            self.lines += 1;
        }
        for entry in left {
            if let Entry::Create = entry {
                self.create_own();
            }
            text += &self.rendered(&entry);
            text.push('\n');
            self.lines += 1;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Reads what others appended since the last time.
    fn take_new(&mut self, file: &mut File) -> Result<()> {
        let path = self.path.clone().unwrap_or_default();
        let failed = |source| Error::Io { path: path.clone(), source };
        file.seek(SeekFrom::Start(self.length)).map_err(failed)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            // The writer of this half of a line is gone: it would hold the lock.
            file.set_len(self.length + whole as u64).map_err(failed)?;
        }
        self.take(&text[..whole])?;
        Ok(())
    }

    fn take(&mut self, text: &[u8]) -> Result<()> {
        self.length += text.len() as u64;
        for line in text.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            self.lines += 1;
            let line = std::str::from_utf8(line).ok();
            let is_operation = |line: &Value| line["op_code"].is_u64();
            let Some(line) = line.and_then(parse).filter(is_operation) else {
                return Err(self.no_line(self.lines));
            };
            self.take_line(line);
        }
        Ok(())
    }

    fn take_line(&mut self, line: Value) {
        let is_own = line["worker_id"] == WORKER;
        let index = |name: &str| line[name].as_u64().map(|at| at as usize);
        let trial = index("trial_id");
        let is_here = match (line["op_code"].as_u64(), trial) {
            (Some(0), _) => {
                let is_this = line["study_name"] == *self.name;
                if is_this {
                    self.study = Some(self.studies);
                }
                self.studies += 1;
                // Made by whoever came first.
                false
            }
            (Some(4), _) => {
                let is_this = self.study.is_some() && index("study_id") == self.study;
                if is_this {
                    match is_own {
                        true => self.create_own(),
                        false => self.create(None),
                    }
                } else {
                    self.created += 1;
                }
                is_this
            }
            (Some(1..=3), _) => self.study.is_some() && index("study_id") == self.study,
            (_, Some(trial)) => self.trials.contains_key(&trial),
            _ => false,
        };
        if let (Some(trial), Some(operation)) = (trial, line["op_code"].as_u64()) {
            self.take_trial(trial, operation, is_own, &line);
        }
        if is_own && is_here {
            self.own_lines.push(OwnLine { number: self.lines, content: line });
        }
    }

    /// A new trial in the file, of this search.
    fn create_own(&mut self) {
        self.ids.push(self.created);
        self.recorded.push(Recorded::default());
        self.create(Some(self.ids.len() - 1));
    }

    fn create(&mut self, own: Option<usize>) {
        let parameters = vec![None; self.space.parameters.len()];
        let values = BTreeMap::new();
        self.trials.insert(self.created, Reading { own, parameters, values });
        self.created += 1;
    }

    /// Reads a line about a trial.
    fn take_trial(&mut self, trial: usize, operation: u64, is_own: bool, line: &Value) {
        let Some(read) = self.trials.get_mut(&trial) else { return };
        if read.own.is_some() && !is_own {
            // Somebody has ended a trial that seemed to be left: it still is what it was.
            return;
        }
        match operation {
            5 => {
                let name = line["param_name"].as_str().unwrap_or_default();
                let place = self.space.place(name).ok();
                let value = number(&line["param_value_internal"]);
                if let (Some(place), Some(value)) = (place, value) {
                    // Somebody else's range may be wider than this one.
                    let holds = self.space.parameters[place].domain.holds(value);
                    read.parameters[place] = Some(value).filter(|_| holds);
                }
            }
            7 => {
                let step = line["step"].as_u64();
                if let (Some(step), Some(value)) = (step, number(&line["intermediate_value"])) {
                    read.values.insert(step as usize, value);
                    if let Some(own) = read.own {
                        self.recorded[own].values.insert(step as usize, value);
                    }
                }
            }
            6 if matches!(line["state"].as_u64(), Some(1..=3)) => match read.own {
                Some(own) => self.recorded[own].ended = true,
                None => {
                    let last = || read.values.values().next_back().copied();
                    if let Some(value) = number(&line["values"][0]).or_else(last) {
                        let configuration = Configuration(read.parameters.clone());
                        self.foreign.push(Foreign { configuration, value });
                    }
                }
            },
            _ => {}
        }
    }

    /// Compares entries with the lines of this search in the file that are left.
    fn compare_each(&mut self, left: &mut Peekable<IntoIter<Entry>>) -> Result<()> {
        while self.study.is_some() && self.replays() && left.peek().is_some() {
            if let Some(entry) = left.next() {
                self.compare(&entry)?;
            }
        }
        Ok(())
    }

    /// Compares an entry with the next line of this search in the file.
    fn compare(&mut self, entry: &Entry) -> Result<()> {
        let wanted = parse(&self.rendered(entry)).unwrap_or_default();
        loop {
            let Some(line) = self.own_lines.get(self.cursor) else {
                // Only lines beside the search were left.
                self.pending.push(entry.clone());
                return self.write();
            };
            self.cursor += 1;
            if without_times(&line.content) == without_times(&wanted) {
                return Ok(());
            }
            if is_aside(&line.content) {
                if same_attribute(&line.content, &wanted) {
                    return Ok(());
                }
                continue;
            }
            if is_aside(&wanted) {
                self.cursor -= 1;
                return Ok(());
            }
            return Err(Error::Data {
                path: self.path.clone().unwrap_or_default(),
                position: format!("line {}", line.number),
                found: without_times(&line.content).to_string(),
                expected: format!(
                    "{}: the study was made with other data, other options or another version; name another file to begin anew",
                    without_times(&wanted)
                ),
            });
        }
    }

    /// An entry as a line.
    fn rendered(&self, entry: &Entry) -> String {
        let study = self.study.unwrap_or(0);
        let id = |trial: &usize| self.ids.get(*trial).copied().unwrap_or(*trial);
        let begin = |operation: u8| format!("{{\"op_code\":{operation},\"worker_id\":\"{WORKER}\"");
        match entry {
            Entry::Attribute(key, value) => {
                format!("{},\"study_id\":{study},\"user_attr\":{{\"{key}\":{value}}}}}", begin(2))
            }
            Entry::Create => {
                let now = line::now();
                format!("{},\"study_id\":{study},\"datetime_start\":\"{now}\"}}", begin(4))
            }
            Entry::Parameter(trial, place, value) => {
                let parameter = &self.space.parameters[*place];
                let value = match parameter.domain {
                    Domain::Float { .. } => written(*value),
                    _ => format!("{value:.0}"),
                };
                let distribution = json!(distribution(&parameter.domain).to_string());
                format!(
                    "{},\"trial_id\":{},\"param_name\":{},\"param_value_internal\":{value},\"distribution\":{distribution}}}",
                    begin(5),
                    id(trial),
                    json!(parameter.name)
                )
            }
            Entry::TrialAttribute(trial, key, value) => format!(
                "{},\"trial_id\":{},\"user_attr\":{{\"{key}\":{value}}}}}",
                begin(8),
                id(trial)
            ),
            Entry::Intermediate(trial, step, value) => format!(
                "{},\"trial_id\":{},\"step\":{step},\"intermediate_value\":{}}}",
                begin(7),
                id(trial),
                written(*value)
            ),
            Entry::End(trial, ending, value) => {
                // Optuna refuses NaN as the value of a trial.
                let values =
                    if value.is_nan() { "null".into() } else { format!("[{}]", written(*value)) };
                format!(
                    "{},\"trial_id\":{},\"state\":{},\"values\":{values},\"datetime_complete\":\"{}\"}}",
                    begin(6),
                    id(trial),
                    *ending as u8,
                    line::now()
                )
            }
        }
    }
}

/// A domain as Optuna describes it.
fn distribution(domain: &Domain) -> Value {
    match domain {
        Domain::Float { low, high, log } => json!({
            "name": "FloatDistribution",
            "attributes": { "step": null, "low": low, "high": high, "log": log },
        }),
        Domain::Int { low, high } => json!({
            "name": "IntDistribution",
            "attributes": { "log": false, "step": 1, "low": low, "high": high },
        }),
        Domain::Categorical(choices) => json!({
            "name": "CategoricalDistribution",
            "attributes": { "choices": choices },
        }),
    }
}

fn without_times(line: &Value) -> Value {
    let kept = |(name, _): &(&String, &Value)| !name.starts_with("datetime_");
    let Some(line) = line.as_object() else { return line.clone() };
    let kept: Map<String, Value> =
        line.iter().filter(kept).map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Object(kept)
}

/// The key of a study's attribute.
fn attribute(line: &Value) -> Option<&String> {
    let attributes = line["user_attr"].as_object().filter(|_| line["op_code"] == 2)?;
    attributes.keys().next()
}

fn is_aside(line: &Value) -> bool {
    attribute(line).is_some_and(|key| ASIDE.contains(&key.as_str()))
}

fn same_attribute(one: &Value, other: &Value) -> bool {
    attribute(one) == Some(&"written_by".to_string()) && attribute(one) == attribute(other)
}
