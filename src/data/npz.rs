//! NumPy's `.npz`: a zip archive of `.npy` files, stored or deflated.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::Split;
use super::npy::{Npy, joined};
use super::source::{Source, most_expanded};
use crate::{Error, Result};

/// The arrays of features and of targets that belong together, in the order in which they are looked for.
const TRAIN: [(&str, &str); 3] = [("x_train", "y_train"), ("x", "y"), ("features", "targets")];

/// Reads the arrays of an `.npz` file: features `x_train`, `x` or `features` with targets `y_train`, `y` or `targets`, and for the
/// test `x_test` with `y_test`. What [`read_npy`](super::read_npy) says of arrays holds here too.
///
/// # Errors
/// [`Error::Unknown`] with the arrays there are if none holds features; [`Error::Data`] if the archive or an array is damaged.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Split> {
    let path = path.as_ref();
    let io = |source| Error::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(path, error))?;
    for (features, targets) in TRAIN {
        if let Some(features) = array(&mut archive, path, features)? {
            let train = joined(&features, array(&mut archive, path, targets)?.as_ref())?;
            let test = match array(&mut archive, path, "x_test")? {
                Some(features) => Some(joined(&features, array(&mut archive, path, "y_test")?.as_ref())?),
                None => None,
            };
            return Ok(Split { train, test });
        }
    }
    let arrays = archive.file_names().map(|name| name.trim_end_matches(".npy"));
    Err(Error::unknown(&format!("arrays in {}: none is", path.display()), "x_train, x or features", arrays))
}

/// The array of that name, if it is there.
fn array(archive: &mut ZipArchive<BufReader<File>>, path: &Path, name: &str) -> Result<Option<Npy>> {
    let name = format!("{name}.npy");
    let mut entry = match archive.by_name(&name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(broken(path, error)),
    };
    // The size that the archive claims is not reserved in advance: the bytes come first.
    let (claimed, most) = (entry.size(), most_expanded(entry.compressed_size()));
    let wrong = |found: String, expected: &str| {
        Err(Error::Data { path: path.into(), position: name.clone(), found, expected: expected.into() })
    };
    if claimed > most {
        let expected =
            "at most 100 times its compressed size and 32 MiB; save it uncompressed (numpy.savez) if it is meant so";
        return wrong(format!("a claim of {claimed} bytes"), expected);
    }
    let mut bytes = Vec::new();
    let outcome = entry.by_ref().take(claimed.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.len() as u64 > claimed {
        return wrong(format!("more bytes than the {claimed} that the archive claims"), "a whole zip archive");
    }
    outcome.map_err(|error| Error::Data {
        path: path.into(),
        position: format!("byte {} of {name}", bytes.len()),
        found: format!("a damaged entry ({error})"),
        expected: "a whole zip archive".into(),
    })?;
    Npy::read(Source::part(path, &name, bytes)).map(Some)
}

fn broken(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::Io { path: path.into(), source }
        }
        error => Error::Data {
            path: path.into(),
            // The directory stands at a zip archive's end; what is damaged or cut off is missed there.
            position: format!(
                "byte {} (the archive's directory)",
                std::fs::metadata(path).map_or(0, |file| file.len())
            ),
            found: error.to_string(),
            expected: "a whole zip archive".into(),
        },
    }
}
