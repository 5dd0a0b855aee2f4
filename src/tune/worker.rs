//! Several processes that work on one study: which of them trains what, and what came out.
//!
//! Each process runs the whole search, which is a function of the metrics; they share the trainings.
//! In a folder beside the study each holds the lock of a file of its own, which the system releases
//! when it ends in whatever way; a file of lines has what each one trains and the metrics it got.
//! The study has the same lines as of one process. The last process that leaves removes the folder; of
//! one that is killed it stays, and the next one begins it anew.

use std::collections::HashMap;
use std::ffi::OsStr;
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

/// The file of what each process trains and got.
const LINES: &str = "lines";

/// How that file begins.
const HEADER: &str = "{\"settings\":";

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
pub(crate) struct Worker {
    study: PathBuf,
    folder: PathBuf,
    number: usize,
    /// Locked for as long as the process works.
    own: Option<File>,
    /// None when the process leaves: a network file system keeps a folder with an open file.
    lines: Option<File>,
    read: u64,
    /// Metrics by trial and rung.
    metrics: HashMap<(usize, usize), f64>,
    /// Who trains a trial at a rung.
    claims: HashMap<(usize, usize), usize>,
    /// The budget of each process.
    budgets: HashMap<usize, String>,
}

impl Worker {
    /// Joins those who work on a study; none where files have no locks: then one process works alone.
    ///
    /// # Errors
    /// [`Error::Option`] if others work on it with other settings or another budget, or either is
    /// limited by time; [`Error::Io`], also for a folder of that name with files of somebody else.
    pub fn join(study: &Path, settings: &Value, budget: Budget) -> Result<Option<Self>> {
        let mut name = study.as_os_str().to_os_string();
        name.push(".work");
        let folder = PathBuf::from(name);
        let failed = |source| Error::Io { path: folder.clone(), source };
        let lock = Lock::acquire(study)?;
        let is_other = |found: fs::Metadata| !found.file_type().is_dir();
        if fs::symlink_metadata(&folder).is_ok_and(is_other) {
            let message = "processes that share a study need a folder of this name, and it is something else; move it or name another study";
            return Err(failed(io::Error::other(message)));
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        if let Some(other) = foreign(&folder).map_err(failed)? {
            let message = format!(
                "processes that share a study need this folder, and it has `{other}`; move it or name another study"
            );
            return Err(failed(io::Error::other(message)));
        }
        let mut free = None;
        for number in 0..MOST {
            match held(&folder, number, true) {
                Held::Here(file) => {
                    free = Some((number, file));
                    break;
                }
                Held::Elsewhere => {}
                // A file system without locks, which others would not have either.
                Held::Unlocked(_) if number == 0 => {
                    clear(&folder);
                    return Ok(None);
                }
                Held::Unlocked(error) | Held::Unknown(error) => return Err(failed(error)),
                Held::Nowhere => return Err(failed(io::ErrorKind::NotFound.into())),
            }
        }
        let Some((number, own)) = free else { return Ok(None) };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let lines = options.open(folder.join(LINES)).map_err(failed)?;
        let mut worker = Worker {
            study: study.into(),
            folder: folder.clone(),
            number,
            own: Some(own),
            lines: Some(lines),
            read: 0,
            metrics: HashMap::new(),
            claims: HashMap::new(),
            budgets: HashMap::new(),
        };
        let begun = worker.locked(|worker| worker.begin(settings, budget));
        // Before the worker is dropped, which takes this lock to leave.
        drop(lock);
        begun.map(|()| Some(worker))
    }

    /// Checks what the others have, and says that this process works too.
    fn begin(&mut self, settings: &Value, budget: Budget) -> Result<()> {
        let refused = |name: &str, found: String, allowed: &str| {
            Err(Error::option("tune", name, found, allowed))
        };
        let others = self.others();
        let header = json!({ "settings": settings });
        if others.is_empty() {
            // What killed processes have left is nobody's: a number may stand for another trial now.
            self.change(|lines| lines.set_len(0))?;
            self.read = 0;
            (self.metrics, self.claims, self.budgets) =
                (HashMap::new(), HashMap::new(), HashMap::new());
            self.append(&header)?;
        } else if self.first_line()? != Some(header) {
            let found = "in use by another process with other data, options or version".into();
            return refused("study", found, "one of the same search, or another file");
        }
        let own = budget.in_words();
        for other in others {
            let theirs = &self.budgets[&other];
            if *theirs != own || budget.is_timed() {
                let found = format!("{own}, and another process works on the study with {theirs}");
                let allowed = "the same row-updates or rungs for all, or one process alone";
                return refused("budget", found, allowed);
            }
        }
        self.append(&json!({ "process": self.number, "budget": own }))
    }

    /// The other processes that work now.
    fn others(&self) -> Vec<usize> {
        let others = self.budgets.keys().copied().filter(|&other| other != self.number);
        others.filter(|&other| self.is_alive(other)).collect()
    }

    /// What is to be done for a rung, of whose trials each group is trained side by side; a process
    /// takes a part of what is left, so that one that comes later finds some, and `at_once` groups if
    /// that is more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next(&mut self, groups: &[Vec<usize>], rung: usize, at_once: usize) -> Result<Next> {
        self.locked(|worker| {
            let is_done = |group: &&Vec<usize>| {
                group.iter().all(|&trial| worker.metrics.contains_key(&(trial, rung)))
            };
            let left: Vec<&Vec<usize>> = groups.iter().filter(|group| !is_done(group)).collect();
            if left.is_empty() {
                let mut all: Vec<usize> = groups.iter().flatten().copied().collect();
                all.sort_unstable();
                return Ok(Next::Done(
                    all.iter().map(|&trial| worker.metrics[&(trial, rung)]).collect(),
                ));
            }
            let alive = worker.others();
            let is_free = |group: &&&Vec<usize>| {
                let mut claimed =
                    group.iter().filter_map(|&trial| worker.claims.get(&(trial, rung)));
                !claimed.any(|other| alive.contains(other))
            };
            let free: Vec<&&Vec<usize>> = left.iter().filter(is_free).collect();
            let processes = alive.len() + 1;
            let fair = free.len().div_ceil(processes);
            let share = free.len().div_ceil(2 * processes).max(at_once.min(fair));
            let own: Vec<usize> =
                free.into_iter().take(share).flat_map(|group| group.iter().copied()).collect();
            if own.is_empty() {
                return Ok(Next::Wait);
            }
            worker.append(&json!({ "process": worker.number, "rung": rung, "trains": own }))?;
            Ok(Next::Train(own))
        })
    }

