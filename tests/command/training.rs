//! `gradus train` and `gradus predict`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{DIGITS, IMAGES, assert_one_line, file, json_of, numbers, run, stderr, text};

#[test]
fn a_model_is_trained_saved_continued_and_used_to_predict() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("digits.safetensors");
    let data = ["--data", DIGITS, "--target", "64", "--device", "cpu", "--json"];
    let train = |more: &[&str]| json_of(&[&["train"], &data[..], more].concat());
    let first = train(&[
        "--loss",
        "cross_entropy",
        "--hidden",
        "32",
        "--epochs",
        "4",
        "--out",
        text(&model),
    ]);
    assert_eq!(first["device"], "cpu");
    // Three of the 64 pixels are 0 in all rows: these columns are dropped.
    assert_eq!(first["parameters"], 61 * 32 + 32 + 32 * 10 + 10);
    let history = &first["history"];
    for column in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        assert_eq!(history[column].as_array().unwrap().len(), 4, "{column}");
    }
    let losses = numbers(&history["loss"]);
    assert!(losses[3] < losses[0]);
    // 1,797 rows minus a tenth for validation, in batches of 64.
    assert_eq!(first["steps"], 4 * 1617_u32.div_ceil(64));
    assert!(first["test"].is_null() && first["seconds"].as_f64().unwrap() > 0.0);

    let more =
        train(&["--resume", text(&model), "--epochs", "2", "--out", text(&model), "--step-losses"]);
    // The history covers the whole training.
    assert_eq!(
        (&more["epochs_before"], numbers(&more["history"]["loss"])[..4].to_vec()),
        (&json!(4), losses.clone())
    );
    assert!(numbers(&more["history"]["loss"])[5] < losses[0]);
    assert_eq!(
        more["step_losses"].as_array().unwrap().len() as u64,
        more["steps"].as_u64().unwrap()
    );

    let predicted = json_of(&[&["predict", text(&model)], &data[..]].concat());
    assert_eq!(predicted["predictions"].as_array().unwrap().len(), 1797);
    assert!(
        predicted["predictions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|class| class.as_u64().unwrap() < 10)
    );
    // Six epochs of this network reach 89 %; without the saved scaling a model drops to a tenth.
    assert!(predicted["accuracy"].as_f64().unwrap() > 0.8);
    let lines =
        run(&["predict", text(&model), "--data", DIGITS, "--target", "64", "--device", "cpu"]);
    assert_eq!(String::from_utf8(lines.stdout).unwrap().lines().count(), 1797);
}

#[test]
fn a_loss_fused_with_the_last_layer_trains_as_the_plain_one() {
    let accuracy = |loss: &str| {
        let data = [
            "--data", DIGITS, "--target", "64", "--device", "cpu", "--json", "--hidden", "32",
            "--epochs", "8",
        ];
        let report = json_of(&[&["train", "--loss", loss], &data[..]].concat());
        report["history"]["val_accuracy"][7].as_f64().unwrap()
    };
    let (fused, plain) = (accuracy("linear_cross_entropy"), accuracy("cross_entropy"));
    // 180 validation rows: the same sums in another order change the class of a row or two.
    assert!(plain > 0.8 && (fused - plain).abs() < 0.03, "{fused} {plain}");
}

/// Queries of three to six rows whose grade is their first feature: SVMlight lines, features
/// counted from 1.
fn queries(first: usize, count: usize) -> String {
    let mut lines = String::new();
    for query in first..first + count {
        for item in 0..3 + query % 4 {
            let grade = (query * 7 + item * 5) % 4;
            let noise = (query * 13 + item * 29) % 17;
            lines += &format!(
                "{grade} qid:{query} 2:{} 3:{noise} # row {item}\n",
                10 * grade + noise % 3
            );
        }
    }
    lines
}

