//! Logs of a training: of one run at a time, of whole lines, and of a run that is resumed in the
//! midst of an epoch.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{DIGITS, assert_one_line, file, gradus, json_of, run, stderr, text};

const TRAIN: [&str; 9] =
    ["train", "--data", DIGITS, "--target", "64", "--loss", "cross_entropy", "--device", "cpu"];

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn interrupt(process: u32) {
    let status = Command::new("kill").args(["-INT", &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// The epochs of a log, each line of which is a JSON document.
fn epochs(log: &Path) -> Vec<u64> {
    let content = std::fs::read_to_string(log).unwrap();
    assert!(content.is_empty() || content.ends_with('\n'), "{content}");
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["epoch"].as_u64();
    content.lines().map(|line| number(line).unwrap()).collect()
}

#[test]
fn a_log_is_of_one_training_at_a_time() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let to_log = ["--log", text(&log)];
    let first = gradus(&[&TRAIN[..], &["--epochs", "1000000"], &to_log].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("no epoch is logged", || log.metadata().is_ok_and(|log| log.len() > 0));
    let second = run(&[&TRAIN[..], &["--epochs", "1"], &to_log].concat());
    assert_eq!(second.status.code(), Some(1));
    let message = stderr(&second);
    let message = message.lines().last().unwrap_or_default();
    assert!(message.contains("--log") && message.contains("another training run"), "{message}");
    if Path::new("/proc/locks").exists() {
        assert!(message.contains(&format!("process {}", first.id())), "{message}");
    }
    interrupt(first.id());
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(130));
    let found = epochs(&log);
    assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
    // The log is free again.
    assert_eq!(run(&[&TRAIN[..], &["--epochs", "1"], &to_log].concat()).status.code(), Some(0));
    assert_eq!(epochs(&log), [1]);
}

/// The command, whose files may have 512 bytes: what a full disk does to a file.
fn on_a_full_disk(arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_gradus")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_whole_lines_and_whole_records() {
    let folder = TempDir::new().unwrap();
    let (log, runs) = (folder.path().join("log"), folder.path().join("runs"));
    let output = on_a_full_disk(&[&TRAIN[..], &["--epochs", "12", "--log", text(&log)]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("--log"), "{}", stderr(&output));
    let found = epochs(&log);
    assert!(!found.is_empty() && found.len() < 12, "{found:?}");

    let events = ["--epochs", "12", "--tensorboard", text(&runs)];
    let output = on_a_full_disk(&[&TRAIN[..], &events].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("last whole record"), "{}", stderr(&output));
    let file = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    let (bytes, mut at) = (std::fs::read(file).unwrap(), 0);
    while at < bytes.len() {
        // A length of 8 bytes, its checksum, the data, its checksum.
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        at += 16 + length;
    }
    assert!(at == bytes.len() && at > 200, "{at} of {}", bytes.len());
}

#[test]
fn epochs_of_a_resumed_training_are_whole_ones() {
    let folder = TempDir::new().unwrap();
    let (model, log) = (folder.path().join("model"), folder.path().join("log"));
    let slow = ["--batch-size", "1", "--hidden", "300,300", "--epochs", "60"];
    let files = ["--out", text(&model), "--log", text(&log)];
    // An epoch takes a second; the signal comes in the midst of one.
    let child = gradus(&[&TRAIN[..], &slow, &files].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("no epoch is saved", || model.exists());
    std::thread::sleep(Duration::from_millis(300));
    interrupt(child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let last = stderr(&output);
    let last = last.lines().last().unwrap_or_default();
    assert!(last.contains("batches"), "in the midst of an epoch: {last}");
    let done = epochs(&log).len() as u64;
    // What is left of that epoch, and one more.
    let resume = ["--resume", text(&model), "--epochs", "1", "--json"];
    let source = ["train", "--data", DIGITS, "--target", "64", "--device", "cpu"];
    let found = json_of(&[&source[..], &resume, &files].concat());
    assert_eq!(found["epochs_before"], json!(done));
    assert_eq!(found["history"]["loss"].as_array().unwrap().len() as u64, done + 2, "{found}");
    assert_eq!(epochs(&log), (1..=done + 2).collect::<Vec<_>>());
    // Behind a whole epoch, it is one more.
    let found = json_of(&[&source[..], &resume, &files].concat());
    assert_eq!(found["history"]["loss"].as_array().unwrap().len() as u64, done + 3);
}

#[test]
fn an_empty_file_name_is_named() {
    for arguments in [&["train", "--data", "", "--loss", "mse"][..], &["train", "--text", ""]] {
        assert_one_line(&run(arguments), 2, &[arguments[1], "is empty"]);
    }
    assert_one_line(&run(&["predict", "", "--data", DIGITS]), 2, &["MODEL", "is empty"]);
}

#[test]
fn an_evaluation_without_data_names_the_text_too() {
    let output = run(&["evaluate", "gpt.safetensors"]);
    assert_one_line(&output, 2, &["--data", "--text FILE"]);
}

#[test]
fn a_log_that_is_no_file_of_its_own_is_refused() {
    let folder = TempDir::new().unwrap();
    let data = file(&folder, "data.csv", b"x,y\n1,2\n2,3\n3,4\n4,5\n5,6\n");
    let arguments = ["train", "--data", text(&data), "--target", "y", "--loss", "mse"];
    // Into a pipe, as here, and into a file: lines of a log between those of a document.
    if cfg!(unix) {
        let output = run(&[&arguments[..], &["--json", "--log", "/dev/stdout"]].concat());
        assert_one_line(&output, 2, &["--log: /dev/stdout is standard output", "--json"]);
        assert!(output.stdout.is_empty());
    }
    let runs = folder.path().join("runs");
    let same = ["--log", text(&runs), "--tensorboard", text(&runs)];
    let output = run(&[&arguments[..], &same].concat());
    assert_one_line(&output, 2, &["--log: ", "is the folder of --tensorboard"]);
    assert!(!runs.exists());
    let output = run(&[&arguments[..], &["--drop", "y"]].concat());
    assert_one_line(&output, 2, &["--drop: `y` is the target"]);
}
