//! Class weights, row weights, and the training log.

use serde_json::Value;
use tempfile::TempDir;

use crate::{assert_one_line, file, json_of, run, stderr, text};

const IMBALANCED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/field/labels/imbalanced.csv");

/// Recall of class 1 of a model trained with the given options.
fn recall(more: &[&str]) -> f64 {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m");
    let arguments = [
        "train",
        "--data",
        IMBALANCED,
        "--target",
        "y",
        "--loss",
        "bce_with_logits",
        "--epochs",
        "20",
    ];
    json_of(
        &[&arguments[..], &["--device", "cpu", "--json", "--out", text(&model)], more].concat(),
    );
    let found =
        json_of(&["evaluate", text(&model), "--data", IMBALANCED, "--device", "cpu", "--json"]);
    let classes = found["classes"].as_array().unwrap();
    let of_one = classes.iter().find(|class| class["class"] == "1").unwrap();
    of_one["recall"].as_f64().unwrap()
}

#[test]
fn a_rare_class_is_found_with_balanced_weights() {
    let folder = TempDir::new().unwrap();
    let weights = file(&folder, "weights.csv", b"class,weight\n1,20\n0,1\n");
    assert!(recall(&[]) < 0.3);
    for more in [
        &["--class-weight", "balanced"],
        &["--class-weight", text(&weights)],
        &["--pos-weight", "20"],
    ] {
        let found = recall(more);
        assert!(found > 0.6, "{more:?}: {found}");
    }
}