#[test]
fn rows_of_queries_are_ordered_and_reported_by_ndcg() {
    let folder = TempDir::new().unwrap();
    let (train, test) = (file(&folder, "rank.svm", queries(0, 40).as_bytes()), queries(100, 12));
    // The highest index is missing, and nothing shows where counting begins.
    let test = file(&folder, "fresh.svm", test.replace(" 3:", " # 3:").as_bytes());
    let model = folder.path().join("rank.safetensors");
    for loss in ["lambda_rank", "list_net"] {
        let arguments = [
            "train",
            "--data",
            text(&train),
            "--test",
            text(&test),
            "--loss",
            loss,
            "--device",
            "cpu",
        ];
        let found = json_of(&[&arguments[..], &["--json", "--out", text(&model)]].concat());
        // 40 queries minus a tenth for validation, in batches as in the settings.
        let settings = &found["settings"];
        let (epochs, batch) =
            (settings["epochs"].as_u64().unwrap(), settings["batch_size"].as_u64().unwrap());
        assert_eq!(found["steps"], epochs * 36_u64.div_ceil(batch), "{loss}");
        assert_eq!(settings["standardized"], true);
        for part in ["validation", "test"] {
            for name in ["ndcg_at_1", "ndcg_at_3", "ndcg_at_5", "ndcg_at_10", "mrr"] {
                let value = found[part][name].as_f64().unwrap();
                assert!(value > 0.9 && value <= 1.0, "{loss}: {part}: {name} {value}");
            }
        }
        assert_eq!(
            json_of(&[&arguments[..], &["--json"]].concat())["test"],
            found["test"],
            "the same twice"
        );
        let report = String::from_utf8(run(&arguments).stdout).unwrap();
        assert!(
            report.contains("36 queries to train on") && report.contains("test: loss"),
            "{report}"
        );
        assert!(
            report.contains("features standardized") && report.contains("ndcg_at_5"),
            "{report}"
        );
        let predicted =
            json_of(&["predict", text(&model), "--data", text(&test), "--device", "cpu", "--json"]);
        assert_eq!(
            predicted["predictions"].as_array().unwrap().len(),
            12 * 4 + 6,
            "one score for each row"
        );
    }
    let resumed = [
        "train",
        "--data",
        text(&train),
        "--resume",
        text(&model),
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--json",
    ];
    let more = json_of(&[&resumed[..], &["--out", text(&model)]].concat());
    assert!(
        more["validation"]["ndcg_at_5"].as_f64().unwrap() > 0.9
            && more["settings"]["loss"] == "list_net",
        "{more}"
    );
    let plain = ["train", "--data", text(&train), "--loss", "mse", "--device", "cpu", "--json"];
    assert!(json_of(&plain)["validation"]["ndcg_at_5"].as_f64().unwrap() > 0.5);

    let train_on = |path: &Path, more: &[&str]| {
        run(&[&["train", "--data", text(path), "--loss", "lambda_rank", "--device", "cpu"], more]
            .concat())
    };
    let alone = file(&folder, "alone.svm", b"1 1:2\n0 1:3\n");
    assert_one_line(
        &train_on(&alone, &["--validation", "0"]),
        1,
        &["lambda_rank", "queries", ".query", "--groups"],
    );
    let damaged = file(&folder, "damaged.svm", b"1 qid:1 1:2\n0 qid:1 2:3 1:4\n");
    assert_one_line(&train_on(&damaged, &[]), 1, &["damaged.svm", "line 2", "index 1 after 2"]);
    let wide = file(&folder, "wide.svm", b"1 qid:1 9:2\n");
    assert_one_line(
        &train_on(&train, &["--test", text(&wide)]),
        1,
        &["wide.svm", "line 1", "index 9"],
    );
    let grades = file(&folder, "grades.svm", b"101 qid:1 1:2\n0 qid:1 2:3\n1 qid:2 1:1\n");
    let output = train_on(&grades, &["--validation", "0"]);
    let message = stderr(&output); // after the line that names the device
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.lines().last().unwrap().contains("lambda_rank: targets hold 101 at element 1"),
        "{message}"
    );
    assert_one_line(
        &run(&["train", "--data", DIGITS, "--target", "64", "--loss", "list_net"]),
        1,
        &["list_net", ".svm"],
    );
}

