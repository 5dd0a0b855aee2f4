//! A file of one JSON document per line, of one process at a time and of whole lines alone. A
//! device or a pipe takes the lines as they come.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gradus::{Error, Result};

/// A file that this process has locked.
///
/// Without locks, as on some network file systems and on Windows, where a lock would keep others
/// from reading the file, two processes may still write to one.
pub struct LineFile {
    path: PathBuf,
    file: File,
    /// Neither a device nor a pipe, which have no content to read or cut and are nobody's alone.
    is_regular: bool,
    /// The file was made for this process.
    is_new: bool,
    is_begun: bool,
}

impl LineFile {
    /// Opens and locks a file without changing it; makes it if there is none. A device or a pipe is
    /// only opened, a pipe once its other end reads.
    ///
    /// # Errors
    /// [`Error::Io`], also for a file that another process holds, with its number where the system
    /// reports it.
    pub fn hold(path: &Path) -> Result<Self> {
        let failed = |source| Error::Io { path: path.into(), source };
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
            let (is_new, is_begun) = (false, false);
            return Ok(LineFile { path: path.into(), file, is_regular: false, is_new, is_begun });
        }
        let mut options = OpenOptions::new();
        options.append(true).read(true);
        let made = options.clone().create_new(true).open(path);
        let (file, is_new) = match made {
            Ok(file) => (file, true),
            // Not `create_new` again: a link may lead to a file that does not exist yet.
            Err(_) => (options.create(true).open(path).map_err(failed)?, false),
        };
        if cfg!(unix) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let other = holder(&file).map_or(String::new(), |other| format!(" (process {other})"));
            let message = format!(
                "another training run{other} writes to it; wait for its end or name another file"
            );
            return Err(failed(io::Error::other(message)));
        }
        Ok(LineFile { path: path.into(), file, is_regular: true, is_new, is_begun: false })
    }

    /// True if [`LineFile::begin`] was called.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Empties the file, or makes it end with a whole line if it goes on. Returns what was done to
    /// a line that a killed process or a full disk had cut, in words.
    pub fn begin(&mut self, goes_on: bool) -> io::Result<Option<String>> {
        self.is_begun = true;
        if !self.is_regular {
            return Ok(None);
        }
        if !goes_on {
            self.file.set_len(0)?;
            return Ok(None);
        }
        let content = self.content()?;
        let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let last = &content[whole..];
        if last.is_empty() {
            return Ok(None);
        }
        // What is no line of this command is not ours to remove.
        let is_cut = last.starts_with(b"{")
            && serde_json::from_slice::<serde::de::IgnoredAny>(last).is_err();
        if !is_cut {
            self.file.write_all(b"\n")?;
            return Ok(None);
        }
        self.file.set_len(whole as u64)?;
        let (path, bytes) = (self.path.display(), last.len());
        Ok(Some(format!("{path}: its last line was cut off: its {bytes} bytes are removed")))
    }

    /// What the file holds; nothing for a device or a pipe.
    pub fn content(&mut self) -> io::Result<Vec<u8>> {
        if !self.is_regular {
            return Ok(Vec::new());
        }
        self.file.seek(SeekFrom::Start(0))?;
        let mut content = Vec::new();
        self.file.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Appends a line as a whole, or leaves the file as it was.
    pub fn append(&mut self, line: &str) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        if written.is_err() && self.is_regular {
            // A full disk takes a part of the line.
            self.file.set_len(before)?;
        }
        written
    }
}

impl Drop for LineFile {
    fn drop(&mut self) {
        // A training run that was rejected leaves no file behind.
        if self.is_new && !self.is_begun {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The process that has locked a file, where the system reports it.
fn holder(file: &File) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata().ok()?;
        // The kernel's numbers of a device: 12 bits and 8, then the rest of each.
        let device = metadata.dev();
        let major = ((device >> 8) & 0xfff) | ((device >> 32) & 0xffff_f000);
        let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
        // Inodes are numbered by device. Where the two numbers differ, as on btrfs, no process is
        // named.
        let own = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        // `1: FLOCK  ADVISORY  WRITE 712 fd:01:1052 0 EOF`
        locks.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[_, "FLOCK", _, _, process, place, ..] = &words[..] else { return None };
            process.parse().ok().filter(|process| place == own && *process > 0)
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_one_process_and_is_free_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = LineFile::hold(&path).unwrap();
        if cfg!(unix) {
            // A lock is of an open file, not of a process: the same process meets it too.
            let error = LineFile::hold(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains("another training run"), "{error}");
        }
        if cfg!(target_os = "linux") && Path::new("/proc/locks").exists() {
            let error = LineFile::hold(&path).map(drop).unwrap_err().to_string();
            let is_named = error.contains(&format!("process {}", std::process::id()));
            // Some file systems have a device of their own in `/proc/locks`.
            assert!(is_named || !error.contains("process"), "{error}");
        }
        drop(first);
        assert!(!path.exists(), "nothing was written");
        let mut file = LineFile::hold(&path).unwrap();
        file.begin(false).unwrap();
        file.append("{}").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"{}\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_takes_lines_of_several_processes() {
        let path = Path::new("/dev/null");
        for goes_on in [false, true] {
            let mut files = [LineFile::hold(path).unwrap(), LineFile::hold(path).unwrap()];
            for file in &mut files {
                assert_eq!(file.begin(goes_on).unwrap(), None);
                assert!(file.content().unwrap().is_empty());
                file.append("{}").unwrap();
            }
        }
        assert!(path.exists());
    }

    #[test]
    fn a_line_that_was_cut_is_removed_and_foreign_text_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (found, kept, is_noted) in [
            ("", "", false),
            ("{\"epoch\":1}\n", "{\"epoch\":1}\n", false),
            ("{\"epoch\":1}\n{\"epo", "{\"epoch\":1}\n", true),
            ("{\"epo", "", true),
            ("{\"epoch\":1}", "{\"epoch\":1}\n", false),
            ("a note", "a note\n", false),
        ] {
            fs::write(&path, found).unwrap();
            let mut file = LineFile::hold(&path).unwrap();
            let noted = file.begin(true).unwrap();
            file.append("{\"epoch\":2}").unwrap();
            assert_eq!(noted.is_some(), is_noted, "{found:?}: {noted:?}");
            let now = fs::read_to_string(&path).unwrap();
            assert_eq!(now, format!("{kept}{{\"epoch\":2}}\n"), "{found:?}");
        }
    }
}
