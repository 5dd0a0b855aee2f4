//! Output paths: inputs are never overwritten, only regular files are written, and the old file
//! stays intact if the new one cannot be written.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::{assert_one_line, file, gradus, run, stderr, text};

const OLD: &[u8] = b"what was there before";

/// A folder with small data in each format.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let csv: String =
            (0..40).map(|row| format!("{},{},{}\n", row % 7, row % 5, row % 2)).collect();
        place.put("data.csv", ("a,b,y\n".to_string() + &csv).as_bytes());
        place.put("test.csv", ("a,b,y\n".to_string() + &csv).as_bytes());
        let ratings: String =
            (0..200).map(|row| format!("{},{},5\n", row / 10, row * 7 % 30 + row % 10)).collect();
        place.put("ratings.csv", ("user,item,rating\n".to_string() + &ratings).as_bytes());
        let lines: String =
            (0..40).map(|row| format!("{} 1:{} 2:{}\n", row % 3, row % 7, row % 5)).collect();
        place.put("rank.svm", lines.as_bytes());
        place.put("rank.svm.query", "8\n".repeat(5).as_bytes());
        for name in ["x.npy", "y.npy"] {
            let bytes =
                fs::read(format!("{}/tests/numpy/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            place.put(name, &bytes);
        }
        fs::create_dir(place.at("images")).unwrap();
        for (name, magic, each) in
            [("train-images-idx3-ubyte", 3, 4), ("train-labels-idx1-ubyte", 1, 1)]
        {
            let mut bytes = vec![0, 0, 8, magic, 0, 0, 0, 20];
            bytes.extend((1..magic).flat_map(|_| [0, 0, 0, 2]));
            bytes.extend((0..20 * each).map(|at| (at % 2) as u8));
            place.put(&format!("images/{name}"), &bytes);
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).unwrap();
    }

    /// Every file in the folder with its content; pipes and devices are not read.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap().file_type();
                if kind.is_dir() {
                    folders.push(path);
                } else {
                    found.push((
                        path.clone(),
                        if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() },
                    ));
                }
            }
        }
        found.sort();
        found
    }

    fn command(&self, kind: &str, out: &Path) -> Command {
        let path = |name: &str| text(&self.at(name)).to_string();
        let mut arguments: Vec<String> = match kind {
            "recommend" => vec!["recommend".into(), "--interactions".into(), path("ratings.csv")],
            "test" => vec![
                "train".into(),
                "--data".into(),
                path("data.csv"),
                "--test".into(),
                path("test.csv"),
            ],
            "svm" => vec!["train".into(), "--data".into(), path("rank.svm")],
            "npy" => vec![
                "train".into(),
                "--data".into(),
                path("x.npy"),
                "--validation".into(),
                "0".into(),
            ],
            "images" => vec!["train".into(), "--data".into(), path("images")],
            "bench" => vec!["bench".into(), "mse".into(), "--quick".into()],
            _ => vec!["train".into(), "--data".into(), path("data.csv")],
        };
        let more: &[&str] = match kind {
            "bench" => &["--device", "cpu", "--html"],
            "recommend" => &["--epochs", "2", "--device", "cpu", "--components", "4", "--out"],
            "svm" => &["--loss", "list_net", "--epochs", "2", "--device", "cpu", "--out"],
            "npy" | "images" => &["--loss", "mse", "--epochs", "2", "--device", "cpu", "--out"],
            _ => &[
                "--target",
                "y",
                "--loss",
                "cross_entropy",
                "--epochs",
                "2",
                "--device",
                "cpu",
                "--out",
            ],
        };
        arguments.extend(more.iter().map(ToString::to_string));
        arguments.push(text(out).into());
        gradus(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn run(&self, kind: &str, out: &Path) -> Output {
        self.command(kind, out).output().unwrap()
    }

    /// Asserts that an output is refused with these words and that no file changed.
    fn refuses(&self, kind: &str, out: &Path, words: &str) {
        let before = self.contents();
        let output = self.run(kind, out);
        self.is_refused(&output, before, &format!("{kind} to {}", out.display()), words);
    }

    fn is_refused(
        &self,
        output: &Output,
        before: Vec<(PathBuf, Vec<u8>)>,
        what: &str,
        words: &str,
    ) {
        let message = stderr(output);
        assert_eq!(output.status.code(), Some(1), "{what}: {message}");
        let line = message.lines().last().unwrap_or_default();
        assert!(
            line.starts_with("error: --") && line.contains(words),
            "{what}: `{words}` is not in: {message}"
        );
        assert!(self.contents() == before, "{what}: a file is another");
    }

    /// Asserts that a model is written and no temporary file remains.
    fn writes(&self, kind: &str, out: &Path) {
        let output = self.run(kind, out);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{kind} to {}: {}",
            out.display(),
            stderr(&output)
        );
        assert!(is_model(out), "{}", out.display());
        let left = self
            .contents()
            .into_iter()
            .find(|(path, _)| path.to_string_lossy().ends_with(".unfinished"));
        assert_eq!(left, None);
    }
}

