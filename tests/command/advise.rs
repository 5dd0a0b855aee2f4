//! `advise`: its text, JSON and page, and that each command line it names trains.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use gradus::random::Random;
use serde_json::Value;
use tempfile::TempDir;

use crate::{assert_one_line, file, json_of, run, stderr, text};

/// A table of two features and a target by them and a random number, as CSV.
fn table(rows: usize, header: &str, target: impl Fn(f64, f64, &mut Random) -> String) -> String {
    let mut random = Random::new(41, 0);
    let mut csv = format!("{header}\n");
    for _ in 0..rows {
        let (a, b) = (random.normal(), random.normal());
        let _ = writeln!(csv, "{a:.4},{b:.4},{}", target(a, b, &mut random));
    }
    csv
}

/// Runs each command line of an advice for one epoch.
fn train(folder: &Path, document: &Value) -> usize {
    let bin = Path::new(env!("CARGO_BIN_EXE_gradus")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut count = 0;
    for loss in document["losses"].as_array().unwrap() {
        let Some(command) = loss["command"].as_str() else {
            assert!(!loss["library_only"].as_str().unwrap().is_empty(), "{loss}");
            continue;
        };
        let epochs = format!("--epochs {}", document["network"]["epochs"]);
        assert!(command.contains(&epochs), "{command}");
        let short = format!("{} --device cpu --json", command.replace(&epochs, "--epochs 1"));
        let output = Command::new("sh")
            .args(["-c", &short])
            .current_dir(folder)
            .env("PATH", &path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{short}: {}", stderr(&output));
        let trained: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(trained["history"]["loss"][0].is_number(), "{short}");
        count += 1;
    }
    count
}

#[test]
fn every_command_line_that_is_named_trains() {
    let folder = TempDir::new().unwrap();
    type Target = fn(f64, f64, &mut Random) -> String;
    let kinds: [(&str, &[&str], &str, Target); 7] = [
        ("numbers", &["y"], "a,b,y", |a, b, random| {
            let scale = if random.uniform() < 0.06 { 10.0 } else { 1.0 };
            format!("{:.3}", (50.0 + a + b + random.normal()) * scale)
        }),
        ("counts", &["visits"], "a,b,visits", |a, _, random| {
            let (limit, mut product, mut count) =
                ((-(0.5 + 0.3 * a).exp()).exp(), random.uniform(), 0);
            while product > limit {
                product *= random.uniform();
                count += 1;
            }
            count.to_string()
        }),
        ("amounts", &["paid"], "a,b,paid", |a, _, random| {
            let paid = -(1.0 - random.uniform()).ln() * 100.0 * (0.4 * a).exp();
            if random.uniform() < 0.4 { "0".into() } else { format!("{paid:.3}") }
        }),
        ("ordinal", &["stars"], "a,b,stars", |a, _, random| {
            (3.4 + a + 0.5 * random.normal()).round().clamp(1.0, 5.0).to_string()
        }),
        ("classes", &["the kind"], "a,b,the kind", |a, _, random| {
            ["don't know", "yes"][usize::from(a + 0.5 * random.normal() > -1.9)].into()
        }),
        ("multilabel", &["l", "m"], "a,b,l,m", |a, b, _| {
            format!("{},{}", u8::from(a > 0.0), u8::from(b > 1.9))
        }),
        ("soft_labels", &["p", "q"], "a,b,p,q", |a, _, _| {
            let p = 1.0 / (1.0 + (-a).exp());
            format!("{p},{}", 1.0 - p)
        }),
    ];
    for (kind, targets, header, target) in kinds {
        let name = format!("{kind} of a table.csv");
        let path = file(&folder, &name, table(240, header, target).as_bytes());
        let mut arguments = vec!["advise", "--data", text(&path), "--json"];
        targets.iter().for_each(|name| arguments.extend(["--target", name]));
        let document = json_of(&arguments);
        assert_eq!(document["task"]["kind"], kind, "{}", document["task"]["reason"]);
        let count = document["losses"].as_array().unwrap().len();
        assert!((2..=5).contains(&count), "{kind}: {count} losses");
        assert!(train(folder.path(), &document) >= 1, "{kind}");
    }
}

#[test]
fn lists_of_svmlight_have_list_losses_that_train() {
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(42, 0);
    let mut lines = String::new();
    for query in 0..40 {
        for _ in 0..6 {
            let (a, b) = (random.normal(), random.normal());
            let grade = (1.0 + a).round().clamp(0.0, 4.0);
            let _ = writeln!(lines, "{grade} qid:{query} 1:{a:.3} 2:{b:.3}");
        }
    }
    let path = file(&folder, "lists.svm", lines.as_bytes());
    let document = json_of(&["advise", "--data", text(&path), "--json"]);
    assert_eq!(document["task"]["kind"], "lists");
    assert_eq!(document["losses"][0]["loss"], "lambda_rank");
    assert_eq!(train(folder.path(), &document), 3);
}

#[test]
fn the_text_has_80_columns_and_warnings_first_and_the_page_has_pictures() {
    let folder = TempDir::new().unwrap();
    let csv = table(300, "id,b,y", |a, b, random| {
        format!("{:.3}", (a + b + 0.5 * random.normal()).min(1.5))
    });
    let csv: String = csv
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("{line}\n"),
            _ => format!("{row},{}\n", line.split_once(',').unwrap().1),
        })
        .collect();
    let path = file(&folder, "capped.csv", csv.as_bytes());
    let page = folder.path().join("page.html");
    let arguments = ["advise", "--data", text(&path), "--target", "y", "--html", text(&page)];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.lines().all(|line| line.chars().count() <= 80), "{report}");
    assert!(report.starts_with("warnings\n  ! `id` numbers the rows"), "{report}");
    for part in
        ["is capped", "target `y`: numbers", "1. mse", "--drop id", "optimizer: ", "network: "]
    {
        assert!(report.contains(part), "`{part}`: {report}");
    }
    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<svg").count(), 2);
    for part in
        ["Warnings", "is capped", "gradus train", "beside the normal distribution", "skewness"]
    {
        assert!(html.contains(part), "{part}");
    }
    // The same input and seed give the same bytes.
    assert_eq!(String::from_utf8(run(&arguments[..5]).stdout).unwrap(), report);
}

