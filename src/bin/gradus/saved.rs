//! Model files: the kind of a saved model, and early checks that an output file can be written,
//! before hours of training.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use gradus::files;
use same_file::Handle;
use serde_json::Value;

use crate::output::{Failure, Outcome};

/// Kind of a model file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Saved by `train`.
    Network,
    /// Saved by `recommend`.
    Recommender,
}

/// Metadata keys of the two descriptions.
const KEYS: [(&str, Kind); 2] =
    [("gradus", Kind::Network), ("gradus_recommender", Kind::Recommender)];

/// Maximum length of a safetensors header; anything longer is another format.
const LONGEST_HEADER: u64 = 100_000_000;

/// Rejects a model of the other kind and names the command that takes it. Other files are left to
/// the reader, which reports the error.
pub fn check_kind(flag: &str, path: &Path, wanted: Kind) -> Outcome {
    let Some((found, _)) = description(path).filter(|(found, _)| *found != wanted) else {
        return Ok(());
    };
    let name = path.display();
    let (what, command) = match found {
        Kind::Network => ("a network", format!("gradus predict {name} --data PATH")),
        Kind::Recommender => {
            ("a recommender", format!("gradus recommend --model {name} --user ID"))
        }
    };
    Err(Failure::Failed(format!("{flag}: {name} holds {what}; `{command}` asks it")))
}

/// Kind and description of a saved model; none for a file that gradus did not write.
pub fn description(path: &Path) -> Option<(Kind, Value)> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    if length > LONGEST_HEADER || file.take(length).read_to_end(&mut header).ok()? as u64 != length
    {
        return None;
    }
    let header: Value = serde_json::from_slice(&header).ok()?;
    KEYS.into_iter().find_map(|(key, kind)| {
        let text = header["__metadata__"][key].as_str()?;
        Some((kind, serde_json::from_str(text).unwrap_or_default()))
    })
}

/// Checks that a file can be written before hours are spent on its content, and that it is not one
/// of the input files under any name; `inputs` are these files with their flags.
pub fn check_out(flag: &str, path: &Path, inputs: &[(&str, PathBuf)]) -> Outcome {
    let refused = |why: String| Err(Failure::Failed(format!("{flag}: {}: {why}", path.display())));
    if path == Path::new("-") {
        let why = "standard output takes no file; name one (./- if that is its name)";
        return refused(why.into());
    }
    // Files are opened to compare them; opening a pipe would block until its other end opens.
    for (other, input) in inputs.iter().filter(|(_, input)| path.is_file() && input.is_file()) {
        if same_file::is_same_file(path, input).unwrap_or(false) {
            return refused(format!(
                "it is {}, which {other} reads; name another file",
                input.display()
            ));
        }
    }
    // A log or a page in the place of a model that took hours.
    if flag != "--out" && path.is_file() && description(path).is_some() {
        return refused("it is a saved model, which would be lost; name another file".into());
    }
    if path.is_file() && is_output_stream(path) {
        return refused("stdout or stderr goes into it; name another file".into());
    }
    let is_read = |stdin: Handle| Handle::from_path(path).is_ok_and(|file| file == stdin);
    if path.is_file() && Handle::stdin().is_ok_and(is_read) {
        return refused("it is standard input; name another file".into());
    }
    files::check_writable(path).map_err(|error| Failure::from(error).of(flag))
}

/// Rejects resuming a saved model without saving the result: the file of --resume is overwritten
/// only on request.
pub fn check_resumed(resume: Option<&Path>, out: Option<&Path>) -> Outcome {
    let (Some(path), None) = (resume, out) else { return Ok(()) };
    let path = path.display();
    Err(Failure::Usage(format!(
        "--resume: without --out nothing of the training would be saved; --out {path} writes over the saved model, any other file keeps it"
    )))
}

/// As [`check_out`], for a log beside the models that are read (--resume) and written (--out). It
/// may also be a device or a pipe.
pub fn check_log(path: &Path, inputs: &[(&str, PathBuf)], models: [Option<&Path>; 2]) -> Outcome {
    check_models("--log", path, models)?;
    if !is_stream(path) {
        check_out("--log", path, inputs)?;
    }
    Ok(())
}