/// True for a complete safetensors file.
fn is_model(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| safetensors::SafeTensors::deserialize(&bytes).is_ok())
}

#[test]
fn an_input_is_never_written_over() {
    let place = Place::new();
    fs::create_dir(place.at("sub")).unwrap();
    let reads = |flag: &str| format!("which {flag} reads");
    let linked = |of: &str, name: &str| fs::hard_link(place.at(of), place.at(name)).unwrap();
    place.refuses("train", &place.at("data.csv"), &reads("--data"));
    place.refuses("train", &place.at("sub/../data.csv"), &reads("--data"));
    linked("data.csv", "hard");
    place.refuses("train", &place.at("hard"), &reads("--data"));
    symlink("data.csv", place.at("soft")).unwrap();
    place.refuses("train", &place.at("soft"), &reads("--data"));
    place.refuses("test", &place.at("test.csv"), &reads("--test"));
    linked("rank.svm.query", "query");
    place.refuses("svm", &place.at("query"), &reads("--data"));
    place.refuses("npy", &place.at("y.npy"), &reads("--data"));
    place.refuses("images", &place.at("images/train-labels-idx1-ubyte"), &reads("--data"));
    linked("images/train-images-idx3-ubyte", "pixels");
    place.refuses("images", &place.at("pixels"), &reads("--data"));
    linked("ratings.csv", "stars");
    place.refuses("recommend", &place.at("stars"), &reads("--interactions"));
    place.refuses("recommend", &place.at("ratings.csv"), &reads("--interactions"));
}

