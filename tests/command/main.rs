//! The command line: the JSON output of each command, and one line with the right exit code for
//! each bad input.
#![cfg(feature = "cli")]

mod advise;
mod arrays;
mod bench;
mod browser;
mod cases;
mod explain;
mod export;
mod field;
mod interrupts;
mod kills;
mod logs;
mod networks;
mod pages;
mod rates;
mod recommend;
mod recommend_counts;
mod recommend_features;
mod saving;
mod streaming;
#[path = "../support/mod.rs"]
mod support;
mod surprises;
mod training;
mod tune;
mod usage;
mod weights;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");
const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-12k");

fn gradus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    gradus(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The JSON that a command prints; asserts success.
fn json_of(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Answers of `eval` to cases on stdin, and its full output.
fn eval(cases: &Value, device: &str) -> (Value, Output) {
    let mut command = gradus(&["eval", "-", "--device", device]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), output)
}

/// Asserts that a command failed with this code and one line that contains these words.
fn assert_one_line(output: &Output, code: i32, words: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("error: "), "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mse_case(predictions: Value, targets: Value) -> Value {
    json!({ "name": "a case", "loss": "mse", "inputs": { "predictions": predictions, "targets": targets } })
}

fn tensor(shape: &[usize], data: &[f64]) -> Value {
    json!({ "shape": shape, "data": data })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn devices_names_what_auto_takes_and_why() {
    let found = json_of(&["devices", "--json"]);
    assert!(["cpu", "gpu"].contains(&found["auto"]["device"].as_str().unwrap()));
    assert!(!found["auto"]["reason"].as_str().unwrap().is_empty());
    assert!(found["cpu"]["threads"].as_u64().unwrap() >= 1);
    for adapter in found["adapters"].as_array().unwrap() {
        assert!(adapter["limits"]["binding_bytes"].as_u64().unwrap() >= 1 << 27);
        assert!(adapter["features"]["timestamps"].is_boolean());
    }
    let report = String::from_utf8(run(&["devices"]).stdout).unwrap();
    for line in report.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in ["cpu  ", "auto  ", "gpu  "] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn losses_lists_the_three_lists_and_shows_defaults() {
    let all = json_of(&["losses", "--json"]);
    let count = |kind: &str| all[kind].as_array().unwrap().len();
    assert_eq!(count("losses"), gradus::losses::CATALOGUE.len());
    assert_eq!(count("activations"), gradus::activations::CATALOGUE.len());
    assert_eq!(count("optimizers"), gradus::optimizers::CATALOGUE.len());
    for (name, option, default) in [
        ("huber", "delta", json!(1.0)),
        ("adam", "beta2", json!(0.999)),
        ("leaky_relu", "negative_slope", json!(0.01)),
    ] {
        let one = json_of(&["losses", name, "--json"]);
        let options = one["options"].as_array().unwrap();
        let found = options.iter().find(|found| found["name"] == option).unwrap();
        assert_eq!(found["default"], default, "{name}");
    }
    let listed = run(&["losses"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("cross_entropy"));
}

#[test]
fn check_reports_each_set_of_options() {
    let found = json_of(&["check", "--device", "cpu", "huber", "relu", "sgd", "matmul", "--json"]);
    assert_eq!(found["passed"], true);
    let names: Vec<&str> =
        found["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["huber", "relu", "sgd", "huber {\"delta\": 0.25}"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(found["checks"][0]["value_error"].as_f64().unwrap() < 1e-5);
    assert_one_line(
        &run(&["check", "mze"]),
        2,
        &["unknown name `mze`", "did you mean `mse`?", "matmul"],
    );
}

#[test]
fn bench_gives_the_fields_of_the_contract() {
    if support::gpu().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("bench.html");
    let arguments =
        ["bench", "--device", "gpu", "--quick", "mse", "matmul", "--json", "--html", text(&page)];
    let found = json_of(&arguments);
    let rows = found.as_array().unwrap();
    for row in rows {
        for field in [
            "gradus", "date", "system", "threads", "device", "adapter", "name", "shape", "dtype",
            "seconds",
        ] {
            assert!(!row[field].is_null(), "{field}");
        }
        assert_eq!(row["driver"].is_string(), row["device"] == "gpu");
    }
    let names: Vec<&str> =
        rows.iter().step_by(2).map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["copy", "read", "fma", "matmul", "mse"]);
    let of = |name: &str, device: &str| {
        rows.iter().find(|r| r["name"] == name && r["device"] == device).unwrap()
    };
    let number = |row: &Value, field: &str| {
        row[field].as_f64().unwrap_or_else(|| panic!("{field} of {row}"))
    };
    let mse = of("mse", "gpu");
    assert_eq!((&mse["shape"], &mse["dtype"]), (&json!([1 << 22]), &json!("f32")));
    assert_eq!(
        (&mse["bytes"], &mse["bound"], &mse["samples"]),
        (&json!(12 << 22), &json!("memory"), &json!(20))
    );
    let ranks =
        ["seconds_min", "seconds_p10", "seconds", "seconds_p90"].map(|field| number(mse, field));
    assert!(ranks.is_sorted() && ranks[0] > 0.0, "{ranks:?}");
    assert!(number(mse, "first_call_seconds") > 0.0);
    let rate = number(mse, "gb_per_s");
    assert!((rate * ranks[2] * 1e9 / f64::from(12 << 22) - 1.0).abs() < 1e-9);
    assert!((number(mse, "copy_fraction") - rate / number(mse, "copy_gb_per_s")).abs() < 1e-9);
    assert!(
        ["timestamps", "wall"].contains(&mse["clock"].as_str().unwrap())
            && mse["adapter"].is_string()
    );
    assert!(mse["fused_fraction"].is_null() && number(of("mse", "cpu"), "fused_fraction") > 0.0);
    let matmul = of("matmul", "cpu");
    assert_eq!(
        (&matmul["flops"], &matmul["bound"]),
        (&json!(2 * 512 * 512 * 512), &json!("arithmetic"))
    );
    assert!(number(matmul, "fma_fraction") > 0.0 && matmul["copy_fraction"].is_null());
    assert_eq!(of("mse", "cpu")["cpu_ratio"], 1.0);
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>")
            && page.contains("mse 2²²")
            && page.contains("matmul 512×512×512")
    );
}

#[test]
fn bench_refuses_what_it_does_not_know_or_cannot_write() {
    let words = [
        "unknown benchmark `mze`",
        "did you mean `mse`?",
        "copy, read, fma",
        "matmul_nt",
        "train_step, epoch",
    ];
    assert_one_line(&run(&["bench", "mze"]), 2, &words);
    assert_one_line(&run(&["bench", "--quick", "--large"]), 2, &["--quick", "--large"]);
    let nowhere = "/nonexistent/bench.html";
    assert_one_line(
        &run(&["bench", "mse", "--device", "cpu", "--html", nowhere]),
        1,
        &["--html", nowhere, "no folder"],
    );
}
