//! Files in the user's cache folder: compiled pipelines and tuning results of an adapter. Losing
//! them only costs time, so failures to read or write are logged and ignored.
//!
//! The folder is `GRADUS_CACHE_DIR`, else `gradus` in the system's cache folder: `$XDG_CACHE_HOME`
//! or `~/.cache`, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::runtime::files;
use crate::{Error, Result};

/// The folder, which need not exist yet. `None` if the system defines no cache folder.
pub(crate) fn folder() -> Option<PathBuf> {
    folder_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn folder_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(own) = variable("GRADUS_CACHE_DIR") {
        return Some(own);
    }
    let system = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        // The XDG specification: a relative path counts as unset.
        let named = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        named.or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    system.map(|folder| folder.join("gradus"))
}

/// Value of a boolean environment variable: `on` or `1`, `off` or `0`; `None` if unset or anything
/// else.
pub(crate) fn switch(name: &str) -> Option<bool> {
    let value = std::env::var(name).ok()?;
    match value.as_str() {
        "on" | "1" => Some(true),
        "off" | "0" => Some(false),
        "" => None,
        _ => {
            log::warn!("{name} is `{value}`: it takes `on` or `off`, and is left out");
            None
        }
    }
}

/// The bytes of a file, if it exists and is no longer than `most`.
pub(crate) fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let found =
        std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match found {
        Ok(_) if bytes.len() as u64 <= most => return Some(bytes),
        Ok(_) => log::warn!("{}: longer than {most} bytes, left out", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => log::warn!("{}: {error}", path.display()),
    }
    None
}

/// Replaces a file atomically: concurrent readers, and readers after a crash, find the old or the
/// new bytes.
pub(crate) fn replace(path: &Path, bytes: &[u8]) {
    if let Err(error) = try_replace(path, bytes) {
        log::info!("not kept: {error}");
    }
}

fn try_replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| Error::Io { path: folder.into(), source })?;
    }
    files::write(path, bytes)
}

/// A 64-bit hash of parts of bytes (FNV-1a; Fowler, Noll, Vo, 1991).
#[derive(Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub fn new() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, part: &[u8]) {
        // The length separates the parts: "ab", "c" must differ from "a", "bc".
        for byte in part.iter().copied().chain((part.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn value(&self) -> u64 {
        self.0
    }
}

/// The [`Fingerprint`] of parts.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut all = Fingerprint::new();
    parts.into_iter().for_each(|part| all.add(part));
    all.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_folder_comes_before_the_systems() {
        let both = |name: &str| match name {
            "GRADUS_CACHE_DIR" => Some("/own".into()),
            _ => Some("/system".into()),
        };
        assert_eq!(folder_from(both), Some("/own".into()));
        let found =
            folder_from(|name| (name != "GRADUS_CACHE_DIR").then(|| "/system".into())).unwrap();
        assert!(found.starts_with("/system") && found.ends_with("gradus"), "{found:?}");
        assert_eq!(folder_from(|_| None), None);
    }

    #[test]
    fn what_is_replaced_is_read_back_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/choices.json");
        assert_eq!(read(&file, 10), None);
        replace(&file, b"first");
        replace(&file, b"second");
        assert_eq!(read(&file, 10).as_deref(), Some(&b"second"[..]));
        assert_eq!(read(&file, 5), None);
        assert_eq!(std::fs::read_dir(folder.path().join("below")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        std::fs::write(&file, b"in the way").unwrap();
        replace(&file.join("choices.json"), b"new");
        assert_eq!(std::fs::read(&file).unwrap(), b"in the way");
    }

    #[test]
    fn a_fingerprint_separates_texts_and_their_borders() {
        let of = |parts: &[&str]| fingerprint(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ac"]));
        assert_eq!(of(&["ab"]), of(&["ab"]));
    }
}