    /// Hands the others the metrics of what was trained.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn put(&mut self, trials: &[usize], rung: usize, metrics: &[f64]) -> Result<()> {
        // Bits, so that NaN and each digit arrive.
        let bits: Vec<u64> = metrics.iter().map(|metric| metric.to_bits()).collect();
        let line = json!({ "process": self.number, "rung": rung, "trials": trials, "bits": bits });
        self.locked(|worker| worker.append(&line))
    }

    /// Ends as a process that is killed: the system takes its lock away, and nothing else happens.
    #[cfg(test)]
    pub fn kill(mut self) {
        (self.own, self.lines) = (None, None);
        std::mem::forget(self);
    }

    /// Waits until others may have trained more.
    pub fn wait(&self) {
        thread::sleep(PAUSE);
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { path: self.folder.clone(), source }
    }

    /// Does something with the file of lines.
    fn change<T>(&mut self, work: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
        let done = match &mut self.lines {
            Some(lines) => work(lines),
            None => Err(io::Error::other("the process has left")),
        };
        done.map_err(|source| self.failed(source))
    }

    /// Does something with the lines while nobody else does, after reading what is new.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.change(|lines| lines.lock())?;
        let done = self.take_new().and_then(|()| work(self));
        let unlocked = self.change(|lines| lines.unlock());
        done.and_then(|done| unlocked.map(|()| done))
    }

    fn take_new(&mut self) -> Result<()> {
        let read = self.read;
        let (text, whole) = self.change(|lines| {
            let mut text = Vec::new();
            lines.seek(SeekFrom::Start(read))?;
            lines.read_to_end(&mut text)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if whole < text.len() {
                // Whoever wrote half of a line is gone: it would hold the lock.
                lines.set_len(read + whole as u64)?;
            }
            Ok((text, whole))
        })?;
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
        self.change(|lines| {
            let mut text = String::new();
            lines.seek(SeekFrom::Start(0))?;
            lines.read_to_string(&mut text)?;
            Ok(text.lines().next().and_then(|line| serde_json::from_str(line).ok()))
        })
    }

    /// Appends a line, which is taken as those of others are.
    fn append(&mut self, line: &Value) -> Result<()> {
        let text = format!("{line}\n");
        self.change(|lines| {
            lines.seek(SeekFrom::End(0))?;
            lines.write_all(text.as_bytes())
        })?;
        self.read += text.len() as u64;
        self.take(line);
        Ok(())
    }

    /// True if a process of this number works now.
    fn is_alive(&self, number: usize) -> bool {
        matches!(
            held(&self.folder, number, false),
            Held::Elsewhere | Held::Unlocked(_) | Held::Unknown(_)
        )
    }
}

impl Drop for Worker {
    /// Leaves, and removes the folder if nobody else works.
    fn drop(&mut self) {
        // The lock of the study may be this thread's own, which waits for it: as with a killed process
        // the folder stays.
        if thread::panicking() {
            return;
        }
        let Ok(_lock) = Lock::acquire(&self.study) else { return };
        // Who has joined meanwhile; nobody joins while the study is locked.
        let is_read = self.locked(|_| Ok(())).is_ok();
        let others = self.others();
        (self.own, self.lines) = (None, None);
        if is_read && others.is_empty() {
            clear(&self.folder);
        }
    }
}

/// Removes a folder with what processes have left in it, and nothing else.
fn clear(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_own(path)) {
        let _ = fs::remove_file(path);
    }
    let _ = fs::remove_dir(folder);
}

/// A file of a folder that no process of a search has made.
fn foreign(folder: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_own(&entry.path()) {
            return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// True for the empty file of a process, and for lines that begin as those of a search.
fn is_own(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(found) = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file) else {
        return false;
    };
    if name == LINES {
        let mut begin = Vec::new();
        let file = File::open(path);
        let read = file.and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut begin));
        return read.is_ok() && HEADER.as_bytes().starts_with(&begin);
    }
    let is_number = name.parse::<usize>().is_ok_and(|n| n < MOST && n.to_string() == name);
    is_number && found.len() == 0
}

/// Who has the lock of a process's file.
enum Held {
    /// This call, until the file is dropped.
    Here(File),
    Elsewhere,
    /// There is no such file.
    Nowhere,
    /// The file is there, and cannot be locked.
    Unlocked(io::Error),
    /// The file cannot be opened.
    Unknown(io::Error),
}

fn held(folder: &Path, number: usize, makes: bool) -> Held {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(makes).truncate(false);
    match options.open(folder.join(number.to_string())) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Held::Here(file),
            Err(TryLockError::WouldBlock) => Held::Elsewhere,
            Err(TryLockError::Error(error)) => Held::Unlocked(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Held::Nowhere,
        Err(error) => Held::Unknown(error),
    }
}