#[test]
fn what_it_cannot_advise_on_is_one_line() {
    let folder = TempDir::new().unwrap();
    let csv = table(20, "a,b,y", |a, _, _| format!("{a:.3}"));
    let path = file(&folder, "a.csv", csv.as_bytes());
    let data = ["advise", "--data", text(&path)];
    assert_one_line(&run(&data), 2, &["--target is missing", "a, b, y"]);
    assert_one_line(&run(&[&data[..], &["--target", "z"]].concat()), 1, &["--target", "a, b, y"]);
    assert_one_line(&run(&["advise", "--text", text(&path)]), 2, &["--text", "no target"]);
    let html = [&data[..], &["--target", "y", "--html", text(&path)]].concat();
    assert_one_line(&run(&html), 1, &["--html", "--data reads"]);
    let constant = file(&folder, "b.csv", b"a,y\n1,3\n2,3\n3,3\n");
    let output = run(&["advise", "--data", text(&constant), "--target", "y"]);
    assert_one_line(&output, 1, &["target `y` is 3 in all rows", "two values"]);
}

#[test]
fn residuals_outside_the_picture_are_counted() {
    let folder = TempDir::new().unwrap();
    let row = |row: usize| {
        let (a, b) = (row * 37 % 101, row * 53 % 97);
        let far = if row % 40 == 7 { 1e6 } else { 0.0 };
        format!("{a},{b},{}\n", a as f64 + 0.1 * (row * 71 % 89) as f64 + far)
    };
    let csv: String = ["a,b,y\n".to_string()].into_iter().chain((0..400).map(row)).collect();
    let (path, page) = (file(&folder, "far.csv", csv.as_bytes()), folder.path().join("page.html"));
    let output = run(&["advise", "--data", text(&path), "--target", "y", "--html", text(&page)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let html = std::fs::read_to_string(&page).unwrap();
    // "{} of {} ({} %) lie outside the picture."
    let (before, _) = html.split_once(" %) lie outside").unwrap();
    let sentence = before.rsplit("has not seen. ").next().unwrap();
    let numbers: Vec<f64> = sentence
        .replace(',', "")
        .split(|sign: char| !sign.is_ascii_digit() && sign != '.')
        .filter_map(|number| number.parse().ok())
        .collect();
    let [outside, all, percent] = numbers[..] else { panic!("{sentence}") };
    assert!(
        outside > 0.0 && (percent - 100.0 * outside / all).abs() <= 0.05 * percent,
        "{sentence}"
    );
}
