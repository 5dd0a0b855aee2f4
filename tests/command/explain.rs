//! `gradus explain`: JSON, text of 80 columns, the page, and what it refuses.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{json_of, run, stderr, text};

/// A table of 240 people whose class follows from `age` but for those from Nowhere, whose labels
/// are at random, and twelve others whose labels were flipped.
fn people(folder: &TempDir) -> (PathBuf, Vec<usize>) {
    let mut lines = vec!["age,town,height,answer".to_string()];
    let mut flipped = Vec::new();
    for row in 0..240_usize {
        let age = 20 + row * 7 % 60;
        let town = ["Ayr", "Bath", "Cork", "Deal", "Ely", "Nowhere"][row / 3 % 6];
        let is_flipped = row % 20 == 19 && town != "Nowhere";
        if is_flipped {
            flipped.push(row);
        }
        let answer = match town {
            "Nowhere" => row * row % 7 < 3,
            _ => (age > 50) != is_flipped,
        };
        let height = 150 + row * 13 % 50;
        lines.push(format!("{age},{town},{height},{}", if answer { "yes" } else { "no" }));
    }
    let path = folder.path().join("people.csv");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    (path, flipped)
}

fn trained(folder: &TempDir, data: &str, target: &str, loss: &str) -> PathBuf {
    let model = folder.path().join(format!("{loss}.safetensors"));
    let arguments = [
        "train", "--data", data, "--target", target, "--loss", loss, "--epochs", "60", "--device",
        "cpu", "--out",
    ];
    json_of(&[&arguments[..], &[text(&model), "--json"]].concat());
    model
}

#[test]
fn classes_are_explained_in_json_text_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let (data, flipped) = people(&folder);
    let (data, page) = (text(&data).to_string(), folder.path().join("page.html"));
    let model = trained(&folder, &data, "answer", "cross_entropy");
    let arguments = ["explain", text(&model), "--data", &data, "--device", "cpu"];
    let found = json_of(&[&arguments[..], &["--json", "--html", text(&page)]].concat());
    assert_eq!(
        (found["rows"].as_u64(), found["loss"].as_str()),
        (Some(240), Some("cross_entropy"))
    );
    let labels = &found["suspicious_labels"];
    let suspicious: Vec<u64> =
        labels["rows"].as_array().unwrap().iter().map(|row| row["row"].as_u64().unwrap()).collect();
    let wrong = suspicious.iter().filter(|row| flipped.contains(&(**row as usize))).count();
    assert!(wrong >= 3, "{suspicious:?} of {flipped:?}");
    assert_ne!(labels["rows"][0]["label"], labels["rows"][0]["suggested"]);
    let first = &found["largest_losses"][0];
    assert!(
        first["loss"].as_f64().unwrap() >= found["largest_losses"][1]["loss"].as_f64().unwrap()
    );
    // The first row stands in line 2.
    let line = format!("line {}", first["row"].as_u64().unwrap() + 2);
    assert_eq!(first["place"], Value::from(line));
    assert!(first["cells"]["town"].is_string() && first["target_probability"].is_number());
    let shares = found["class_pairs"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|cell| cell["share_of_loss"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let features = &found["features"]["list"];
    assert_eq!((features.as_array().unwrap().len(), &features[0]["name"]), (3, &"age".into()));
    assert!(found["features"]["largest_residual"].as_f64().unwrap() < 1e-2);
    assert_eq!(found["calibration"]["bins"].as_array().unwrap().len(), 15);
    assert_eq!(found["why_not"], serde_json::json!({}));

    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<h2>Labels that are probably wrong</h2>") && page.contains("<svg"));
    // A line end of the text is no character of the page.
    assert!(!page.contains("\\n"), "{page}");

    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    let headings = [
        "Labels that are probably wrong",
        "Rows with the largest loss",
        "Slices with a high loss",
        "Loss by class",
        "Features",
        "Are the probabilities right?",
    ];
    let places: Vec<usize> =
        headings.iter().map(|heading| shown.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "{places:?}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn numbers_are_explained_in_their_unit() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _) = people(&folder);
    let data = text(&data).to_string();
    let model = trained(&folder, &data, "height", "mse");
    let found = json_of(&["explain", text(&model), "--data", &data, "--device", "cpu", "--json"]);
    let target = found["largest_losses"][0]["targets"]["height"]["target"].as_f64().unwrap();
    assert!((150.0..200.0).contains(&target), "{target}");
    assert!(found["suspicious_labels"].is_null() && found["class_pairs"].is_null());
    assert_eq!(found["why_not"]["suspicious_labels"], "the targets are not classes");
    assert!(found["features"]["list"][0]["increase"].is_number());
}

/// A row of the training table with the wrong answer, and the same person explained with the right
/// one: the wrong row is what raises the loss.
#[test]
fn the_training_rows_behind_an_error_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _) = people(&folder);
    let mut lines: Vec<String> =
        std::fs::read_to_string(&data).unwrap().lines().map(String::from).collect();
    // Old people who answer no: rows that no other is like.
    for _ in 0..3 {
        lines.push("79,Ayr,188,no".into());
    }
    let training = folder.path().join("training.csv");
    std::fs::write(&training, lines.join("\n") + "\n").unwrap();
    let asked = folder.path().join("asked.csv");
    std::fs::write(&asked, "age,town,height,answer\n79,Ayr,188,yes\n24,Bath,150,no\n").unwrap();
    let model = trained(&folder, text(&training), "answer", "cross_entropy");
    let page = folder.path().join("page.html");
    let arguments = [
        "explain",
        text(&model),
        "--data",
        text(&asked),
        "--trained-on",
        text(&training),
        "--sharpness",
        "--no-labels",
        "--device",
        "cpu",
    ];
    let found = json_of(&[&arguments[..], &["--json", "--html", text(&page)]].concat());
    let behind = &found["training_rows"];
    assert_eq!(behind["rows"], 243);
    let of_first = behind["list"].as_array().unwrap().iter();
    let of_first = of_first.clone().find(|behind| behind["place"] == "line 2").unwrap();
    let mut raised: Vec<u64> = Vec::new();
    for by in of_first["raised_by"].as_array().unwrap() {
        let row = by["row"].as_u64().unwrap();
        assert!(by["product"].as_f64().unwrap() < 0.0, "{of_first}");
        assert_eq!(by["name"], format!("line {} (no)", row + 2));
        raised.push(row);
    }
    raised.sort_unstable();
    assert_eq!(raised, [240, 241, 242], "{of_first}");
    assert!(of_first["lowered_by"][0]["product"].as_f64().unwrap() > 0.0);

    let sharpness = &found["sharpness"];
    assert_eq!((sharpness["rows"].as_u64(), sharpness["steps"][20].as_f64()), (Some(2), Some(0.0)));
    let close = sharpness["loss"][20][20].as_f64().unwrap();
    assert!((close - found["mean_loss"].as_f64().unwrap()).abs() < 1e-5);
    assert!(sharpness["largest_eigenvalue"].is_number());

    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Training rows behind them") && page.contains("How sharp"));
    let shown = String::from_utf8(run(&arguments).stdout).unwrap();
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(shown.contains("raised by") && shown.contains("largest eigenvalue"), "{shown}");
}

