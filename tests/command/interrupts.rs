//! Signals end a training with its state saved; a closed stdout or stderr does not end it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{DIGITS, gradus, run, stderr, text};

/// A training of a few seconds that saves every kind of state.
const TRAIN: &[&str] = &[
    "train",
    "--data",
    DIGITS,
    "--target",
    "64",
    "--loss",
    "cross_entropy",
    "--hidden",
    "96,48",
    "--epochs",
    "60",
    "--batch-size",
    "16",
    "--patience",
    "50",
    "--schedule",
    "reduce_on_plateau",
    "--schedule-set",
    "patience=1",
    "--schedule-by-epoch",
    "--average",
    "0.99",
    "--clip-norm",
    "1",
    "--seed",
    "3",
    "--device",
    "cpu",
];

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Starts a training and waits for its first message: from then on it handles signals.
fn started(arguments: &[&str]) -> Child {
    let mut child =
        gradus(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child
}

fn wait_for(path: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < until, "{} is not written", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The exit code and stderr.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut message = String::new();
    // Drained, so that the child can end.
    let _ = child.stdout.take().unwrap().read_to_end(&mut Vec::new());
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    (child.wait().unwrap().code(), message)
}

#[test]
fn a_signal_saves_and_the_resumed_training_is_an_unbroken_one() {
    let folder = TempDir::new().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let output = run(&[TRAIN, &["--out", text(&whole)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for signal in ["-INT", "-TERM"] {
        let _ = std::fs::remove_file(&cut);
        let child = started(&[TRAIN, &["--out", text(&cut)]].concat());
        wait_for(&cut);
        send(signal, &child);
        let (code, message) = ended(child);
        assert_eq!(code, Some(130), "{message}");
        let last = message.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("interrupted: stopped after") && last.contains("--resume"),
            "{message}"
        );
        let resume = [
            "train",
            "--data",
            DIGITS,
            "--target",
            "64",
            "--device",
            "cpu",
            "--resume",
            text(&cut),
            "--out",
            text(&cut),
        ];
        let output = run(&resume);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("of 60 epochs"), "{}", stderr(&output));
        assert!(std::fs::read(&cut).unwrap() == std::fs::read(&whole).unwrap(), "{signal}");
    }
}

#[test]
fn an_interrupted_training_reports_its_losses_in_the_targets_unit() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..500)
        .map(|row| format!("{},{}\n", row % 20, 1000 * (3 * (row % 20) + row % 7)))
        .collect();
    let data = crate::file(&folder, "line.csv", ("x,y\n".to_string() + &rows).as_bytes());
    let model = folder.path().join("m");
    let train = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--loss",
        "mse",
        "--device",
        "cpu",
        "--json",
    ];
    let whole = crate::json_of(&[&train[..], &["--epochs", "1"]].concat());
    let child = gradus(&[&train[..], &["--epochs", "1000000", "--out", text(&model)]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&model);
    send("-INT", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["baseline"], whole["baseline"]);
    assert_eq!(found["history"]["loss"][0], whole["history"]["loss"][0]);
}

