//! Atomic file replacement: models, pages and caches are all written through this module.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Suffix of temporary files.
const UNFINISHED: &str = ".unfinished";

/// The path of a file that is in memory, in errors.
pub(crate) const IN_MEMORY: &str = "the bytes";

/// Number of random letters in a temporary file's name.
const RANDOM: usize = 8;

/// Maximum number of symbolic links followed in a chain; the limit on Linux.
const MOST_LINKS: usize = 40;

/// Temporary files are locked right after creation: an older one without a lock was left by a dead
/// process.
const ABANDONED: Duration = Duration::from_secs(60);

/// Replaces the file at `path` with `bytes` atomically: concurrent readers, and readers after a
/// crash or a power failure, find the old bytes or the new ones. Two processes writing one file do
/// not interfere: the last one's file remains.
///
/// The bytes are written to a randomly named temporary file beside the target, flushed to disk and
/// renamed. The target keeps its permissions; a new file gets the process's defaults. A symbolic
/// link is followed, and its target is replaced. Other hard links to the file keep the old bytes.
///
/// # Errors
/// [`Error::Io`] for a pipe, a device, a folder, a read-only file, a folder that is missing or not
/// writable, and a full disk. The existing file is unchanged, and no temporary file remains.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    try_write(path, bytes).map_err(|source| Error::Io { path: path.into(), source })
}

/// Checks that [`write()`] can write a file, before hours are spent on its content. Removes
/// temporary files left by processes killed while writing it.
///
/// # Errors
/// As [`write()`], except for the full disk.
pub fn check_writable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let check = || {
        let target = Target::of(path)?;
        target.remove_abandoned();
        target.temporary().map(drop)
    };
    check().map_err(|source| Error::Io { path: path.into(), source })
}

fn try_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = Target::of(path)?;
    let mut temporary = target.temporary()?;
    temporary.write_all(bytes)?;
    target.hand_down(temporary.as_file())?;
    temporary.as_file().sync_all()?;
    // If the rename fails, dropping the error removes the temporary file.
    temporary.persist(&target.path).map_err(|error| error.error)?;
    sync_folder(&target.folder)
}

/// A file to replace.
struct Target {
    /// With links resolved.
    path: PathBuf,
    folder: PathBuf,
    /// Metadata of the existing file, if any.
    old: Option<Metadata>,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let (path, old) = match fs::metadata(path) {
            Ok(found) => (path.to_path_buf(), Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => (end_of_links(path)?, None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(no_folder(path)),
            Err(error) => return Err(error),
        };
        if let Some(found) = &old {
            check_kind(found)?;
        }
        let names_folder = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        if path.file_name().is_none() || names_folder {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it names no file"));
        }
        // A link may lead to another folder: write there.
        let path = if old.is_some() { fs::canonicalize(&path)? } else { path };
        let folder = folder_of(&path);
        if !folder.is_dir() {
            return Err(no_folder(&path));
        }
        Ok(Target { path, folder, old })
    }

    /// Prefix of the temporary file's name. Names have at most 255 bytes, so a long one is
    /// truncated.
    fn prefix(&self) -> OsString {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut end = name.len().min(200);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        format!(".{}.", &name[..end]).into()
    }

    /// A new file beside the target. It is locked while being written, so that others do not
    /// consider it abandoned.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let prefix = self.prefix();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(UNFINISHED).rand_bytes(RANDOM);
        // The default permissions of new files: tempfile's are owner-only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let made = builder.tempfile_in(&self.folder)?;
        // Not every file system supports locks; without them only the age counts.
        let _ = made.as_file().try_lock();
        Ok(made)
    }

    /// Copies the old file's permissions to a new one, and owner and group if allowed.
    fn hand_down(&self, new: &File) -> io::Result<()> {
        let Some(old) = &self.old else { return Ok(()) };
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                let _ = fchown(new, Some(old.uid()), Some(old.gid()));
            }
        }
        new.set_permissions(old.permissions())
    }

    fn remove_abandoned(&self) {
        let prefix = self.prefix();
        let prefix = prefix.to_string_lossy();
        let length = prefix.len() + RANDOM + UNFINISHED.len();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_ours =
                name.len() == length && name.starts_with(&*prefix) && name.ends_with(UNFINISHED);
            if is_ours && is_abandoned(&entry.path()).unwrap_or(false) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// True if a temporary file is old and not locked.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let age = SystemTime::now().duration_since(found.modified()?).unwrap_or_default();
    if !found.is_file() || age < ABANDONED {
        return Ok(false);
    }
    match File::open(path)?.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(false),
        _ => Ok(true),
    }
}