/// A text with one character that nothing announces, its place, and a model of it.
fn language(folder: &TempDir) -> (PathBuf, usize, PathBuf) {
    let mut content: Vec<char> = "so it goes\non and on ".repeat(60).chars().collect();
    // In the middle of a sequence of eight, behind a line break.
    let place = 8 * 75 + 3;
    assert_eq!(content[place - 4..place], ['o', 'n', ' ', 'a']);
    content[place] = 'q';
    let path = folder.path().join("words.txt");
    std::fs::write(&path, content.into_iter().collect::<String>()).unwrap();
    let model = folder.path().join("gpt.safetensors");
    let train = "train --model gpt --context 8 --layers 1 --heads 2 --width 32 --learning-rate 0.01 --batch-size 8 --epochs 12 --device cpu";
    let files = ["--text", text(&path), "--out", text(&model)];
    let output = run(&train.split(' ').chain(files).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (path, place, model)
}

#[test]
fn the_characters_behind_a_loss_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, place, model) = language(&folder);
    let content: Vec<char> = std::fs::read_to_string(&path).unwrap().chars().collect();
    let page = folder.path().join("page.html");
    let of_text = [text(&model), "--text", text(&path), "--device", "cpu"];
    let explain = [&["explain"][..], &of_text, &["--top", "5"]].concat();
    let found = json_of(&[&explain[..], &["--json", "--html", text(&page)]].concat());
    let measured = json_of(&[&["evaluate"][..], &of_text, &["--json"]].concat());
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&found["mean_loss"]) - number(&measured["loss"])).abs() < 1e-5, "{found}");
    assert!((number(&found["accuracy"]) - number(&measured["accuracy"])).abs() < 1e-9);
    let (all, largest) = (&found["characters"], found["largest_losses"].as_array().unwrap());
    assert_eq!(largest.len(), 5);
    // The planted one comes first, at its place in the file.
    let first = &largest[0];
    assert_eq!((&first["target"], &first["place"]), (&"q".into(), &place.into()), "{first}");
    let likelihood = number(&first["target_probability"]).ln();
    assert!((likelihood + number(&first["loss"])).abs() < 1e-12, "{first}");
    for large in largest {
        let at = large["place"].as_u64().unwrap() as usize;
        let before: Vec<char> = large["before"].as_str().unwrap().chars().collect();
        assert_eq!(content[at - before.len()..at], before[..], "{large}");
        assert_eq!(large["target"], content[at].to_string(), "{large}");
        let line = content[..at].iter().filter(|&&character| character == '\n').count() + 1;
        let column =
            content[..at].iter().rev().take_while(|&&character| character != '\n').count() + 1;
        assert_eq!((&large["line"], &large["column"]), (&line.into(), &column.into()), "{large}");
        let parts = large["attributions"].as_array().unwrap();
        assert_eq!(parts.len(), before.len());
        let sum = number(&large["baseline_loss"]) + parts.iter().map(number).sum::<f64>();
        assert!((sum - number(&large["loss"])).abs() < 1e-3, "{large}");
    }
    let sum = |name: &str, part: &str| {
        found[name].as_array().unwrap().iter().map(|of| number(&of[part])).sum::<f64>()
    };
    for name in ["by_character", "class_pairs", "by_characters_seen"] {
        assert_eq!(sum(name, "count"), number(all), "{name}");
    }
    assert!((sum("by_character", "share_of_loss") - 1.0).abs() < 1e-9);
    assert!(number(&found["largest_residual"]) < 1e-3, "{found}");
    assert!(found["calibration"]["expected_error"].as_f64().is_some());

    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<pre class=\"marked\">").count(), 5);
    let words = String::from_utf8(run(&explain).stdout).unwrap();
    assert!(words.lines().all(|line| line.chars().count() <= 80), "{words}");
    for part in ["`a` 1 back (", "after average characters; ", "perplexity", "q           n", "\\n"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn what_of_a_text_cannot_be_explained_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _, model) = language(&folder);
    let (path, model) = (text(&path), text(&model));
    let (data, _) = people(&folder);
    let other = folder.path().join("other.txt");
    std::fs::write(&other, "so it zzz on and on").unwrap();
    let short = folder.path().join("short.txt");
    std::fs::write(&short, "so").unwrap();
    for (arguments, code, part) in [
        (vec!["--text", path, "--no-labels"], 2, "--no-labels: it is for rows"),
        (vec!["--text", path, "--sharpness"], 2, "--sharpness"),
        (vec!["--text", path, "--html", path], 1, "which --text reads"),
        (vec!["--text", text(&other)], 1, "`z` at position 6 (line 1, character 7)"),
        (vec!["--text", text(&short)], 1, "short.txt: it has 2 characters"),
        (vec!["--data", text(&data)], 1, "--text FILE"),
    ] {
        let output = run(&[&["explain", model, "--device", "cpu"], &arguments[..]].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        let lines: Vec<&str> = message.lines().filter(|line| line.starts_with("error")).collect();
        assert!(lines.len() == 1 && lines[0].contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn what_cannot_be_explained_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _) = people(&folder);
    let model = trained(&folder, text(&data), "answer", "cross_entropy");
    let without = folder.path().join("without.csv");
    std::fs::write(&without, "age,town,height\n20,Ayr,150\n30,Bath,160\n").unwrap();
    let (model, data) = (text(&model), text(&data));
    for (arguments, code, part) in [
        (vec!["explain", model, "--data", text(&without)], 1, "have no answers"),
        (vec!["explain", model, "--data", data, "--top", "0"], 2, "--top is 0"),
        (vec!["explain", model, "--data", data, "--html", data], 1, "which --data reads"),
        (vec!["explain", model, "--data", data, "--html", model], 1, "which MODEL reads"),
        (
            vec!["explain", model, "--data", text(&without), "--trained-on", data, "--html", data],
            1,
            "which --trained-on reads",
        ),
        (vec!["explain", model, "--data", data, "--trained-on", "/none"], 1, "--trained-on"),
        (vec!["explain", model, "--data", data, "--trained-on", text(&without)], 1, "--trained-on"),
        (vec!["explain", model, "--text", data], 1, "the model is not of text"),
        (vec!["explain", data, "--data", data], 1, "MODEL"),
        (vec!["explain", model, "--data", data, "--no-labels", "--epochs", "3"], 2, "--epochs"),
    ] {
        let output = run(&[&arguments[..], &["--device", "cpu"]].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        let lines: Vec<&str> = message.lines().filter(|line| line.starts_with("error")).collect();
        assert!(lines.len() == 1 && lines[0].contains(part), "{arguments:?}: {message}");
    }
}
