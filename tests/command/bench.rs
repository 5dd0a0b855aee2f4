//! `gradus bench`: rows are printed as they are measured, within the time limit.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::{gradus, run, stderr};

#[test]
#[cfg(unix)]
fn an_interrupted_run_leaves_a_whole_list_of_what_it_measured() {
    let arguments = ["bench", "--device", "cpu", "--json"];
    let mut child =
        gradus(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // The bracket and the rows of two cases are printed long before the run ends.
    for _ in 0..3 {
        stdout.read_line(&mut text).unwrap();
    }
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    stdout.read_to_string(&mut text).unwrap();
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{message}");
    assert!(
        message.contains("interrupted:") && message.contains("cases were measured"),
        "{message}"
    );
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(rows.len() >= 2 && rows[0]["name"] == "copy", "{} rows", rows.len());
}

#[test]
fn a_run_ends_with_its_time_and_says_what_it_left_out() {
    let start = Instant::now();
    let output = run(&["bench", "--device", "cpu", "--quick", "--seconds", "0.5"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // A case that was started is measured to its end, even on a slow machine.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    let report = stderr(&output);
    assert!(
        report.contains("left out, since the 0.5 s were over") && report.contains("epoch"),
        "{report}"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("copy 2²²") && table.contains("at most: copy"), "{table}");
}

#[test]
fn the_table_fits_80_columns_and_is_grouped() {
    let output = run(&[
        "bench",
        "--device",
        "cpu",
        "--quick",
        "mse",
        "linear_multilabel_soft_margin",
        "train_step",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    let place =
        |text: &str| table.find(text).unwrap_or_else(|| panic!("`{text}` is not in {table}"));
    let order = [
        "ceilings",
        "training",
        "train_step",
        "losses: a value for each element",
        "mse 2²²",
        "reached, median:",
    ];
    assert!(order.map(place).is_sorted(), "{table}");
    // Compared with multiply-adds, not with a pass over memory.
    let line =
        table.lines().find(|line| line.starts_with("linear_multilabel_soft_margin")).unwrap();
    assert!(line.trim_end().ends_with('%'), "{line}");
}

#[test]
fn a_limited_check_says_what_it_left_out() {
    let output = run(&["check", "--device", "cpu", "--seconds", "0.001", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found["left_out"].as_array().unwrap().len() > 50
            && !found["checks"].as_array().unwrap().is_empty()
    );
    assert!(
        stderr(&output).contains("left out, since the 0.001 s were over"),
        "{}",
        stderr(&output)
    );
    let whole = run(&["check", "mse", "--device", "cpu", "--json"]);
    let found: Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(found["left_out"], Value::Array(Vec::new()));
}
