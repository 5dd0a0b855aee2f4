//! `gradus tune`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::{assert_one_line, file, gradus, json_of, run, stderr, text};

/// A table whose target is linear in two columns and depends on a word; no randomness is needed for
/// numbers that no network learns at once.
fn table(path: &Path, rows: usize) {
    let mut csv = String::from("a,b,kind,y\n");
    for row in 0..rows {
        let at = |factor: usize, prime: usize| (row * factor % prime) as f64 / prime as f64 - 0.5;
        let (a, b, noise) = (at(37, 101), at(53, 97), at(71, 89));
        let kind = ["low", "high", "mid"][row % 3];
        let shift = [0.0, 4.0, 1.0][row % 3];
        let _ = writeln!(csv, "{a},{b},{kind},{}", 10.0 * a - 5.0 * b + shift + 0.2 * noise);
    }
    fs::write(path, csv).unwrap();
}

/// The lines of a study without their times.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let without =
        |line: &str| line.find("\"datetime").map_or(line.to_string(), |at| line[..at].to_string());
    text.lines().map(without).collect()
}

#[test]
fn a_budget_that_is_exceeded_and_a_target_of_one_value_are_reported() {
    let folder = TempDir::new().unwrap();
    let table = |value: fn(usize) -> usize| {
        (0..60).map(|row| format!("{row},{}\n", value(row))).collect::<String>()
    };
    let constant = file(&folder, "constant.csv", format!("x,y\n{}", table(|_| 3)).as_bytes());
    let output = run(&["tune", "--data", text(&constant), "--target", "y", "--device", "cpu"]);
    assert_one_line(&output, 1, &["the targets are 3 in all rows", "two different ones"]);
    let data = file(&folder, "data.csv", format!("x,y\n{}", table(|row| row * row)).as_bytes());
    let arguments = ["tune", "--data", text(&data), "--target", "y", "--device", "cpu", "--budget"];
    let output = run(&[&arguments[..], &["1"]].concat());
    let words = stderr(&output);
    assert!(output.status.success() && words.contains("more than --budget 1: "), "{words}");
    assert!(!stderr(&run(&[&arguments[..], &["200000"]].concat())).contains("more than"));
}

#[test]
fn the_winner_is_saved_and_its_command_line_trains_it_again() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (data, study, model, again) = (at("d.csv"), at("s.jsonl"), at("m"), at("again"));
    table(&data, 150);
    let search = [
        "tune",
        "--data",
        text(&data),
        "--target",
        "y",
        "--device",
        "cpu",
        "--budget",
        "1000000",
        "--bracket",
        "9",
        "--study",
        text(&study),
        "--out",
        text(&model),
        "--json",
    ];
    let found = json_of(&search);
    assert_eq!(found["metric"], "rmse");
    assert!(found["trials"].as_u64().unwrap() >= 9);
    assert!(found["row_updates"].as_u64().unwrap() <= 1_000_000);
    let finalists = found["decision"]["finalists"].as_array().unwrap();
    assert_eq!(finalists[0]["trial"], 0);
    assert!(finalists.len() >= 2, "{finalists:?}");
    // The targets vary by 3.7, the noise by 0.06.
    let taken = &found["decision"]["taken"];
    let taken = finalists.iter().find(|one| one["trial"] == *taken).unwrap();
    assert!(taken["value"].as_f64().unwrap() < 1.0, "{taken}");

    let command = found["command"].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let mut words: Vec<&str> = words[..words.len() - 1].to_vec();
    words.extend([text(&again), "--device", "cpu", "--json"]);
    json_of(&words);
    let predictions = |model: &Path| {
        json_of(&["predict", text(model), "--data", text(&data), "--device", "cpu", "--json"])
    };
    assert_eq!(predictions(&model)["predictions"], predictions(&again)["predictions"]);

    // The study is over: the same command trains none of it again and says the same.
    let before = lines(&study);
    assert_eq!(json_of(&search), found);
    assert!(lines(&study) == before);
    let half: String = fs::read_to_string(&study).unwrap().chars().take(9000).collect();
    fs::write(&study, half).unwrap();
    assert_eq!(json_of(&search), found);
    assert!(lines(&study) == before);
}

#[test]
fn several_processes_share_a_study_also_if_one_is_killed() {
    let folder = TempDir::new().unwrap();
    let (data, alone) = (folder.path().join("d.csv"), folder.path().join("alone.jsonl"));
    table(&data, 150);
    let arguments = |study: &Path, budget: &str| {
        let given = format!(
            "tune --target y --device cpu --bracket 9 --budget {budget} --json --data {} --study {}",
            text(&data),
            text(study)
        );
        given.split(' ').map(String::from).collect::<Vec<_>>()
    };
    let start = |study: &Path| {
        let arguments = arguments(study, "300000");
        gradus(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let wanted = start(&alone).wait_with_output().unwrap();
    assert!(wanted.status.success(), "{}", stderr(&wanted));
    for is_killed in [false, true] {
        let study = folder.path().join(format!("{is_killed}.jsonl"));
        let work = folder.path().join(format!("{is_killed}.jsonl.work/lines"));
        let mut processes = vec![start(&study), start(&study)];
        if is_killed {
            // Behind the first trainings, and before the last ones.
            while !fs::read_to_string(&work).is_ok_and(|lines| lines.contains("bits")) {
                assert!(processes.iter_mut().any(|one| one.try_wait().unwrap().is_none()));
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            processes[0].kill().unwrap();
            processes.remove(0).wait().unwrap();
        }
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(output.stdout, wanted.stdout);
        }
        assert!(lines(&study) == lines(&alone), "killed: {is_killed}");
        assert!(!folder.path().join(format!("{is_killed}.jsonl.work")).exists());
    }
}

#[test]
fn bad_input_is_answered_in_one_line() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("d.csv");
    table(&data, 60);
    let refused = |more: &[&str], code: i32, word: &str| {
        let output = run(&[&["tune", "--data", text(&data), "--device", "cpu"], more].concat());
        assert_one_line(&output, code, &[word]);
    };
    refused(&["--target", "y", "--metric", "auc"], 2, "--metric: unknown metric `auc`");
    refused(&["--target", "y", "--bracket", "2"], 1, "bracket is 2; it must be at least 3");
    refused(&["--target", "y", "--out", text(&data)], 1, "--out:");
    refused(&["--target", "y", "--study", text(&data)], 1, "--study:");
    refused(&["--target", "y", "--html", text(&data)], 1, "--html:");
    let (out, page) = (folder.path().join("out"), folder.path().join("none/page.html"));
    let same = ["--target", "y", "--out", text(&out), "--html", text(&out)];
    refused(&same, 2, "the file of --out too");
    let study = folder.path().join("study");
    for (flag, end) in [("--out", ".lock"), ("--html", ".work")] {
        let beside = format!("{}{end}", text(&study));
        let given = ["--target", "y", "--study", text(&study), flag, &beside];
        refused(&given, 2, "is used by the search over --study");
    }
    refused(&["--target", "y", "--html", text(&page)], 1, "--html:");
    assert!(!out.exists());
    refused(&["--target", "kind", "--metric", "rmse"], 1, "classes");
}
