//! `gradus recommend` on counts and times, and refitting on all data.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{assert_one_line, file, run, stderr, text};

/// Plays by users of two tastes, many of their own taste, by day.
fn plays(folder: &TempDir, header: &str) -> PathBuf {
    let mut lines = format!("{header}\n");
    for user in 0..50 {
        for item in (0..40).filter(|item| (item * 7 + user * 5) % 3 > 0) {
            let count = if item % 2 == user % 2 { 30 + item } else { 1 };
            lines +=
                &format!("{user},{item},{count},2020-{:02}-{:02}\n", 1 + item % 12, 1 + user % 28);
        }
    }
    // The first pair again, and a pair that was never played.
    lines += "0,1,4,2020-12-30\n1,0,0,2020-01-01\n";
    file(folder, "plays.csv", lines.as_bytes())
}

fn trained(path: &Path, more: &[&str]) -> (Value, String) {
    let arguments = ["recommend", "--interactions", text(path), "--device", "cpu", "--json"];
    // A saved recommender has a fixed number of components.
    let components: &[&str] = if more.contains(&"--resume") { &[] } else { &["--components", "8"] };
    let output = run(&[&arguments[..], components, more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
}

#[test]
fn counts_are_confidences() {
    let folder = TempDir::new().unwrap();
    let known = plays(&folder, "user,artist,plays,date");
    let (log, notes) = trained(&known, &[]);
    for words in [
        "column `plays` holds counts",
        "1 line(s) with a count of 0 are left out",
        "again: added up",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    assert_eq!(
        (&log["settings"]["confidence"], &log["settings"]["split"]),
        (&"log".into(), &"random".into())
    );
    let (binary, _) = trained(&known, &["--confidence", "binary"]);
    let (linear, _) = trained(&known, &["--confidence", "linear"]);
    assert_eq!(binary["interactions"], log["interactions"]);
    assert!(
        log["history"]["loss"] != binary["history"]["loss"]
            && log["history"]["loss"] != linear["history"]["loss"]
    );
    // Binary equals the pairs alone: without the column, each pair once.
    let other = TempDir::new().unwrap();
    let named = plays(&other, "user,artist,amount,date");
    let (named, _) = trained(&named, &["--weight", "amount"]);
    assert_eq!(named["history"]["loss"], log["history"]["loss"]);
    assert_eq!(named["settings"]["weight"], "amount");

    let refused = |more: &[&str]| {
        run(&[
            &["recommend", "--interactions", text(&known), "--device", "cpu", "--epochs", "1"],
            more,
        ]
        .concat())
    };
    assert_one_line(
        &refused(&["--weight", "pläys"]),
        1,
        &["--weight", "unknown column", "user, artist, plays, date"],
    );
    assert_one_line(&refused(&["--confidence", "some"]), 2, &["--confidence", "log"]);
    let bad = file(&folder, "bad.csv", b"user,artist,plays\n1,2,3\n1,3,-1\n");
    let output = run(&["recommend", "--interactions", text(&bad), "--device", "cpu"]);
    assert_one_line(&output, 1, &["--interactions", "line 3, column `plays`", "`-1`", "--weight"]);
}

#[test]
fn the_latest_are_tested_on() {
    let folder = TempDir::new().unwrap();
    let known = plays(&folder, "user,artist,plays,date");
    let (found, _) = trained(&known, &["--split", "time"]);
    assert_eq!((&found["settings"]["split"], found["test"].is_object()), (&"time".into(), true));
    let (random, _) = trained(&known, &[]);
    assert_ne!(found["test"], random["test"]);
    // It is also held out when the training resumes.
    let out = folder.path().join("m");
    trained(&known, &["--split", "time", "--epochs", "2", "--out", text(&out)]);
    let (resumed, _) =
        trained(&known, &["--resume", text(&out), "--out", text(&out), "--epochs", "18"]);
    assert_eq!((&resumed["test"], &resumed["settings"]["split"]), (&found["test"], &"time".into()));

    let none = file(&folder, "likes.csv", b"user,item\n1,2\n1,3\n2,3\n2,2\n3,2\n");
    let output =
        run(&["recommend", "--interactions", text(&none), "--split", "time", "--device", "cpu"]);
    assert!(
        stderr(&output).contains("error: --split time: ")
            && stderr(&output).contains("have no times"),
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    let output = run(&[
        "recommend",
        "--interactions",
        text(&known),
        "--time",
        "plays",
        "--weight",
        "plays",
        "--device",
        "cpu",
        "--epochs",
        "1",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let newest = file(&folder, "new.csv", b"user,item,time\n1,2,1\n1,3,2\n1,4,3\n1,5,4\n2,3,9\n");
    let (_, notes) = trained(&newest, &["--split", "time", "--epochs", "1"]);
    assert!(notes.contains("of the 1 users to test on 1 have nothing before the split"), "{notes}");
}

#[test]
fn refit_saves_what_has_learned_from_everything() {
    let folder = TempDir::new().unwrap();
    let known = plays(&folder, "user,artist,plays,date");
    let path = |name: &str| folder.path().join(name);
    let (tested, refit, all) = (path("tested"), path("refit"), path("all"));
    let (plain, _) = trained(&known, &["--epochs", "4", "--out", text(&tested)]);
    let (found, notes) = trained(&known, &["--epochs", "4", "--refit", "--out", text(&refit)]);
    assert_eq!((&found["test"], &found["history"]), (&plain["test"], &plain["history"]));
    assert_eq!(found["refit"]["interactions"], found["interactions"]);
    assert_eq!(found["refit"]["history"]["loss"].as_array().unwrap().len(), 4);
    assert!(notes.contains("training again on all"), "{notes}");
    assert_eq!((&plain["refit"], &plain["settings"]["refit"]), (&Value::Null, &false.into()));
    let (whole, _) =
        trained(&known, &["--epochs", "4", "--test-fraction", "0", "--out", text(&all)]);
    assert_eq!(found["refit"]["history"]["loss"], whole["history"]["loss"]);
    // Nothing that a user has played is recommended, held-out plays included.
    let answer = |model: &Path| {
        let ask = [
            "recommend",
            "--model",
            text(model),
            "--user",
            "3",
            "--count",
            "100",
            "--device",
            "cpu",
            "--json",
        ];
        let output = run(&ask);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["items"].clone()
    };
    assert_eq!(answer(&refit), answer(&all));
    assert!(answer(&tested).as_array().unwrap().len() > answer(&refit).as_array().unwrap().len());
    // It can resume, on all data.
    let (more, _) =
        trained(&known, &["--resume", text(&refit), "--epochs", "2", "--out", text(&refit)]);
    assert_eq!(
        (&more["epochs_before"], &more["test"], &more["refit"]),
        (&4.into(), &Value::Null, &Value::Null)
    );
    // A model trained without refitting is refitted later.
    let (later, _) =
        trained(&known, &["--resume", text(&tested), "--refit", "--out", text(&tested)]);
    assert_eq!((&later["refit"], &later["test"]), (&found["refit"], &found["test"]));

    let refused = |more: &[&str]| {
        run(&[&["recommend", "--interactions", text(&known), "--refit"], more].concat())
    };
    assert_one_line(&refused(&[]), 2, &["--out"]);
    assert_one_line(
        &refused(&["--out", text(&all), "--test-fraction", "0"]),
        2,
        &["--refit", "--test-fraction 0"],
    );
    let output = run(&[
        "recommend",
        "--interactions",
        text(&known),
        "--epochs",
        "3",
        "--refit",
        "--device",
        "cpu",
        "--out",
        text(&all),
    ]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("likes, weighted by ln(1 + count)")
            && report.contains("trained again on all"),
        "{report}"
    );
}