#[test]
fn numbers_are_regressed_and_images_get_a_softmax_under_a_regression_loss() {
    let arguments = ["train", "--device", "cpu", "--json", "--hidden", "8", "--epochs", "2"];
    let with = |more: &[&str]| json_of(&[&arguments[..], more].concat());
    let numbers =
        with(&["--data", DIGITS, "--target", "64", "--loss", "huber", "--set", "delta=0.5"]);
    assert_eq!(numbers["parameters"], 61 * 8 + 8 + 8 + 1);
    assert!(numbers["history"]["accuracy"].is_null());
    let images = with(&["--data", IMAGES, "--loss", "mse", "--validation", "0"]);
    assert_eq!(images["parameters"], 784 * 8 + 8 + 8 * 10 + 10);
    assert!(images["test"]["accuracy"].as_f64().unwrap() > 0.5);
    assert!(images["history"]["val_loss"].is_null());
    let hinge = with(&["--data", DIGITS, "--target", "64", "--loss", "hinge"]);
    assert!(hinge["history"]["accuracy"].is_array());
}

#[test]
fn a_loss_that_is_not_finite_ends_with_1_after_the_whole_document() {
    let output = run(&[
        "train",
        "--data",
        DIGITS,
        "--target",
        "64",
        "--loss",
        "mse",
        "--learning-rate",
        "1e30",
        "--device",
        "cpu",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["stopped"].as_str().unwrap().contains("learning rate"));
    assert!(
        stderr(&output).lines().last().unwrap().starts_with("error: stopped"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_training_reports_all_that_it_depends_on() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("model.safetensors");
    let arguments =
        ["train", "--data", DIGITS, "--target", "64", "--device", "cpu", "--epochs", "1"];
    let asked = ["--loss", "huber", "--set", "delta=0.5", "--hidden", "8", "--optimizer", "sgd"];
    let more = [
        "--optimizer-set",
        "momentum=0.5",
        "--learning-rate",
        "0.001",
        "--l1",
        "0.01",
        "--seed",
        "3",
    ];
    let last = [
        "--schedule",
        "cosine",
        "--clip-norm",
        "1",
        "--patience",
        "4",
        "--out",
        text(&model),
        "--json",
    ];
    let found = json_of(&[&arguments[..], &asked, &more, &last].concat());
    let settings = &found["settings"];
    for (name, value) in [
        ("gradus", json!(env!("CARGO_PKG_VERSION"))),
        ("resume", Value::Null),
        ("predicts", json!("numbers")),
        ("outputs", json!(1)),
        ("loss", json!("huber")),
        ("loss_options", json!({ "delta": 0.5 })),
        ("hidden", json!([8])),
        ("activation", json!("relu")),
        ("output_activation", json!("identity")),
        ("optimizer", json!("sgd")),
        ("learning_rate", json!(0.001)),
        ("epochs", json!(1)),
        ("batch_size", json!(64)),
        ("l1", json!(0.01)),
        ("l2", json!(0.0)),
        ("proximal_l1", json!(0.0)),
        ("clip_norm", json!(1.0)),
        ("clip_value", Value::Null),
        ("average", Value::Null),
        ("skip_non_finite", json!(false)),
        ("mixed_precision", json!(false)),
        ("patience", json!(4)),
        ("seed", json!(3)),
        ("validation", json!(0.1)),
        ("standardized", json!(true)),
    ] {
        assert_eq!(settings[name], value, "{name}");
    }
    assert_eq!(
        (&settings["data"]["path"], &settings["data"]["target"]),
        (&json!(DIGITS), &json!("64"))
    );
    assert_eq!(settings["optimizer_options"]["momentum"], 0.5);
    assert_eq!(
        (&settings["schedule"]["name"], &settings["schedule"]["by_epoch"]),
        (&json!("cosine"), &json!(false))
    );

    // A saved model includes the options it was made with.
    let resumed = json_of(
        &[&arguments[..], &["--resume", text(&model), "--out", text(&model), "--json"]].concat(),
    );
    for name in [
        "loss",
        "loss_options",
        "hidden",
        "activation",
        "optimizer",
        "optimizer_options",
        "l1",
        "l2",
        "seed",
    ] {
        assert_eq!(resumed["settings"][name], settings[name], "{name}");
    }
    assert_eq!(resumed["settings"]["resume"], text(&model));

    let report = String::from_utf8(run(&[&arguments[..], &asked, &more].concat()).stdout).unwrap();
    assert!(
        report.contains(
            "1617 rows to train on, 180 to validate on; target `64`: numbers, 1 output\n"
        ),
        "{report}"
    );
    let line = "huber delta=0.5, hidden 8 with relu, l1 0.01, l2 0, sgd momentum=0.5 at learning rate 0.001, 1 epoch of batches of 64 rows, features \
                standardized, seed 3\n";
    assert!(report.contains(line), "{report}");
}

/// A table with one feature and a target in the given format.
fn priced(form: impl Fn(usize) -> String) -> String {
    (0..60)
        .map(|row| format!("{};{}\n", row % 7, form(row)))
        .fold("a;price\n".into(), |text, line| text + &line)
}

#[test]
fn classes_are_not_made_of_quantities_in_silence() {
    let folder = TempDir::new().unwrap();
    let train = |name: &str, text_of: String, loss: &str| {
        let path = file(&folder, name, text_of.as_bytes());
        let arguments = [
            "train",
            "--data",
            text(&path),
            "--target",
            "price",
            "--epochs",
            "1",
            "--device",
            "cpu",
        ];
        run(&[&arguments[..], &["--loss", loss]].concat())
    };
    // A decimal comma gives numbers; cells with a different unit each stay text, and a class for
    // nearly every row is reported.
    let commas = train("commas.csv", priced(|row| format!("{},{:02}", row, row % 100)), "mse");
    assert!(
        String::from_utf8(commas.stdout.clone())
            .unwrap()
            .contains("target `price`: numbers, 1 output")
    );
    assert!(stderr(&commas).contains("the decimal mark is a comma"), "{}", stderr(&commas));
    for loss in ["mse", "cross_entropy"] {
        let output =
            train("units.csv", priced(|row| format!("{row}.5 {}", ["kg", "g"][row % 2])), loss);
        let message = stderr(&output);
        let warning = message
            .lines()
            .find(|line| line.starts_with("warning: --target price"))
            .unwrap_or_default();
        for word in
            ["60 classes in the 54 rows", "text such as `0.5 kg`", "decimal point", "--loss mse"]
        {
            assert!(warning.contains(word), "{loss}: `{word}` is not in: {message}");
        }
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("target `price`: 60 classes (0.5 kg, ")
        );
    }
    // Numbers are numbers, names are classes: detected, reported, and no warning.
    let numbers = train("numbers.csv", priced(|row| format!("{row}.25")), "mse");
    assert!(
        String::from_utf8(numbers.stdout.clone())
            .unwrap()
            .contains("target `price`: numbers, 1 output")
    );
    let names = train("names.csv", priced(|row| ["low", "high"][row % 2].into()), "cross_entropy");
    assert!(
        String::from_utf8(names.stdout.clone())
            .unwrap()
            .contains("target `price`: 2 classes (high, low), logits")
    );
    for output in [&numbers, &names] {
        assert!(!stderr(output).contains("warning"), "{}", stderr(output));
    }
    // A classification loss rejects fractional numbers, and says so of integers.
    let refused = train("numbers.csv", priced(|row| format!("{row}.25")), "cross_entropy");
    assert_one_line(
        &refused,
        1,
        &[
            "column `price`",
            ".25`, one of 60 different numbers",
            "the name of a class",
            "--loss mse",
        ],
    );
    let whole = train("whole.csv", priced(|row| format!("{}", 1000 + row)), "cross_entropy");
    assert_one_line(
        &whole,
        1,
        &[
            "--target price holds whole numbers from 1000 to 1059",
            "classes for 54 rows",
            "--loss mse",
        ],
    );
}

#[test]
fn mixed_precision_is_a_switch_that_a_resumed_training_keeps() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("digits.safetensors");
    let train = |more: &[&str]| {
        let data = ["train", "--data", DIGITS, "--target", "64", "--device", "cpu", "--json"];
        json_of(&[&data[..], &["--out", text(&model), "--epochs", "2"], more].concat())
    };
    let loss = ["--loss", "cross_entropy", "--hidden", "16"];
    let [single, mixed] = [&loss[..], &[&loss[..], &["--mixed-precision"]].concat()].map(train);
    assert_eq!(single["settings"]["mixed_precision"], false);
    assert_eq!(
        (&mixed["settings"]["mixed_precision"], &mixed["skipped"]),
        (&json!(true), &json!(0))
    );
    let last = |found: &Value| numbers(&found["history"]["loss"])[1];
    // Other roundings, and hardly another loss.
    assert!(last(&single) != last(&mixed) && (last(&single) - last(&mixed)).abs() < 0.01);
    let more = train(&["--resume", text(&model)]);
    assert_eq!(more["settings"]["mixed_precision"], true);
    let off = train(&["--resume", text(&model), "--mixed-precision=off"]);
    assert_eq!(off["settings"]["mixed_precision"], false);
    let said = run(&[
        "train",
        "--data",
        DIGITS,
        "--target",
        "64",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--loss",
        "cross_entropy",
        "--mixed-precision",
    ]);
    assert!(
        stderr(&said).contains("mixed precision")
            || String::from_utf8_lossy(&said.stdout).contains("mixed precision")
    );
}

#[test]
fn a_model_that_no_reader_would_take_is_not_saved() {
    let folder = TempDir::new().unwrap();
    let rows: String =
        (0..60).map(|row| format!("{},{}\n", row % 7, 3 * (row % 7) + row % 2)).collect();
    let data = file(&folder, "rows.csv", format!("x,y\n{rows}").as_bytes());
    let model = folder.path().join("model.safetensors");
    let train = |more: &[&str]| {
        let data = ["train", "--data", text(&data), "--device", "cpu", "--out", text(&model)];
        run(&[&data[..], more].concat())
    };
    let first = train(&["--target", "y", "--loss", "mse", "--epochs", "3"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    // Adam's second moments overflow while weights and losses are finite.
    let ruined = train(&["--resume", text(&model), "--epochs", "3", "--learning-rate", "3e4"]);
    let said = stderr(&ruined);
    assert_eq!(ruined.status.code(), Some(1), "{said}");
    assert!(said.contains("optimizer.second is inf") && said.contains("lower the learning rate"));
    // The file is that of the last epoch that could be saved.
    let read = run(&["evaluate", text(&model), "--data", text(&data), "--device", "cpu"]);
    assert_eq!(read.status.code(), Some(0), "{}", stderr(&read));
}

#[test]
fn rows_without_a_target_are_counted_when_a_model_is_evaluated() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..40).map(|row| format!("{},{}\n", row % 7, 3 * (row % 7))).collect();
    let whole = file(&folder, "whole.csv", format!("x,y\n{rows}").as_bytes());
    let lacking = file(&folder, "lacking.csv", format!("x,y\n{rows}5,\n6,\n").as_bytes());
    let model = folder.path().join("model.safetensors");
    let device = ["--device", "cpu"];
    let train =
        ["train", "--data", text(&whole), "--target", "y", "--loss", "mse", "--epochs", "1"];
    let trained = run(&[&train[..], &["--out", text(&model)], &device].concat());
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    for (data, count) in [(&whole, 0), (&lacking, 2)] {
        let found = run(&[&["evaluate", text(&model), "--data", text(data)], &device[..]].concat());
        assert_eq!(found.status.code(), Some(0), "{}", stderr(&found));
        let said = stderr(&found).contains("row(s) have no target");
        assert_eq!(said, count > 0, "{}", stderr(&found));
        assert!(count == 0 || stderr(&found).contains("2 row(s) have no target"));
    }
}
