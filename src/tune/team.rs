//! Several processes that work on one study: which of them trains what, and what came out.
//!
//! Each process runs the whole search, which is a function of the metrics; they share the trainings.
//! In a folder beside the study each holds the lock of a file of its own, which the system releases
//! when it ends in whatever way; a file of lines has what each one trains and the metrics it got.
//! The folder is gone when the last process has left. The study has the same lines as of one process.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::tune::budget::Budget;
use crate::tune::journal::lock::Lock;
use crate::{Error, Result};

/// How long a process waits before it looks again for what others have trained.
const PAUSE: Duration = Duration::from_millis(50);

/// Processes that are looked for.
const MOST: usize = 1000;

/// What a process does next for a rung.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// It trains these trials.
    Train(Vec<usize>),
    /// Others train what is left.
    Wait,
    /// The metrics of all trials, in their order.
    Done(Vec<f64>),
}

/// A process among those that work on a study.
#[derive(Debug)]
pub(crate) struct Team {
    study: PathBuf,
    folder: PathBuf,
    number: usize,
    /// Locked for as long as the process works.
    own: Option<File>,
    lines: File,
    read: u64,
    /// Metrics by trial and rung.
    metrics: HashMap<(usize, usize), f64>,
    /// Who trains a trial at a rung.
    claims: HashMap<(usize, usize), usize>,
    /// The budget of each process.
    budgets: HashMap<usize, String>,
}

impl Team {
    /// Joins those who work on a study; none where files have no locks: then one process works alone.
    /// What is left of others with other settings is removed.
    ///
    /// # Errors
    /// [`Error::Option`] if others work on it with another budget, or either is limited by time;
    /// [`Error::Io`].
    pub fn join(study: &Path, settings: &Value, budget: Budget) -> Result<Option<Self>> {
        let mut name = study.as_os_str().to_os_string();
        name.push(".work");
        let folder = PathBuf::from(name);
        let failed = |source| Error::Io { path: folder.clone(), source };
        let lock = Lock::acquire(study)?;
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut free = None;
        for number in 0..MOST {
            match held(&folder, number) {
                Ok(Some(file)) => {
                    free = Some((number, file));
                    break;
                }
                Ok(None) => {}
                // A file system without locks, which is no error: `held` has made the file.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let _ = fs::remove_dir_all(&folder);
                    return Ok(None);
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let Some((number, own)) = free else { return Ok(None) };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let lines = options.open(folder.join("lines")).map_err(failed)?;
        let (metrics, claims, budgets) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut team = Team {
            study: study.into(),
            folder: folder.clone(),
            number,
            own: Some(own),
            lines,
            read: 0,
            metrics,
            claims,
            budgets,
        };
        let begun = team.locked(|team| team.begin(settings, budget));
        // Before the team is dropped, which takes this lock to leave.
        drop(lock);
        begun.map(|()| Some(team))
    }

    /// Checks what the others have, and says that this process works too.
    fn begin(&mut self, settings: &Value, budget: Budget) -> Result<()> {
        let others: Vec<usize> = self.budgets.keys().copied().collect();
        let others: Vec<usize> = others
            .into_iter()
            .filter(|&other| other != self.number && self.is_alive(other))
            .collect();
        let header = json!({ "settings": settings });
        let is_same = self.first_line()? == Some(header.clone());
        if !is_same && others.is_empty() {
            // Of another search: nobody needs it any more.
            self.lines.set_len(0).map_err(|source| self.failed(source))?;
            (self.read, self.metrics, self.claims) = (0, HashMap::new(), HashMap::new());
            self.budgets.clear();
            self.append(&header)?;
        }
        let own = budget.in_words();
        for other in others {
            let theirs = &self.budgets[&other];
            if *theirs != own || budget.is_timed() {
                return Err(Error::option(
                    "tune",
                    "budget",
                    format!("{own}, and another process works on the study with {theirs}"),
                    "the same row-updates or rungs for all, or one process alone",
                ));
            }
        }
        self.append(&json!({ "process": self.number, "budget": own }))
    }

    /// What is to be done for a rung, of whose trials each group is trained side by side.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next(&mut self, groups: &[Vec<usize>], rung: usize) -> Result<Next> {
        self.locked(|team| {
            let is_done = |group: &&Vec<usize>| {
                group.iter().all(|&trial| team.metrics.contains_key(&(trial, rung)))
            };
            let left: Vec<&Vec<usize>> = groups.iter().filter(|group| !is_done(group)).collect();
            if left.is_empty() {
                let mut all: Vec<usize> = groups.iter().flatten().copied().collect();
                all.sort_unstable();
                return Ok(Next::Done(
                    all.iter().map(|&trial| team.metrics[&(trial, rung)]).collect(),
                ));
            }
            let others: Vec<usize> = team.budgets.keys().copied().collect();
            let alive: HashSet<usize> = others
                .into_iter()
                .filter(|&other| other != team.number && team.is_alive(other))
                .collect();
            let is_free = |group: &&&Vec<usize>| {
                let claimed = group.iter().filter_map(|&trial| team.claims.get(&(trial, rung)));
                !claimed.into_iter().any(|other| alive.contains(other))
            };
            let free: Vec<&&Vec<usize>> = left.iter().filter(is_free).collect();
            let share = free.len().div_ceil(alive.len() + 1);
            let own: Vec<usize> =
                free.into_iter().take(share).flat_map(|group| group.iter().copied()).collect();
            if own.is_empty() {
                return Ok(Next::Wait);
            }
            team.append(&json!({ "process": team.number, "rung": rung, "trains": own }))?;
            Ok(Next::Train(own))
        })
    }

    /// Tells the others the metrics of what was trained.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn put(&mut self, trials: &[usize], rung: usize, metrics: &[f64]) -> Result<()> {
        // Bits, so that NaN and each digit arrive.
        let bits: Vec<u64> = metrics.iter().map(|metric| metric.to_bits()).collect();
        let line = json!({ "process": self.number, "rung": rung, "trials": trials, "bits": bits });
        self.locked(|team| team.append(&line))
    }

