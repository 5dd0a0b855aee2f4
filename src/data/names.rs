//! Names of files and ids.

use std::path::Path;

/// The file extension that determines the format.
pub(super) fn extension(name: &str) -> Option<&str> {
    name.trim_end_matches(".gz").rsplit_once('.').map(|(_, extension)| extension)
}

/// Order of ids: whole numbers by value, of any length, then text alphabetically.
pub(crate) fn compare_ids(one: &str, other: &str) -> std::cmp::Ordering {
    let key = |id: &str| {
        let is_whole = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let digits = if is_whole { id.trim_start_matches('0').len() } else { 0 };
        (!is_whole, digits)
    };
    key(one)
        .cmp(&key(other))
        .then_with(|| one.trim_start_matches('0').cmp(other.trim_start_matches('0')))
        .then_with(|| one.cmp(other))
}

/// True for the path of standard input, even if a file has that name: `./-` is the file.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}