#[test]
fn only_a_file_is_written_to() {
    let place = Place::new();
    let made = Command::new("mkfifo").arg(place.at("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    symlink("images", place.at("to folder")).unwrap();
    symlink("round", place.at("round")).unwrap();
    for kind in ["train", "recommend", "bench"] {
        place.refuses(kind, &place.at("pipe"), "it is a pipe");
        place.refuses(kind, &place.at("socket"), "it is a socket");
        place.refuses(kind, Path::new("/dev/null"), "it is a device");
        place.refuses(kind, &place.at("images"), "it is a folder");
        place.refuses(kind, &place.at("to folder"), "it is a folder");
        place.refuses(kind, &place.at("none/model"), "there is no folder");
        place.refuses(kind, &place.at("data.csv/model"), "there is no folder");
        place.refuses(kind, &place.at("round"), "");
        place.refuses(kind, Path::new("-"), "standard output takes no file");
    }
    // The command's own report goes into that file.
    let report = place.at("report");
    let before = place.contents();
    let output = place
        .command("train", &report)
        .stdout(fs::File::create(&report).unwrap())
        .output()
        .unwrap();
    fs::remove_file(&report).unwrap();
    place.is_refused(&output, before, "its own stdout", "stdout");
}

#[test]
fn what_is_replaced_keeps_its_place_and_its_permissions() {
    let place = Place::new();
    for kind in ["train", "recommend"] {
        fs::create_dir(place.at("far")).unwrap();
        symlink("far/new", place.at("dangling")).unwrap();
        place.writes(kind, &place.at("dangling"));
        assert!(place.at("dangling").is_symlink() && is_model(&place.at("far/new")));
        place.put("far/old", OLD);
        fs::set_permissions(place.at("far/old"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink(place.at("far/old"), place.at("link")).unwrap();
        place.writes(kind, &place.at("link"));
        assert_eq!(fs::metadata(place.at("far/old")).unwrap().mode() & 0o7777, 0o640);
        assert!(place.at("link").is_symlink());
        // Another hard link to the old file keeps its content.
        place.put("one", OLD);
        fs::hard_link(place.at("one"), place.at("other")).unwrap();
        place.writes(kind, &place.at("one"));
        assert_eq!(fs::read(place.at("other")).unwrap(), OLD);
        for name in ["dangling", "link", "one", "other"] {
            fs::remove_file(place.at(name)).unwrap();
        }
        fs::remove_dir_all(place.at("far")).unwrap();
    }
}

#[test]
fn what_cannot_be_written_stays_as_it_was() {
    let place = Place::new();
    place.put("protected", OLD);
    fs::set_permissions(place.at("protected"), fs::Permissions::from_mode(0o444)).unwrap();
    place.refuses("train", &place.at("protected"), "read-only");
    fs::create_dir(place.at("locked")).unwrap();
    place.put("locked/model", OLD);
    fs::set_permissions(place.at("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::metadata(place.at("locked")).unwrap().uid() == 0;
    for kind in ["train", "recommend"] {
        for name in ["locked/model", "locked/new"] {
            let before = place.contents();
            let mut command = place.command(kind, &place.at(name));
            if is_root {
                // Root may write everywhere, nobody may not.
                command.uid(65534).gid(65534);
            }
            match command.output() {
                Ok(output) => place.is_refused(&output, before, name, "ermission denied"),
                Err(error) => println!("IGNORED: no other user can run the command: {error}"),
            }
        }
    }
    fs::set_permissions(place.at("locked"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a shell line with a small disk mounted at `disk`; `None` where mounting is not permitted.
fn on_disk(place: &Place, line: &str) -> Option<Output> {
    let disk = text(&place.at("disk")).to_string();
    let script = format!("mount -t tmpfs -o size=64k tmpfs '{disk}' && {line}");
    let may = Command::new("unshare")
        .args(["-rm", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !may {
        println!("IGNORED: no disk of one's own (unshare -rm) on this system");
        return None;
    }
    let shell = ["-rm", "sh", "-c", &script];
    Some(Command::new("unshare").args(shell).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_full_disk_and_a_read_only_one_leave_the_old_file_whole() {
    let place = Place::new();
    fs::create_dir(place.at("disk")).unwrap();
    let model = place.at("disk/model");
    let command = |kind: &str| {
        let command = place.command(kind, &model);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
    };
    for kind in ["train", "recommend"] {
        let (command, model) = (command(kind), text(&model));
        let disk = text(&place.at("disk")).to_string();
        // A network of 128, 64 units exceeds 64 KiB, and so does a recommender of many components.
        let command = command.replace("'--components' '4'", "'--components' '400'");
        for (prepare, words) in [
            (format!("echo old > '{model}'"), "No space left"),
            (
                format!("echo old > '{model}'; mount -o remount,ro '{disk}'"),
                "Read-only file system",
            ),
        ] {
            let line = format!(
                "{prepare}; {command}; code=$?; echo \"exit $code\" >&2; cat '{model}' >&2; ls -A '{disk}' >&2"
            );
            let Some(output) = on_disk(&place, &line) else { return };
            let report = stderr(&output);
            assert!(report.contains("exit 1\nold\nmodel\n"), "{kind}: {report}");
            assert!(report.contains("error: ") && report.contains(words), "{kind}: {report}");
        }
    }
}

/// Several processes repeatedly train to one file; it is complete at every moment, and finally one
/// of theirs.
fn race(processes: u64, rounds: usize) {
    let place = Place::new();
    let (out, alone) = (place.at("model"), place.at("alone"));
    let expected: Vec<Vec<u8>> = (0..processes)
        .map(|seed| {
            let output = place
                .command("train", &alone)
                .args(["--seed", &seed.to_string()])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            fs::read(&alone).unwrap()
        })
        .collect();
    for round in 0..rounds {
        let start = |seed: u64| {
            let mut command = place.command("train", &out);
            command
                .args(["--seed", &seed.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut children: Vec<_> = (0..processes).map(start).collect();
        while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
            assert!(!out.exists() || is_model(&out), "round {round}: half a file");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "round {round}: {}", stderr(&output));
        }
        assert!(expected.contains(&fs::read(&out).unwrap()), "round {round}: the file of nobody");
        if round % 2 == 0 {
            fs::remove_file(&out).unwrap();
        }
    }
    let left = place
        .contents()
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().ends_with(".unfinished"));
    assert_eq!(left, None);
}

#[test]
fn processes_with_one_output_leave_a_whole_file() {
    race(2, 5);
    race(4, 5);
}

#[test]
#[ignore = "minutes: a hundred rounds"]
fn processes_with_one_output_leave_a_whole_file_a_hundred_times() {
    race(2, 100);
    race(4, 100);
}

#[test]
fn standard_input_and_what_a_link_to_nothing_leads_to_are_no_outputs() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..40).map(|row| format!("{row},{}\n", row % 2)).collect();
    let data = file(&folder, "in.csv", format!("x,y\n{rows}").as_bytes());
    let before = std::fs::read(&data).unwrap();
    let train = ["train", "--target", "y", "--loss", "cross_entropy", "--device", "cpu", "--data"];
    for flag in ["--log", "--out"] {
        let mut command = gradus(&[&train[..], &["-", flag, text(&data)]].concat());
        let output = command.stdin(std::fs::File::open(&data).unwrap()).output().unwrap();
        assert_one_line(&output, 1, &[flag, "it is standard input", "name another file"]);
        assert_eq!(std::fs::read(&data).unwrap(), before);
    }
    #[cfg(unix)]
    {
        let (model, link) = (folder.path().join("m"), folder.path().join("link"));
        std::os::unix::fs::symlink("m", &link).unwrap();
        let output = run(&[
            &train[..],
            &[text(&data), "--out", text(&model), "--log", text(&link)],
        ]
        .concat());
        assert_one_line(&output, 1, &["--log", "the model of --out"]);
    }
}
