//! The lock of a journal, as Optuna's `JournalFileSymlinkLock`: a link beside the file, created
//! atomically.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use crate::{Error, Result};

/// A lock that nobody released for this long was left behind by a process that ended, if the file
/// did not change meanwhile either. Optuna's grace period.
const GRACE: Duration = Duration::from_secs(30);

/// Held until it is dropped.
#[derive(Debug)]
pub(in crate::tune) struct Lock {
    link: PathBuf,
    own: Option<Identity>,
}

/// Which of the links that one path has over time: its time, and its number where files have one.
type Identity = (SystemTime, u64);

fn identity(link: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(link).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let number = found.len();
    Some((found.modified().ok()?, number))
}

/// `PATH.lock`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".lock");
    name.into()
}

#[cfg(unix)]
fn create(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// As Optuna's `JournalFileOpenLock`, which has the same name: links need a privilege here.
#[cfg(not(unix))]
fn create(_target: &Path, link: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).open(link).map(drop)
}

impl Lock {
    /// Waits for the lock of a file.
    pub fn acquire(path: &Path) -> Result<Self> {
        Self::acquire_within(path, GRACE)
    }

    fn acquire_within(path: &Path, grace: Duration) -> Result<Self> {
        let link = beside(path);
        let failed = |source: io::Error| Error::Io { path: beside(path), source };
        let changed =
            || (fs::metadata(path).and_then(|found| found.modified()).ok(), identity(&link));
        let (mut since, mut last, mut pause) = (Instant::now(), changed(), 1);
        loop {
            match create(path, &link) {
                Ok(()) => {
                    let own = identity(&link);
                    return Ok(Lock { link, own });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            if !is_lock(&link) {
                let message = "it is no lock of a study, and would stand for one; move it or name another study";
                return Err(failed(io::Error::other(message)));
            }
            let now = changed();
            if now != last {
                (since, last) = (Instant::now(), now);
            }
            if since.elapsed() > grace {
                // Renamed first, so that of several waiting processes one alone takes it away; and looked
                // at, as the lock may be that of another one by now.
                let mut name = link.as_os_str().to_os_string();
                name.push(format!(".{}.rename", std::process::id()));
                let name = PathBuf::from(name);
                if fs::rename(&link, &name).is_ok() {
                    if identity(&name) != last.1 && !exists(&link) {
                        let _ = fs::rename(&name, &link);
                    } else {
                        let _ = fs::remove_file(&name);
                    }
                }
                since = Instant::now();
                continue;
            }
            thread::sleep(Duration::from_millis(pause));
            pause = (pause * 2).min(200);
        }
    }
}

/// True also for a link that leads to nothing.
fn exists(link: &Path) -> bool {
    fs::symlink_metadata(link).is_ok()
}

/// False for a folder or a file with content: a lock is a link or an empty file. One that is gone by
/// now was a lock.
fn is_lock(link: &Path) -> bool {
    fs::symlink_metadata(link).map_or(true, |found| {
        found.file_type().is_symlink() || (found.is_file() && found.len() == 0)
    })
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not that of another process, which has taken over from one that was stopped for long.
        if self.own.is_none() || identity(&self.link) == self.own {
            let _ = fs::remove_file(&self.link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_others_and_one_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.jsonl");
        fs::write(&path, "").unwrap();
        let lock = Lock::acquire(&path).unwrap();
        assert!(fs::symlink_metadata(beside(&path)).is_ok());
        let begun = Instant::now();
        let taken = thread::scope(|scope| {
            let other = scope.spawn(|| Lock::acquire(&path).map(|_| begun.elapsed()));
            thread::sleep(Duration::from_millis(120));
            drop(lock);
            other.join().unwrap().unwrap()
        });
        assert!(taken >= Duration::from_millis(120), "{taken:?}");
        create(&path, &beside(&path)).unwrap();
        let lock = Lock::acquire_within(&path, Duration::from_millis(50)).unwrap();
        drop(lock);
        assert!(fs::symlink_metadata(beside(&path)).is_err());
    }
    #[test]
    fn a_lock_that_another_has_by_now_is_not_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.jsonl");
        fs::write(&path, "").unwrap();
        let stopped = Lock::acquire(&path).unwrap();
        thread::sleep(Duration::from_millis(20));
        let other = Lock::acquire_within(&path, Duration::from_millis(30)).unwrap();
        drop(stopped);
        assert!(exists(&beside(&path)));
        drop(other);
        assert!(!exists(&beside(&path)));
    }

    #[test]
    fn of_two_that_wait_for_a_dead_lock_only_one_has_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.jsonl");
        fs::write(&path, "").unwrap();
        create(&path, &beside(&path)).unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let lock = Lock::acquire_within(&path, Duration::from_millis(2000)).unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    thread::sleep(Duration::from_millis(100));
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(lock);
                });
            }
        });
    }

    #[test]
    fn what_is_no_lock_is_left_alone_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.jsonl");
        fs::write(&path, "").unwrap();
        let refused = || {
            let message = Lock::acquire(&path).unwrap_err().to_string();
            assert!(message.contains("study.jsonl.lock: it is no lock"), "{message}");
        };
        fs::write(beside(&path), "mine").unwrap();
        refused();
        assert_eq!(fs::read_to_string(beside(&path)).unwrap(), "mine");
        fs::remove_file(beside(&path)).unwrap();
        fs::create_dir(beside(&path)).unwrap();
        refused();
        assert!(beside(&path).is_dir());
    }
}