/// Rejects a log that goes where the document of --json goes: neither could be read.
pub fn check_log_beside_document(path: &Path) -> Outcome {
    if !is_stdout(path) {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::Usage(format!(
        "--log: {path} is standard output, where --json prints its document; name a file"
    )))
}

/// True for a file or pipe that standard output goes to as well. A terminal shows both, and it is
/// standard error too.
fn is_stdout(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let of = |file: &std::fs::Metadata| (file.dev(), file.ino());
        let own = Handle::stdout().ok().and_then(|own| own.as_file().metadata().ok());
        own.filter(|own| !own.file_type().is_char_device())
            .zip(path.metadata().ok())
            .is_some_and(|(own, found)| of(&own) == of(&found))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Rejects an output that is one of the models that are read (--resume) and written (--out).
pub fn check_models(flag: &str, path: &Path, models: [Option<&Path>; 2]) -> Outcome {
    for (other, model) in ["--resume", "--out"].into_iter().zip(models) {
        if let Some(model) = model.filter(|model| is_same(path, model)) {
            let (path, model) = (path.display(), model.display());
            let message =
                format!("{flag}: {path}: it is {model}, the model of {other}; name another file");
            return Err(Failure::Failed(message));
        }
    }
    Ok(())
}

/// True for what exists and is neither a file nor a folder: a device, a pipe.
fn is_stream(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// True if two paths name the same file, even one that does not exist yet.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let path = &files::end_of_links(path).ok()?;
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some((folder.canonicalize().ok()?, path.file_name()?.to_os_string()))
    };
    let is_one_place = || place(one).is_some_and(|found| Some(found) == place(other));
    // Files are opened to compare them, and opening a pipe would block until its other end opens.
    if is_stream(one) || is_stream(other) {
        return is_one_place();
    }
    same_file::is_same_file(one, other).unwrap_or_else(|_| is_one_place())
}

/// True if the command's own output goes into this file.
fn is_output_stream(path: &Path) -> bool {
    let Ok(handle) = Handle::from_path(path) else { return false };
    [Handle::stdout(), Handle::stderr()].into_iter().flatten().any(|stream| stream == handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_tried_leaves_nothing_behind_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let check_out = |path: &Path| check_out("--out", path, &[]);
        check_out(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&path, "a model").unwrap();
        check_out(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a model");
        for wrong in
            [folder.path(), &folder.path().join("none/m"), &path.join("m"), Path::new("..")]
        {
            let Err(Failure::Failed(message)) = check_out(wrong) else {
                panic!("{}", wrong.display())
            };
            assert!(message.starts_with("--out: "), "{message}");
        }
    }

    #[test]
    fn an_input_is_no_output_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("data.csv"), "a,b").unwrap();
        std::fs::write(at("other.csv"), "a,b").unwrap();
        std::fs::hard_link(at("data.csv"), at("linked")).unwrap();
        std::fs::create_dir(at("below")).unwrap();
        let inputs = [("--data", at("data.csv"))];
        for name in ["data.csv", "linked", "below/../data.csv", "./data.csv"] {
            let Err(Failure::Failed(message)) = check_out("--out", &at(name), &inputs) else {
                panic!("{name}")
            };
            assert!(message.contains("which --data reads"), "{message}");
        }
        check_out("--out", &at("other.csv"), &inputs).unwrap();
    }

    #[test]
    fn outputs_are_no_models_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("z"), folder.path().join("./z"));
        for exists in [false, true] {
            if exists {
                std::fs::write(&one, "a model").unwrap();
            }
            let found = check_models("--html", &other, [None, Some(one.as_path())]);
            let Err(Failure::Failed(message)) = found else { panic!("{exists}") };
            assert!(message.contains("the model of --out"), "{message}");
            assert!(is_same(&one, &other) && !is_same(&one, &folder.path().join("y")));
        }
        if cfg!(unix) {
            check_log(Path::new("/dev/null"), &[], [None, Some(one.as_path())]).unwrap();
        }
        assert!(check_log(folder.path(), &[], [None, None]).is_err());
    }

    #[test]
    fn what_is_no_safetensors_file_has_no_description() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        for content in
            [&b""[..], b"no model", &[255; 20], b"\x02\0\0\0\0\0\0\0{}", b"\x09\0\0\0\0\0\0\0{}"]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(description(&path), None);
        }
        assert_eq!(description(folder.path()), None);
    }
}
