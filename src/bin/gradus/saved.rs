//! Files of models: which command a file is for, and whether one can be written before hours of training are spent on it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use gradus::Error;
use serde_json::Value;

use crate::output::{Failure, Outcome};

/// What a file of gradus's holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// What `train` saves.
    Network,
    /// What `recommend` saves.
    Recommender,
}

/// The keys of the descriptions in the metadata of the two.
const KEYS: [(&str, Kind); 2] = [("gradus", Kind::Network), ("gradus_recommender", Kind::Recommender)];

/// A header of safetensors is no longer; what claims to be is another file.
const LONGEST_HEADER: u64 = 100_000_000;

/// Refuses a model of the other kind with the command that takes it. Files that are neither are left to the reader, which says what is
/// wrong with them.
pub fn check_kind(flag: &str, path: &Path, wanted: Kind) -> Outcome {
    let Some((found, _)) = description(path).filter(|(found, _)| *found != wanted) else { return Ok(()) };
    let name = path.display();
    let (what, command) = match found {
        Kind::Network => ("a network", format!("gradus predict {name} --data PATH")),
        Kind::Recommender => ("a recommender", format!("gradus recommend --model {name} --user ID")),
    };
    Err(Failure::Failed(format!("{flag}: {name} holds {what}; `{command}` asks it")))
}

/// The kind of a saved model and what it says of itself; none of a file that is not gradus's.
pub fn description(path: &Path) -> Option<(Kind, Value)> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    if length > LONGEST_HEADER || file.take(length).read_to_end(&mut header).ok()? as u64 != length {
        return None;
    }
    let header: Value = serde_json::from_slice(&header).ok()?;
    KEYS.into_iter().find_map(|(key, kind)| {
        let text = header["__metadata__"][key].as_str()?;
        Some((kind, serde_json::from_str(text).unwrap_or_default()))
    })
}

/// That `--out` can be written. Models are written under another name in the same folder and then moved to their own: that is what is
/// tried, and what was there stays.
pub fn check_out(path: &Path) -> Outcome {
    let refused = |source: std::io::Error| Failure::from(Error::Io { path: path.into(), source }).of("--out");
    let other = |message: &str| refused(std::io::Error::other(message.to_string()));
    if path.is_dir() {
        return Err(other("it is a folder; name a file in it"));
    }
    let Some(name) = path.file_name() else { return Err(other("it names no file")) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(other(&format!("there is no folder {}; make it first", folder.display())));
    }
    let mut unfinished = name.to_owned();
    unfinished.push(".unfinished");
    let unfinished: PathBuf = folder.join(unfinished);
    match OpenOptions::new().write(true).create_new(true).open(&unfinished) {
        Ok(_) => std::fs::remove_file(&unfinished).map_err(refused),
        // Left behind by a crash: it will be written over.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(&unfinished).map(|_| ()).map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_tried_leaves_nothing_behind_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        check_out(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&path, "a model").unwrap();
        std::fs::write(folder.path().join("m.safetensors.unfinished"), "half a model").unwrap();
        check_out(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a model");
        for wrong in [folder.path(), &folder.path().join("none/m"), &path.join("m"), Path::new("..")] {
            let Err(Failure::Failed(message)) = check_out(wrong) else { panic!("{}", wrong.display()) };
            assert!(message.starts_with("--out: "), "{message}");
        }
    }

    #[test]
    fn what_is_no_safetensors_file_has_no_description() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        for content in [&b""[..], b"no model", &[255; 20], b"\x02\0\0\0\0\0\0\0{}", b"\x09\0\0\0\0\0\0\0{}"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(description(&path), None);
        }
        assert_eq!(description(folder.path()), None);
    }
}