#[test]
fn a_column_of_weights_is_no_feature_and_a_weight_of_zero_leaves_a_row_out() {
    let folder = TempDir::new().unwrap();
    // Rows of weight 0 contradict the others.
    let rows: String = (0..60)
        .map(|row| {
            let (x, w) = (f64::from(row % 10), f64::from(row % 3));
            format!("{x},{},{w}\n", if w == 0.0 { -5.0 * x } else { 2.0 * x })
        })
        .collect();
    let data = file(&folder, "data.csv", format!("x,y,w\n{rows}").as_bytes());
    let arguments = [
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
    let more = ["--epochs", "200", "--validation", "0.2"];
    let found = json_of(&[&arguments[..], &more, &["--sample-weight", "w"]].concat());
    let loss = |found: &Value, list: &str| {
        found["history"][list].as_array().unwrap().last().unwrap().as_f64().unwrap()
    };
    assert!(loss(&found, "loss") < 0.5 && loss(&found, "val_loss") < 0.5, "{found}");
    let columns = found["settings"]["columns"].as_array().unwrap();
    assert!(!columns.iter().any(|column| column["column"] == "w"), "{columns:?}");
    assert_eq!(found["settings"]["sample_weight"], "w");
    let without = json_of(&[&arguments[..], &more, &["--drop", "w"]].concat());
    assert!(loss(&without, "loss") > 50.0, "{without}");
}

#[test]
fn weights_that_are_wrong_are_reported_with_flag_file_and_line() {
    let folder = TempDir::new().unwrap();
    let data = file(&folder, "data.csv", b"x,y,w\n1,a,1\n2,b,\n3,a,-1\n");
    let train = |more: &[&str]| {
        run(&[
            &["train", "--data", text(&data), "--loss", "cross_entropy", "--validation", "0"],
            more,
        ]
        .concat())
    };
    let of_y = |more: &[&str]| train(&[&["--target", "y"], more].concat());
    assert_one_line(&of_y(&["--sample-weight", "v"]), 1, &["--sample-weight", "`v`", "w"]);
    assert_one_line(&of_y(&["--sample-weight", "y"]), 2, &["--sample-weight", "`y` is the target"]);
    assert_one_line(&of_y(&["--sample-weight", "w"]), 1, &["line 3", "column `w` is blank"]);
    let weights = |content: &[u8]| text(&file(&folder, "w.csv", content)).to_string();
    for (content, words) in [
        (
            &b"class,weight\na,1\nc,2\n"[..],
            &["--class-weight", "w.csv", "line 3", "no class `c`", "a, b"][..],
        ),
        (b"class,weight\na,1\n", &["--class-weight", "the class `b` has no weight"]),
        (b"class,weight\na,1\nb,-2\n", &["line 3", "`b` is `-2`", ">= 0"]),
        (b"class,weight\na,1\na,2\nb,1\n", &["line 3", "the class `a` has two weights"]),
        (b"a,1,2\nb,1,2\n", &["it has 3 columns", "two"]),
    ] {
        let path = weights(content);
        assert_one_line(&of_y(&["--drop", "w", "--class-weight", &path]), 1, words);
    }
    let none = of_y(&["--drop", "w", "--class-weight", "nowhere.csv"]);
    assert_one_line(&none, 1, &["--class-weight", "nowhere.csv"]);
    assert_one_line(&of_y(&["--pos-weight", "-1"]), 2, &["--pos-weight", ">= 0"]);
    let other = of_y(&["--drop", "w", "--pos-weight", "2"]);
    assert_one_line(
        &other,
        1,
        &["--pos-weight", "cross_entropy", "no positive side", "--class-weight"],
    );
    let numbers = run(&[
        &[
            "train",
            "--data",
            text(&data),
            "--loss",
            "mse",
            "--target",
            "x",
            "--validation",
            "0",
            "--class-weight",
            "balanced",
        ],
        &["--drop", "w"][..],
    ]
    .concat());
    assert_one_line(&numbers, 1, &["--class-weight", "mse", "numbers and no classes"]);
}

#[test]
fn each_epoch_is_reported_as_it_ends_and_stands_in_the_log() {
    let folder = TempDir::new().unwrap();
    let (log, model) = (folder.path().join("log.jsonl"), folder.path().join("m"));
    let train = [
        "train",
        "--data",
        IMBALANCED,
        "--loss",
        "bce_with_logits",
        "--device",
        "cpu",
        "--log",
        text(&log),
    ];
    let first =
        run(&[&train[..], &["--target", "y", "--epochs", "3", "--json", "--out", text(&model)]]
            .concat());
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let report: Vec<String> = stderr(&first)
        .lines()
        .filter(|line| line.starts_with("epoch "))
        .map(String::from)
        .collect();
    assert_eq!(report.len(), 3, "{}", stderr(&first));
    assert!(report[2].starts_with("epoch 3 of 3: loss 0."), "{report:?}");
    let document: Value = serde_json::from_slice(&first.stdout).unwrap();
    let lines = || -> Vec<Value> {
        std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for (place, line) in lines().iter().enumerate() {
        assert_eq!(line["epoch"], place + 1);
        for list in ["loss", "val_loss", "val_accuracy"] {
            assert_eq!(line[list], document["history"][list][place], "{list}");
        }
    }
    let more =
        run(&[&train[..], &["--resume", text(&model), "--epochs", "2", "--out", text(&model)]]
            .concat());
    assert_eq!(more.status.code(), Some(0), "{}", stderr(&more));
    let epochs: Vec<u64> = lines().iter().map(|line| line["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5]);
    let new = folder.path().join("new");
    for out in [&model, &new] {
        let refused = run(&[
            &train[..5],
            &["--target", "y", "--log", text(out), "--out", text(out)],
        ]
        .concat());
        assert_one_line(&refused, 1, &["--log", "the model of --out", "name another file"]);
    }
    // Another model is not replaced by a log or a page either.
    let before = std::fs::read(&model).unwrap();
    for flag in ["--log", "--html"] {
        let refused = run(&[&train[..5], &["--target", "y", flag, text(&model)]].concat());
        assert_one_line(&refused, 1, &[flag, "it is a saved model"]);
    }
    assert!(std::fs::read(&model).unwrap() == before);
    // A line truncated by a kill is cut off; epochs saved but not logged are written before the
    // next one.
    let all = std::fs::read_to_string(&log).unwrap();
    let kept: Vec<&str> = all.lines().take(3).collect();
    std::fs::write(&log, format!("{}\n{{\"epoch\":4,\"lo", kept.join("\n"))).unwrap();
    let again =
        run(&[&train[..], &["--resume", text(&model), "--epochs", "1", "--out", text(&model)]]
            .concat());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let text_of_log = std::fs::read_to_string(&log).unwrap();
    let written: Vec<Value> =
        text_of_log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(text_of_log.lines().count(), 6, "{text_of_log}");
    assert_eq!(
        written.iter().map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    for (line, before) in written[3..5].iter().zip(all.lines().skip(3)) {
        let mut before: Value = serde_json::from_str(before).unwrap();
        before["seconds"] = Value::Null; // durations are not saved
        assert_eq!(*line, before);
    }
    // The training may have been killed after its last epoch.
    let kept: Vec<&str> =
        text_of_log.lines().filter(|line| !line.contains("\"epoch\":6")).collect();
    std::fs::write(&log, kept.join("\n") + "\n").unwrap();
    let over = run(&[&train[..], &["--resume", text(&model), "--out", text(&model)]].concat());
    assert_eq!(over.status.code(), Some(0), "{}", stderr(&over));
    let text_of_log = std::fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(text_of_log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (text_of_log.lines().count(), &last["epoch"]),
        (6, &serde_json::json!(6)),
        "{text_of_log}"
    );
    // Resuming without saving is refused, and the file stays unchanged.
    let saved = std::fs::read(&model).unwrap();
    let lost = run(&[&train[..], &["--resume", text(&model), "--epochs", "1"]].concat());
    assert_eq!((lost.status.code(), std::fs::read(&model).unwrap()), (Some(2), saved));
    for words in [
        "error: --resume: without --out nothing of the training would be saved",
        &format!("--out {}", text(&model)),
    ] {
        assert!(stderr(&lost).contains(words), "{}", stderr(&lost));
    }
    // A refused training leaves the log unchanged.
    let refused =
        run(&[&train[..5], &["--target", "y", "--log", text(&log), "--class-weight", "nowhere"]]
            .concat());
    assert_eq!(
        (refused.status.code(), std::fs::read_to_string(&log).unwrap()),
        (Some(1), text_of_log)
    );
    for taken in [IMBALANCED, text(&model)] {
        let refused = run(&[&train[..5], &["--resume", text(&model), "--log", taken]].concat());
        assert_one_line(&refused, 1, &["--log", "name another file"]);
    }
}

#[test]
fn a_training_goes_on_with_the_weights_that_it_had() {
    let folder = TempDir::new().unwrap();
    let (model, more) = (folder.path().join("m"), folder.path().join("n"));
    let rows: String = (0..40)
        .map(|row| format!("{},{},{}\n", row % 7, u8::from(row % 5 == 0), row % 3))
        .collect();
    let data = file(&folder, "data.csv", format!("x,y,w\n{rows}").as_bytes());
    let train =
        ["train", "--data", text(&data), "--loss", "cross_entropy", "--device", "cpu", "--json"];
    let weights = ["--target", "y", "--class-weight", "balanced", "--sample-weight", "w"];
    let whole = json_of(&[&train[..], &weights, &["--epochs", "4", "--out", text(&more)]].concat());
    json_of(&[&train[..], &weights, &["--epochs", "2", "--out", text(&model)]].concat());
    let found = json_of(
        &[&train[..], &["--resume", text(&model), "--epochs", "2", "--out", text(&model)]].concat(),
    );
    assert_eq!(found["history"]["val_loss"], whole["history"]["val_loss"]);
    assert_eq!(
        (&found["settings"]["class_weight"], &found["settings"]["sample_weight"]),
        (&"balanced".into(), &"w".into())
    );
    assert_eq!(std::fs::read(&model).unwrap(), std::fs::read(&more).unwrap());
    let without = json_of(
        &[
            &train[..],
            &[
                "--resume",
                text(&model),
                "--out",
                text(&more),
                "--epochs",
                "1",
                "--class-weight",
                "none",
            ],
        ]
        .concat(),
    );
    assert_eq!(without["settings"]["class_weight"], Value::Null);
    let other =
        [&train[..7], &["--resume", text(&model), "--out", text(&more), "--epochs", "1"]].concat();
    let other = run(&[&other[..], &["--sample-weight", "x"]].concat());
    assert!(
        stderr(&other).contains("--sample-weight: the saved model was trained with those of `w`"),
        "{}",
        stderr(&other)
    );
}

#[test]
fn a_recommender_reports_its_epochs_too() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log.jsonl");
    let rows: String = (0..200).map(|row| format!("{},{},5\n", row % 20, row * 7 % 30)).collect();
    let data = file(&folder, "ratings.csv", format!("user,item,rating\n{rows}").as_bytes());
    let more =
        ["--epochs", "3", "--components", "4", "--duplicates", "last", "--device", "cpu", "--json"];
    let out = folder.path().join("m");
    let refit = ["--refit", "--out", text(&out), "--log", text(&log)];
    let found = run(&[&["recommend", "--interactions", text(&data)], &more[..], &refit].concat());
    assert_eq!(found.status.code(), Some(0), "{}", stderr(&found));
    let document: Value = serde_json::from_slice(&found.stdout).unwrap();
    let lines: Vec<Value> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let refits: Vec<bool> = lines.iter().map(|line| line["refit"] == true).collect();
    assert_eq!(refits, [false, false, false, true, true, true]);
    for (place, line) in lines[..3].iter().enumerate() {
        assert_eq!(
            (&line["epoch"], &line["loss"]),
            (&(place + 1).into(), &document["history"]["loss"][place])
        );
    }
    assert!(stderr(&found).contains("\nrefit epoch 3 of 3: loss "), "{}", stderr(&found));
    // A training killed during its refit on all data resumes the refit.
    let kept = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, kept.lines().take(4).collect::<Vec<_>>().join("\n")).unwrap();
    let arguments = [
        "recommend",
        "--interactions",
        text(&data),
        "--duplicates",
        "last",
        "--device",
        "cpu",
        "--json",
    ];
    let resume =
        ["--resume", text(&out), "--out", text(&out), "--log", text(&log), "--epochs", "1"];
    let resumed = run(&[&arguments[..], &resume].concat());
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let lines: Vec<Value> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<(u64, bool)> =
        lines.iter().map(|line| (line["epoch"].as_u64().unwrap(), line["refit"] == true)).collect();
    assert_eq!(
        found,
        [(1, false), (2, false), (3, false), (1, true), (2, true), (3, true), (4, true)]
    );
    assert!(stderr(&resumed).contains("refit epoch 4 of 4: loss "), "{}", stderr(&resumed));
    let lost = run(&[&arguments[..], &["--resume", text(&out)]].concat());
    assert_one_line(&lost, 2, &["--resume: without --out", "--out"]);
    let refused = run(&["recommend", "--interactions", text(&data), "--log", text(&data)]);
    assert_one_line(&refused, 1, &["--log", "which --interactions reads", "name another file"]);
}