    /// Ends as a process that is killed: the system takes its lock away, and nothing else happens.
    #[cfg(test)]
    pub fn kill(mut self) {
        self.own = None;
        std::mem::forget(self);
    }

    /// Waits until others may have trained more.
    pub fn wait(&self) {
        thread::sleep(PAUSE);
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { path: self.folder.clone(), source }
    }

    /// Does something with the lines while nobody else does, after reading what is new.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.lines.lock().map_err(|source| self.failed(source))?;
        let done = self.take_new().and_then(|()| work(self));
        let unlocked = self.lines.unlock().map_err(|source| self.failed(source));
        done.and_then(|done| unlocked.map(|()| done))
    }

    fn take_new(&mut self) -> Result<()> {
        let mut text = Vec::new();
        let mut read = || {
            self.lines.seek(SeekFrom::Start(self.read))?;
            self.lines.read_to_end(&mut text)
        };
        read().map_err(|source| self.failed(source))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            // Whoever wrote half of a line is gone: it would hold the lock.
            let length = self.read + whole as u64;
            self.lines.set_len(length).map_err(|source| self.failed(source))?;
        }
        self.read += whole as u64;
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                self.take(&line);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &Value) {
        let number = |value: &Value| value.as_u64().map(|number| number as usize);
        let Some(process) = number(&line["process"]) else { return };
        if let Some(budget) = line["budget"].as_str() {
            // The number is that of another process now.
            self.claims.retain(|_, by| *by != process);
            self.budgets.insert(process, budget.into());
        }
        let Some(rung) = number(&line["rung"]) else { return };
        let all = |name: &str| line[name].as_array().cloned().unwrap_or_default();
        for trial in all("trains").iter().filter_map(number) {
            self.claims.insert((trial, rung), process);
        }
        for (trial, bits) in all("trials").iter().zip(all("bits")) {
            if let (Some(trial), Some(bits)) = (number(trial), bits.as_u64()) {
                self.metrics.insert((trial, rung), f64::from_bits(bits));
            }
        }
    }

    fn first_line(&mut self) -> Result<Option<Value>> {
        let mut text = String::new();
        let mut read = || {
            self.lines.seek(SeekFrom::Start(0))?;
            self.lines.read_to_string(&mut text)
        };
        read().map_err(|source| self.failed(source))?;
        Ok(text.lines().next().and_then(|line| serde_json::from_str(line).ok()))
    }

    /// Appends a line, which is taken as those of others are.
    fn append(&mut self, line: &Value) -> Result<()> {
        let text = format!("{line}\n");
        let mut write = || {
            self.lines.seek(SeekFrom::End(0))?;
            self.lines.write_all(text.as_bytes())
        };
        write().map_err(|source| self.failed(source))?;
        self.read += text.len() as u64;
        self.take(line);
        Ok(())
    }

    /// True if a process of this number works now.
    fn is_alive(&self, number: usize) -> bool {
        // Taken: it has ended. The lock is given back at once.
        !matches!(held(&self.folder, number), Ok(Some(_)))
    }
}

impl Drop for Team {
    /// Leaves, and removes the folder if nobody else works.
    fn drop(&mut self) {
        let Ok(_lock) = Lock::acquire(&self.study) else { return };
        self.own = None;
        let others: Vec<usize> = self.budgets.keys().copied().collect();
        if !others.into_iter().any(|other| self.is_alive(other)) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The locked file of a process, or none if the process works.
fn held(folder: &Path, number: usize) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(folder.join(number.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