/// Resolves the chain of symbolic links at `path`, including links to files that do not exist yet.
///
/// # Errors
/// If there are too many links.
#[doc(hidden)]
pub fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // A relative link is relative to its own folder.
            Ok(link) => path = folder_of(&path).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, one behind the other"))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

fn no_folder(path: &Path) -> io::Error {
    io::Error::new(
        ErrorKind::NotFound,
        format!("there is no folder {}; make it first", folder_of(path).display()),
    )
}

/// Rejects anything but a regular file, and read-only files.
fn check_kind(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let mut what = if kind.is_dir() { Some("a folder; name a file in it") } else { None };
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let is_device = kind.is_char_device() || kind.is_block_device();
        for (is, name) in [
            (kind.is_fifo(), "a pipe; name a file"),
            (is_device, "a device; name a file"),
            (kind.is_socket(), "a socket; name a file"),
        ] {
            what = what.or(is.then_some(name));
        }
    }
    if what.is_none() && !kind.is_file() {
        what = Some("no file");
    }
    if what.is_none() && found.permissions().readonly() {
        what = Some("read-only; allow writing or name another file");
    }
    what.map_or(Ok(()), |what| {
        Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}")))
    })
}

/// Flushes a renamed entry to disk: otherwise a power failure may undo it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that is writable but not readable, or a file system without directory sync.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        check_writable(&path).unwrap();
        check_writable(folder.path().join("another")).unwrap();
        assert_eq!(names(folder.path()), ["model"]);
        let long = folder.path().join("ä".repeat(127));
        write(&long, b"a name as long as they come").unwrap();
    }

    #[test]
    fn who_reads_meanwhile_has_the_old_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write(&path, b"old").unwrap();
        let mut open = File::open(&path).unwrap();
        write(&path, b"new").unwrap();
        let mut found = String::new();
        io::Read::read_to_string(&mut open, &mut found).unwrap();
        assert_eq!(found, "old", "the file itself was written over");
    }

    #[test]
    fn what_is_no_place_for_a_file_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "a file").unwrap();
        let folder_named = folder.path().join("new/");
        for (path, words) in [
            (folder.path(), "it is a folder"),
            (&folder.path().join("none/model"), "there is no folder"),
            (&file.join("model"), "there is no folder"),
            (Path::new(".."), "it is a folder"),
            (Path::new(""), "it names no file"),
            (&folder_named, "it names no file"),
        ] {
            for found in [write(path, b"new"), check_writable(path)] {
                let message = found.unwrap_err().to_string();
                assert!(message.contains(words), "{}: {message}", path.display());
            }
        }
        let mut protected = fs::metadata(&file).unwrap().permissions();
        protected.set_readonly(true);
        fs::set_permissions(&file, protected).unwrap();
        assert!(write(&file, b"new").unwrap_err().to_string().contains("read-only"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "a file");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        symlink("far/model", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        write(at("link to link"), b"through a link to nothing").unwrap();
        assert_eq!(fs::read(at("far/model")).unwrap(), b"through a link to nothing");
        fs::set_permissions(at("far/model"), fs::Permissions::from_mode(0o640)).unwrap();
        write(at("link"), b"through a link").unwrap();
        assert_eq!(fs::read(at("far/model")).unwrap(), b"through a link");
        assert_eq!(fs::metadata(at("far/model")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(at("link").is_symlink() && at("link to link").is_symlink());
        symlink("round", at("round")).unwrap();
        assert!(write(at("round"), b"nowhere").is_err());
        // A new file gets default permissions.
        fs::write(at("plain"), b"").unwrap();
        write(at("new"), b"").unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
        assert_eq!(mode("new"), mode("plain"));
        assert_eq!(names(&at("far")), ["model"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let target = Target::of(&path).unwrap();
        let made = |age: u64| {
            let temporary = target.temporary().unwrap();
            temporary.as_file().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            temporary
        };
        let (written, fresh, abandoned) = (made(1000), made(1), made(1000));
        fresh.as_file().unlock().unwrap();
        let (_, fresh) = fresh.keep().unwrap();
        let (file, abandoned) = abandoned.keep().unwrap();
        drop(file);
        fs::write(folder.path().join(".model.mine.unfinished"), "another's").unwrap();
        check_writable(&path).unwrap();
        assert!(written.path().exists(), "it is being written");
        assert!(fresh.exists() && !abandoned.exists());
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn several_threads_that_write_one_file_leave_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || (0..25).for_each(|_| write(path, &[writer; 100_000]).unwrap()));
            }
            for _ in 0..50 {
                let found = fs::read(&path).unwrap_or_default();
                assert!(
                    found.is_empty()
                        || found.len() == 100_000 && found.iter().all(|byte| *byte == found[0])
                );
            }
        });
        assert_eq!(names(folder.path()), ["model"]);
    }
}
