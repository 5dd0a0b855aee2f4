//! NumPy's `.npz`: a zip archive of `.npy` files, stored or deflated.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::data::npy::{Npy, joined};
use crate::data::options::Split;
use crate::data::source::{Source, most_expanded};
use crate::{Error, Result};

/// Names of the arrays of features and targets that belong together, for training and test, in
/// order of precedence; case-insensitive.
const NAMES: [[&str; 4]; 9] = [
    ["x_train", "y_train", "x_test", "y_test"],
    ["train_images", "train_labels", "test_images", "test_labels"],
    ["train_data", "train_labels", "test_data", "test_labels"],
    ["x", "y", "x_test", "y_test"],
    ["features", "targets", "", ""],
    ["images", "labels", "", ""],
    ["data", "labels", "", ""],
    ["data", "target", "", ""],
    ["arr_0", "arr_1", "", ""],
];

/// Reads the arrays of an `.npz` file: features and targets by their usual names, in upper or lower
/// case (`x_train` and `y_train`, `X` and `y`, `features` and `targets`, `train_images` and
/// `train_labels`, `data` and `target` …, `arr_0` and `arr_1` if there are two), the test set from
/// `x_test` with `y_test` or similar. Two arrays with other names and equal numbers of rows are
/// features and targets, in this order. The rules of [`read_npy`](super::read_npy) apply to each
/// array.
///
/// # Errors
/// [`Error::Unknown`] with the available arrays if none holds features; [`Error::Input`] if there
/// are more than two arrays with names `arr_0`, `arr_1`, `arr_2` …, which are ambiguous;
/// [`Error::Data`] if the archive or an array is damaged.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Split> {
    let path = path.as_ref();
    let io = |source| Error::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(path, error))?;
    let names: Vec<String> = archive.file_names().map(String::from).collect();
    let stem = |name: &str| name.trim_end_matches(".npy").to_lowercase();
    let find = |wanted: &str| names.iter().find(|name| !wanted.is_empty() && stem(name) == wanted);
    // Features with targets take precedence over features alone: `data` has `labels` in one file
    // and `target` in another.
    let pair = NAMES
        .into_iter()
        .find(|[features, targets, ..]| find(features).is_some() && find(targets).is_some());
    let alone = || NAMES.into_iter().find(|[features, ..]| find(features).is_some());
    if let Some([features, targets, test_features, test_targets]) = pair.or_else(alone)
        && let Some(features) = find(features)
    {
        // It is unknown which of them are for the test: numpy.savez assigns these names to arrays
        // passed without one.
        let numbered = names.iter().filter(|name| {
            stem(name).strip_prefix("arr_").is_some_and(|end| end.parse::<u32>().is_ok())
        });
        let numbered = numbered.count();
        if stem(features) == "arr_0" && numbered > 2 {
            return Err(Error::Input {
                operation: "data".into(),
                name: path.display().to_string(),
                found: format!("holds {numbered} arrays without names (arr_0, arr_1, arr_2 …)"),
                allowed: "which are features and which are targets must be said: numpy.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)".into(),
            });
        }
        let features = array(&mut archive, path, features)?;
        let mut read =
            |name: Option<&String>| name.map(|name| array(&mut archive, path, name)).transpose();
        let train = joined(&features, read(find(targets))?.as_ref())?;
        let (test, answers) = (read(find(test_features))?, read(find(test_targets))?);
        let test = test.map(|features| joined(&features, answers.as_ref())).transpose()?;
        return Ok(Split { train, test });
    }
    if let [first, second] = &names[..] {
        let (features, targets) =
            (array(&mut archive, path, first)?, array(&mut archive, path, second)?);
        if features.shape[0] == targets.shape[0] {
            return Ok(Split { train: joined(&features, Some(&targets))?, test: None });
        }
    }
    let known = names.iter().map(|name| name.trim_end_matches(".npy"));
    Err(Error::unknown(
        &format!("arrays in {}: none is", path.display()),
        "x_train, X, features, train_images, data or arr_0",
        known,
    ))
}

/// The array with this name.
fn array(archive: &mut ZipArchive<BufReader<File>>, path: &Path, name: &str) -> Result<Npy> {
    let mut entry = archive.by_name(name).map_err(|error| broken(path, error))?;
    // Do not reserve the size that the archive claims: memory grows with the bytes actually read.
    let (claimed, most) = (entry.size(), most_expanded(entry.compressed_size()));
    let wrong = |found: String, expected: &str| {
        Err(Error::Data {
            path: path.into(),
            position: name.into(),
            found,
            expected: expected.into(),
        })
    };
    if claimed > most {
        let expected = "at most 100 times its compressed size and 32 MiB; save it uncompressed (numpy.savez) if it is meant so";
        return wrong(format!("a claim of {claimed} bytes"), expected);
    }
    let mut bytes = Vec::new();
    let outcome = entry.by_ref().take(claimed.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.len() as u64 > claimed {
        return wrong(
            format!("more bytes than the {claimed} that the archive claims"),
            "a whole zip archive",
        );
    }
    outcome.map_err(|error| Error::Data {
        path: path.into(),
        position: format!("byte {} of {name}", bytes.len()),
        found: format!("a damaged entry ({error})"),
        expected: "a whole zip archive".into(),
    })?;
    Npy::read(Source::part(path, name, bytes))
}

fn broken(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::Io { path: path.into(), source }
        }
        error => Error::Data {
            path: path.into(),
            // The directory is at the end of a zip archive; damage and truncation show up there.
            position: format!(
                "byte {} (the archive's directory)",
                std::fs::metadata(path).map_or(0, |file| file.len())
            ),
            found: error.to_string(),
            expected: "a whole zip archive".into(),
        },
    }
}