#[test]
fn a_recommender_is_saved_at_a_signal_too() {
    let folder = TempDir::new().unwrap();
    let ratings: String = (0..40_000_u64)
        .map(|row| format!("{},{},5\n", row / 40, row * 2_654_435_761 % 7919 % 997 * 40 + row % 40))
        .collect();
    let data = crate::file(
        &folder,
        "ratings.csv",
        ("user,item,rating\n".to_string() + &ratings).as_bytes(),
    );
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let train = [
        "recommend",
        "--interactions",
        text(&data),
        "--epochs",
        "60",
        "--components",
        "16",
        "--seed",
        "4",
        "--device",
        "cpu",
    ];
    let output = run(&[&train[..], &["--out", text(&whole)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let child = gradus(&[&train[..], &["--out", text(&cut)]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&cut);
    send("-INT", &child);
    let (code, message) = ended(child);
    assert_eq!(code, Some(130), "{message}");
    assert!(
        message.contains("interrupted: stopped after") && message.contains("--resume"),
        "{message}"
    );
    let resume = [
        "recommend",
        "--interactions",
        text(&data),
        "--resume",
        text(&cut),
        "--out",
        text(&cut),
        "--device",
        "cpu",
        "--json",
    ];
    let report = crate::json_of(&resume);
    assert_eq!(report["history"]["loss"].as_array().unwrap().len(), 60);
    assert!(
        report["epochs_before"].as_u64().unwrap() > 0 && report["settings"]["components"] == 16,
        "{report}"
    );
    assert!(std::fs::read(&cut).unwrap() == std::fs::read(&whole).unwrap());
}

#[test]
fn a_training_on_everything_goes_on_where_it_was_cut() {
    let folder = TempDir::new().unwrap();
    let likes: String = (0..30_000_u64)
        .map(|row| format!("{},{}\n", row / 40, row * 2_654_435_761 % 7919 % 997 * 40 + row % 40))
        .collect();
    let data = crate::file(&folder, "likes.csv", ("user,item\n".to_string() + &likes).as_bytes());
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let train = [
        "recommend",
        "--interactions",
        text(&data),
        "--epochs",
        "60",
        "--components",
        "16",
        "--refit",
        "--device",
        "cpu",
    ];
    let output = run(&[&train[..], &["--out", text(&whole)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let child = gradus(&[&train[..], &["--out", text(&cut)]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let is_refit = || {
        std::fs::read(&cut).is_ok_and(|bytes| {
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).into_owned();
            // JSON within JSON: its quotes are escaped.
            head.contains(r#"refit\":\"done"#)
                || head.contains(r#"\"refit\":\"done"#)
                || head.contains(r#"refit\":\"done"#)
        })
    };
    while !is_refit() {
        assert!(Instant::now() < until, "it is never trained again");
        std::thread::sleep(Duration::from_millis(2));
    }
    send("-INT", &child);
    let (code, message) = ended(child);
    assert_eq!(code, Some(130), "{message}");
    assert!(
        message.contains("interrupted: stopped after") && message.contains("--resume"),
        "{message}"
    );
    let resume = [
        "recommend",
        "--interactions",
        text(&data),
        "--resume",
        text(&cut),
        "--out",
        text(&cut),
        "--device",
        "cpu",
        "--json",
    ];
    let report = crate::json_of(&resume);
    assert!(report["epochs_before"].as_u64().unwrap() < 60 && report["test"].is_null(), "{report}");
    assert!(std::fs::read(&cut).unwrap() == std::fs::read(&whole).unwrap());

    // Interrupted before the refit: the file records that the refit is pending.
    let early = folder.path().join("early");
    let child = gradus(&[&train[..], &["--out", text(&early)]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&early);
    send("-INT", &child);
    assert_eq!(ended(child).0, Some(130));
    let resume = [
        "recommend",
        "--interactions",
        text(&data),
        "--resume",
        text(&early),
        "--out",
        text(&early),
    ];
    let report = crate::json_of(&[&resume[..], &["--device", "cpu", "--json"]].concat());
    assert_eq!(report["refit"]["history"]["loss"].as_array().unwrap().len(), 60);
    assert!(
        report["test"].is_object()
            && std::fs::read(&early).unwrap() == std::fs::read(&whole).unwrap()
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    // One step takes seconds.
    let arguments = [
        "train",
        "--data",
        DIGITS,
        "--target",
        "64",
        "--loss",
        "mse",
        "--hidden",
        "2500,2500",
        "--batch-size",
        "1600",
    ];
    let child = started(&[&arguments[..], &["--device", "cpu"]].concat());
    std::thread::sleep(Duration::from_millis(100));
    send("-INT", &child);
    std::thread::sleep(Duration::from_millis(50));
    send("-INT", &child);
    let (code, message) = ended(child);
    assert_eq!(code, Some(130), "{message}");
    assert!(!message.contains("interrupted:"), "the step was waited for: {message}");
}

#[test]
fn without_a_file_an_interrupt_says_that_nothing_is_saved() {
    let child = started(TRAIN);
    send("-TERM", &child);
    let (code, message) = ended(child);
    assert_eq!(code, Some(130), "{message}");
    assert!(message.contains("nothing is saved: --out was not given"), "{message}");
}

#[test]
fn nobody_who_listens_is_no_reason_not_to_train() {
    let folder = TempDir::new().unwrap();
    let short = [
        "train", "--data", DIGITS, "--target", "64", "--loss", "mse", "--hidden", "8", "--epochs",
        "2", "--device", "cpu",
    ];
    for (stream, json) in [("stdout", false), ("stdout", true), ("stderr", false), ("both", false)]
    {
        let model = folder.path().join(format!("{stream}{json}"));
        for out in [true, false] {
            let mut arguments = short.to_vec();
            arguments.extend(if out { vec!["--out", text(&model)] } else { Vec::new() });
            arguments.extend(json.then_some("--json"));
            let mut child =
                gradus(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            if stream != "stderr" {
                drop(child.stdout.take());
            }
            if stream != "stdout" {
                drop(child.stderr.take());
            }
            let output = child.wait_with_output().unwrap();
            let ends_well = out || stream == "stderr";
            assert_eq!(
                output.status.code(),
                Some(i32::from(!ends_well)),
                "{stream} {json} {out}: {}",
                stderr(&output)
            );
            assert_eq!(model.exists(), out, "{stream} {json}");
            let _ = std::fs::remove_file(&model);
        }
    }
}
