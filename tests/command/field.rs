//! Real-world files (`tests/field`): each is read as intended, or rejected with the offending line.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{assert_one_line, file, json_of, numbers, run, stderr, text};

const FIELD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/field/");

fn path(name: &str) -> String {
    format!("{FIELD}{name}")
}

/// The JSON output of a training on a file of tests/field.
fn trained(name: &str, more: &[&str]) -> Value {
    let path = path(name);
    json_of(&[&["train", "--data", &path, "--device", "cpu", "--json"], more].concat())
}

fn trained_text(name: &str, more: &[&str]) -> String {
    let path = path(name);
    let output = run(&[&["train", "--data", &path, "--device", "cpu"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
}

/// A column's encoding in the output's settings.
fn column<'a>(document: &'a Value, name: &str) -> &'a Value {
    let columns = document["settings"]["columns"].as_array().unwrap();
    columns
        .iter()
        .find(|column| column["column"] == name)
        .unwrap_or_else(|| panic!("no column {name}: {columns:?}"))
}

fn last(document: &Value, list: &str) -> f64 {
    *numbers(&document["history"][list]).last().unwrap()
}

#[test]
fn classes_are_reported_by_name_whatever_the_test_file_holds() {
    let arguments = ["--target", "y", "--loss", "cross_entropy", "--epochs", "60"];
    let test = path("classes/test_bc.csv");
    let found = trained("classes/train.csv", &[&arguments[..], &["--test", &test]].concat());
    assert_eq!(found["test"]["accuracy"], 1.0);
    let (train, unknown) = (path("classes/train.csv"), path("classes/test_unknown.csv"));
    let refused = run(&[
        &["train", "--data", &train, "--device", "cpu"],
        &arguments[..],
        &["--test", &unknown],
    ]
    .concat());
    assert_one_line(
        &refused,
        1,
        &["--test", "test_unknown.csv", "line 8", "column `y`", "class `d`", "a, b, c"],
    );
}

#[test]
fn a_word_among_numbers_is_named_with_its_line() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let arguments = ["--target", "y", "--loss", "cross_entropy", "--epochs", "2"];
    trained("classes/train.csv", &[&arguments[..], &["--out", text(&model)]].concat());
    let bad = path("classes/bad_cell.csv");
    let words = ["bad_cell.csv", "line 6", "column `a`", "`oops`"];
    assert_one_line(&run(&["predict", text(&model), "--data", &bad, "--device", "cpu"]), 1, &words);
    // Training on it is refused for the same reason: each of its numbers would be a category.
    assert_one_line(&run(&[&["train", "--data", &bad], &arguments[..]].concat()), 1, &words);
}

#[test]
fn train_evaluate_and_predict_tell_the_same() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let test = path("classes/test_bc.csv");
    let arguments = [
        "--target",
        "y",
        "--loss",
        "cross_entropy",
        "--epochs",
        "3",
        "--test",
        &test,
        "--out",
        text(&model),
    ];
    let found = trained("classes/train.csv", &arguments);
    // Columns and rows in a different order.
    let rows: Vec<String> =
        std::fs::read_to_string(&test).unwrap().lines().map(String::from).collect();
    let turned = |row: &String| row.split(',').rev().collect::<Vec<_>>().join(",") + "\n";
    let other = rows[..1].iter().chain(rows[1..].iter().rev()).map(turned).collect::<String>();
    let other = file(&folder, "other.csv", other.as_bytes());
    for data in [Path::new(&test), &other] {
        let evaluated =
            json_of(&["evaluate", text(&model), "--data", text(data), "--device", "cpu", "--json"]);
        for metric in ["loss", "accuracy"] {
            let (one, two) =
                (evaluated[metric].as_f64().unwrap(), found["test"][metric].as_f64().unwrap());
            assert!((one - two).abs() < 1e-5 * two.abs().max(1.0), "{metric}: {one}, not {two}");
        }
        let predicted =
            json_of(&["predict", text(&model), "--data", text(data), "--device", "cpu", "--json"]);
        assert_eq!(predicted["accuracy"], found["test"]["accuracy"]);
        let counts = evaluated["confusion"]["counts"].as_array().unwrap();
        let sum: u64 = counts
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!((sum, &evaluated["confusion"]["classes"]), (20, &json!(["a", "b", "c"])));
        // No row has class a, so its recall is null.
        assert!(
            evaluated["classes"][0]["recall"].is_null()
                && evaluated["classes"][1]["recall"].is_number()
        );
    }
}

#[test]
fn predictions_are_reported_as_classes_probabilities_and_outputs() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let data = path("classes/train.csv");
    trained(
        "classes/train.csv",
        &["--target", "y", "--loss", "cross_entropy", "--epochs", "3", "--out", text(&model)],
    );
    let predict = |more: &[&str]| {
        let output =
            run(&[&["predict", text(&model), "--data", &data, "--device", "cpu"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let classes = predict(&[]);
    assert_eq!((classes.lines().count(), predict(&["--output", "class"])), (90, classes.clone()));
    let shares = predict(&["--output", "probabilities"]);
    assert_eq!(shares.lines().next(), Some("a,b,c"));
    for (line, class) in shares.lines().skip(1).zip(classes.lines()) {
        let shares: Vec<f64> = line.split(',').map(|share| share.parse().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
        let best = (0..3).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap();
        assert_eq!(["a", "b", "c"][best], class);
    }
    let top = predict(&["--output", "top:2"]);
    assert_eq!(top.lines().next(), Some("class 1,probability 1,class 2,probability 2"));
    assert_eq!(top.lines().nth(1).unwrap().split(',').next(), classes.lines().next());
    assert_eq!(predict(&["--csv"]).lines().next(), Some("y"));
    let raw = json_of(&[
        "predict",
        text(&model),
        "--data",
        &data,
        "--output",
        "raw",
        "--device",
        "cpu",
        "--json",
    ]);
    assert_eq!(raw["predictions"][0].as_object().unwrap().len(), 3);
    assert_one_line(
        &run(&["predict", text(&model), "--data", &data, "--output", "top:0"]),
        2,
        &["--output", "top:K"],
    );
}

#[test]
fn headers_are_distinguished_from_rows() {
    let pandas = trained(
        "header/pandas_columns.csv",
        &["--target", "2", "--loss", "cross_entropy", "--epochs", "1"],
    );
    assert_eq!((&pandas["settings"]["outputs"], &pandas["steps"]), (&json!(2), &json!(1)));
    let report = trained_text(
        "header/pandas_columns.csv",
        &["--target", "2", "--loss", "cross_entropy", "--epochs", "1"],
    );
    assert!(
        report.contains("36 rows to train on, 4 to validate on") && report.contains("0, 1, 2"),
        "{report}"
    );
    let iris = trained_text(
        "header/iris_like.csv",
        &["--target", "4", "--loss", "cross_entropy", "--epochs", "1"],
    );
    assert!(
        iris.contains(
            "27 rows to train on, 3 to validate on; target `4`: 3 classes (Iris-setosa, "
        ),
        "{iris}"
    );
    let index = trained(
        "header/pandas_index.csv",
        &["--target", "y", "--loss", "cross_entropy", "--epochs", "1"],
    );
    assert_eq!(column(&index, "Unnamed: 0")["taken_for"], "left out");
    let dropped =
        ["--target", "y", "--loss", "cross_entropy", "--epochs", "1", "--drop", "Unnamed: 0"];
    let dropped = trained("header/pandas_index.csv", &dropped);
    assert_eq!(
        (&dropped["parameters"], dropped["settings"]["columns"].as_array().unwrap().len()),
        (&index["parameters"], 2)
    );
    let forced = [
        "--target",
        "2",
        "--loss",
        "cross_entropy",
        "--epochs",
        "1",
        "--header",
        "no",
        "--validation",
        "0",
    ];
    let forced = trained_text("header/pandas_columns.csv", &forced);
    assert!(forced.contains("41 rows to train on"), "{forced}");
}

#[test]
fn large_numbers_that_differ_little_are_learned_as_small_ones() {
    let arguments = ["--target", "y", "--loss", "mse", "--epochs", "300", "--validation", "0"];
    let losses = ["unix_time", "seconds"]
        .map(|name| last(&trained(&format!("precision/{name}.csv"), &arguments), "loss"));
    assert!(losses[0] < 5e-6, "{losses:?}");
    assert!((losses[0] - losses[1]).abs() < 5e-6, "{losses:?}");
}

#[test]
fn classes_come_from_the_whole_file_for_every_seed() {
    for seed in 1..=12 {
        let seed = seed.to_string();
        let arguments = [
            "--target",
            "y",
            "--loss",
            "cross_entropy",
            "--epochs",
            "1",
            "--validation",
            "0.3",
            "--seed",
            &seed,
        ];
        assert_eq!(trained("labels/rare_highest.csv", &arguments)["settings"]["outputs"], 3);
    }
    let arguments = ["--target", "y", "--loss", "cross_entropy", "--epochs", "1"];
    let names = |file: &str| column(&trained(file, &arguments), "y")["became"].clone();
    assert_eq!(names("labels/five_seven.csv"), "2 classes (5, 7)");
    assert_eq!(names("labels/text_late.csv"), "3 classes (0, 1, x)");
    assert_eq!(names("labels/text_first.csv"), names("labels/text_late.csv"));
    let signs = trained("labels/pm1.svm", &["--loss", "hinge", "--epochs", "2"]);
    assert_eq!(signs["settings"]["outputs"], 2);
}

#[test]
fn text_and_blanks_become_columns() {
    let houses =
        trained("table/housing_like.csv", &["--target", "value", "--loss", "mse", "--epochs", "1"]);
    assert_eq!(column(&houses, "ocean")["columns"], 3);
    let blanks = column(&houses, "bedrooms");
    assert!(
        blanks["columns"] == 2
            && blanks["became"].as_str().unwrap().contains("filled with the median"),
        "{blanks}"
    );
    let missing =
        trained("table/missing.csv", &["--target", "y", "--loss", "mse", "--epochs", "1"]);
    assert!(column(&missing, "a")["became"].as_str().unwrap().contains("3 blank(s) filled"));
    let truth = trained("table/bool.csv", &["--target", "y", "--loss", "mse", "--epochs", "1"]);
    assert_eq!(column(&truth, "a")["became"], "1 and 0");
}

#[test]
fn targets_of_any_size_are_learned_and_reported_in_their_unit() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let arguments =
        ["--target", "value", "--loss", "mse", "--epochs", "100", "--out", text(&model)];
    let found = trained("scale/prices.csv", &arguments);
    assert!(last(&found, "val_loss") < 2e8, "{}", found["history"]["val_loss"]);
    let scores = &found["validation"];
    assert!((last(&found, "val_loss") / scores["mse"].as_f64().unwrap() - 1.0).abs() < 1e-4);
    assert!(
        scores["mae"].as_f64().unwrap() < 15_000.0 && scores["r2"].as_f64().unwrap() > 0.97,
        "{scores}"
    );
    let data = path("scale/prices.csv");
    let predicted =
        json_of(&["predict", text(&model), "--data", &data, "--device", "cpu", "--json"]);
    let first = predicted["predictions"][0].as_f64().unwrap();
    assert!((50_000.0..500_000.0).contains(&first), "{first} dollars");
}

#[test]
fn dirty_text_is_read_as_it_is_meant() {
    let arguments = ["--target", "y", "--loss", "mse", "--epochs", "2"];
    let [utf16, excel, comma] = ["utf16", "sep_line", "decimal_comma"]
        .map(|name| trained(&format!("table/{name}.csv"), &arguments));
    assert_eq!(utf16["history"]["loss"], excel["history"]["loss"]);
    assert_eq!(column(&comma, "a")["taken_for"], "number");
    let report = trained_text("table/decimal_comma.csv", &arguments);
    assert!(report.contains("decimal mark is a comma"), "{report}");
    // The same from standard input.
    let mut command = crate::gradus(&[
        "train", "--data", "-", "--target", "y", "--loss", "mse", "--epochs", "2", "--device",
        "cpu", "--json",
    ]);
    let input = std::fs::File::open(path("table/sep_line.csv")).unwrap();
    let piped: Value =
        serde_json::from_slice(&command.stdin(input).output().unwrap().stdout).unwrap();
    assert_eq!(piped["history"]["loss"], excel["history"]["loss"]);
}

#[test]
fn arrays_of_other_names_and_types_are_read() {
    let arguments = ["--loss", "cross_entropy", "--epochs", "1"];
    for name in ["numpy/upper.npz", "numpy/half", "numpy/half/x.npy", "idx_emnist"] {
        assert!(trained(name, &arguments)["settings"]["outputs"].as_u64().unwrap() >= 2, "{name}");
    }
    assert_eq!(
        trained("numpy/multilabel/x.npy", &["--loss", "bce_with_logits", "--epochs", "1"])["settings"]
            ["outputs"],
        3
    );
    let (images, labels) = (
        path("idx_emnist/emnist-letters-train-images-idx3-ubyte"),
        path("idx_emnist/emnist-letters-train-labels-idx1-ubyte"),
    );
    let pair = json_of(&[
        "train",
        "--images",
        &images,
        "--labels",
        &labels,
        "--loss",
        "cross_entropy",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--json",
    ]);
    // Letters are numbered from 1.
    assert_eq!(pair["settings"]["outputs"], 3);
    let negative = path("ranking/negative_relevance.svm");
    let refused =
        run(&["train", "--data", &negative, "--loss", "lambda_rank", "--validation", "0"]);
    assert_one_line(&refused, 1, &["line 1", "relevance -1", "from 0 on"]);
}

#[test]
fn ratings_of_shops_and_libraries_are_read() {
    let trained = |name: &str, more: &[&str]| {
        let path = path(&format!("ratings/{name}"));
        let arguments = [
            "recommend",
            "--interactions",
            &path,
            "--epochs",
            "2",
            "--components",
            "4",
            "--device",
            "cpu",
            "--json",
        ];
        run(&[&arguments[..], more].concat())
    };
    let interactions = |name: &str, more: &[&str]| {
        let output = trained(name, more);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["interactions"].as_u64().unwrap()
    };
    for (name, all) in [
        ("quoted_title.csv", 188),
        ("text_ids.csv", 188),
        ("amazon.csv", 188),
        ("implicit.csv", 62),
    ] {
        assert_eq!(interactions(name, &["--min-rating", "0"]), all, "{name}");
    }
    let words = ["duplicates.csv", "again, as in line", "--duplicates last"];
    assert_one_line(&trained("duplicates.csv", &[]), 1, &words);
    let [last, sum] = ["last", "sum"]
        .map(|what| interactions("duplicates.csv", &["--duplicates", what, "--min-rating", "0"]));
    assert!(last == sum && last < 190, "{last} {sum}");
}

#[test]
fn answers_show_titles_and_unknown_ids_their_neighbours() {
    let folder = TempDir::new().unwrap();
    let (model, data) = (folder.path().join("r.safetensors"), path("ratings/text_ids.csv"));
    json_of(&[
        "recommend",
        "--interactions",
        &data,
        "--epochs",
        "2",
        "--components",
        "4",
        "--device",
        "cpu",
        "--json",
        "--out",
        text(&model),
    ]);
    let titles = file(
        &folder,
        "titles.csv",
        b"item,title,genres\nB000079193,\"Ring, The\",Horror\nB000158386,Up,Children\n",
    );
    let asked = [
        "recommend",
        "--model",
        text(&model),
        "--similar-to",
        "B000079193",
        "--titles",
        text(&titles),
        "--device",
        "cpu",
        "--count",
        "30",
    ];
    let report = String::from_utf8(run(&asked).stdout).unwrap();
    assert!(report.contains("title") && report.contains("B000158386   Up"), "{report}");
    let unknown = [
        "recommend",
        "--model",
        text(&model),
        "--similar-to",
        "B000079194",
        "--device",
        "cpu",
        "--json",
    ];
    assert_one_line(
        &run(&unknown),
        1,
        &["--similar-to", "unknown item `B000079194`", "near it: B000079193"],
    );
}

#[test]
fn a_table_of_passengers_trains_in_one_command() {
    use std::fmt::Write as _;
    let folder = TempDir::new().unwrap();
    let mut table =
        String::from("PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Cabin,Embarked\n");
    for row in 0..300 {
        let sex = ["male", "female"][(row * 7 / 3) % 2];
        let survived = usize::from(sex == "female") ^ usize::from(row % 11 == 0);
        let age = if row % 5 == 0 { String::new() } else { format!("{}.5", 20 + row * 13 % 50) };
        let cabin = if row % 4 == 0 { format!("C{}", row % 90) } else { String::new() };
        let ticket =
            if row % 3 == 0 { format!("A/5 {}", 1000 + row) } else { (113_000 + row).to_string() };
        let name = format!("\"Name{row}, Mr. \"\"Nick\"\" {row}\"");
        let port = ["S", "C", "Q"][row % 3];
        writeln!(
            table,
            "{},{survived},{},{name},{sex},{age},{ticket},{cabin},{port}",
            row + 1,
            1 + row % 3
        )
        .unwrap();
    }
    let data = file(&folder, "passengers.csv", table.as_bytes());
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "Survived",
        "--loss",
        "cross_entropy",
        "--epochs",
        "20",
    ];
    let found = json_of(&[&arguments[..], &["--device", "cpu", "--json"]].concat());
    assert!(found["validation"]["accuracy"].as_f64().unwrap() > 0.8, "{}", found["validation"]);
    for (name, taken_for) in [
        ("Name", "left out"),
        ("Ticket", "left out"),
        ("Sex", "text"),
        ("Age", "number"),
        ("Survived", "target"),
    ] {
        assert_eq!(column(&found, name)["taken_for"], taken_for, "{name}");
    }
    assert_eq!(column(&found, "Age")["columns"], 2);
    let only =
        [&arguments[..], &["--columns", "Sex", "--columns", "Age", "--device", "cpu", "--json"]]
            .concat();
    assert_eq!(json_of(&only)["settings"]["columns"].as_array().unwrap().len(), 3);
}

#[test]
fn options_that_a_format_has_no_use_for_are_refused() {
    let (table, rows) = (path("table/bool.csv"), path("labels/pm1.svm"));
    let train = |data: &str, more: &[&str]| {
        run(&[&["train", "--data", data, "--loss", "mse"], more].concat())
    };
    assert_one_line(
        &train(&table, &["--target", "y", "--groups", "g"]),
        1,
        &["--groups", "bool.csv", "leave it out"],
    );
    assert_one_line(
        &train(&rows, &["--delimiter", ";"]),
        1,
        &["--delimiter", "pm1.svm", "it is for tables"],
    );
    assert_one_line(
        &train(&table, &["--target", "z"]),
        1,
        &["--target", "unknown column", "`z`", "known: a, b, y"],
    );
    assert_one_line(
        &train(&table, &["--target", "y", "--drop", "c"]),
        1,
        &["--drop", "unknown column", "`c`"],
    );
    assert_one_line(
        &train(&table, &["--delimiter", "and"]),
        2,
        &["--delimiter is and", "one character"],
    );
    assert_one_line(
        &train(&table, &["--decimal", ";"]),
        2,
        &["--decimal is ;", "it must be . or ,"],
    );
}

/// Trains on a table of the given text and saves the model.
fn saved(folder: &TempDir, content: &str, more: &[&str]) -> (String, Value) {
    let (data, model) =
        (file(folder, "train.csv", content.as_bytes()), folder.path().join("m.safetensors"));
    let arguments =
        ["train", "--data", text(&data), "--device", "cpu", "--json", "--out", text(&model)];
    let report = json_of(&[&arguments[..], more].concat());
    (text(&model).into(), report)
}

fn predicted(folder: &TempDir, model: &str, content: &str, more: &[&str]) -> Vec<Value> {
    let data = file(folder, "asked.csv", content.as_bytes());
    let report = json_of(
        &[&["predict", model, "--data", text(&data), "--device", "cpu", "--json"], more].concat(),
    );
    report["predictions"].as_array().unwrap().clone()
}

#[test]
fn averaged_weights_get_the_table_as_it_was_encoded() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let test = path("classes/test_bc.csv");
    for more in [["--average", "0.9"], ["--optimizer", "schedule_free_adamw"]] {
        let arguments = [
            "--target",
            "y",
            "--loss",
            "cross_entropy",
            "--epochs",
            "20",
            "--test",
            &test,
            "--out",
        ];
        let found =
            trained("classes/train.csv", &[&arguments[..], &[text(&model)], &more].concat());
        let report =
            json_of(&["evaluate", text(&model), "--data", &test, "--device", "cpu", "--json"]);
        assert_eq!(report["loss"], found["test"]["loss"], "{more:?}");
        let report =
            json_of(&["predict", text(&model), "--data", &test, "--device", "cpu", "--json"]);
        assert_eq!(report["predictions"][0], "b", "{more:?}");
    }
}

#[test]
fn a_row_of_a_file_without_names_is_no_header_for_its_model() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..40)
        .map(|row| format!("{},{}\n", row % 4, if row % 4 < 2 { "low" } else { "high" }))
        .collect();
    let (model, _) =
        saved(&folder, &rows, &["--target", "1", "--loss", "cross_entropy", "--epochs", "60"]);
    assert_eq!(predicted(&folder, &model, "0\n3\n", &[]), ["low", "high"]);
    assert_eq!(predicted(&folder, &model, "0,low\n3,high\n", &[]).len(), 2);
    // Resuming reads the file as before.
    let data = folder.path().join("train.csv");
    let arguments = [
        "train",
        "--resume",
        &model,
        "--out",
        &model,
        "--data",
        text(&data),
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    let output = run(&arguments);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        report.contains("36 rows to train on, 4 to validate on"),
        "{report}{}",
        stderr(&output)
    );
}

#[test]
fn outputs_that_are_logarithms_are_reported_as_numbers() {
    let folder = TempDir::new().unwrap();
    let rows: String =
        (0..200).map(|row| format!("{},{}\n", row % 5, 10 * (1 + row % 5))).collect();
    for loss in ["poisson_nll", "tweedie", "gamma_deviance"] {
        let arguments =
            ["--target", "y", "--loss", loss, "--epochs", "150", "--learning-rate", "0.01"];
        let (model, report) = saved(&folder, &format!("x,y\n{rows}"), &arguments);
        let scores = &report["validation"];
        assert!(
            scores["mae"].as_f64().unwrap() < 3.0 && scores["r2"].as_f64().unwrap() > 0.9,
            "{loss}: {scores}"
        );
        assert!(last(&report, "val_r2") > 0.9, "{loss}: {}", report["history"]["val_r2"]);
        let found = predicted(&folder, &model, "x\n4\n", &[])[0].as_f64().unwrap();
        let raw =
            predicted(&folder, &model, "x\n4\n", &["--output", "raw"])[0]["y"].as_f64().unwrap();
        assert!(
            (found - 50.0).abs() < 5.0 && (found.ln() - raw).abs() < 1e-6,
            "{loss}: {found} {raw}"
        );
    }
}

#[test]
fn a_model_that_says_nothing_of_an_encoding_gets_numbers_as_they_are() {
    use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Sgd};
    let folder = TempDir::new().unwrap();
    let rows: String = (0..40).map(|row| format!("{},{}\n", 1000 + row, 3 * row)).collect();
    let data = file(&folder, "train.csv", format!("x,y\n{rows}").as_bytes());
    let features = ndarray::Array2::from_shape_fn((40, 1), |(row, _)| 1000.0 + row as f32);
    let targets = ndarray::Array2::from_shape_fn((40, 1), |(row, _)| 3.0 * row as f32);
    let layers = Sequential::new(1).then(Dense::new(1)).on(&Device::Cpu).unwrap();
    let mut model = layers.compile(Mse::new(), Sgd::new().learning_rate(0.1)).unwrap();
    model.set_input_scaling(vec![1019.5], vec![11.5]).unwrap();
    model.set_names(vec!["x".into()], Vec::new(), Some("y".into()));
    model.fit(&features, &targets, Fit::new().epochs(30).progress(false)).unwrap();
    let loss = model.evaluate(&features, &targets).unwrap().loss;
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    let arguments =
        ["--epochs", "1", "--learning-rate", "0", "--validation", "0", "--device", "cpu", "--json"];
    let report = json_of(
        &[
            &["train", "--resume", text(&path), "--out", text(&path), "--data", text(&data)],
            &arguments[..],
        ]
        .concat(),
    );
    let found = last(&report, "loss");
    assert!((found - loss).abs() < 1e-3 * loss.max(1.0), "{found}, not {loss}");
}

#[test]
fn numbers_are_reported_to_their_last_digit_and_names_as_they_are_written() {
    let folder = TempDir::new().unwrap();
    let times: String =
        (0..40).map(|row| format!("{},{}\n", row % 7, 1_600_000_000 + row % 7)).collect();
    let (model, _) = saved(
        &folder,
        &format!("x,y\n{times}"),
        &["--target", "y", "--loss", "mse", "--epochs", "300"],
    );
    let found = predicted(&folder, &model, "x\n0\n6\n", &[]);
    let apart = found[1].as_f64().unwrap() - found[0].as_f64().unwrap();
    // In f32 adjacent numbers are 128 seconds apart.
    assert!((4.0..8.0).contains(&apart), "{found:?}");
    let codes: String =
        (0..40).map(|row| format!("{row},{}\n", if row < 20 { "007" } else { "042" })).collect();
    let arguments = ["--target", "y", "--loss", "cross_entropy", "--epochs", "60"];
    let (model, _) = saved(&folder, &format!("x,y\n{codes}"), &arguments);
    assert_eq!(predicted(&folder, &model, "x\n0\n39\n", &[]), ["007", "042"]);
}

#[test]
fn targets_are_standardized_by_the_queries_that_are_trained_on() {
    use gradus::data::{self, ReadOptions, TargetEncoding};
    let folder = TempDir::new().unwrap();
    let mut lines = String::new();
    for query in 0..20 {
        for item in 0..1 + query % 7 {
            lines += &format!("{} qid:{query} 1:{item} 2:{query}\n", query * query + item);
        }
    }
    let (data, model) =
        (file(&folder, "q.svm", lines.as_bytes()), folder.path().join("m.safetensors"));
    let arguments =
        ["--loss", "mse", "--epochs", "1", "--validation", "0.25", "--device", "cpu", "--json"];
    json_of(&[&["train", "--data", text(&data), "--out", text(&model)], &arguments[..]].concat());
    let all = data::read(&data, &ReadOptions::default()).unwrap().train.shuffled(7).unwrap();
    let mean = f64::from(all.split(0.25).unwrap().0.values().unwrap().mean().unwrap());
    let model = gradus::Model::load(&model, &gradus::Device::Cpu).unwrap();
    let TargetEncoding::Numbers { center, .. } = model.encoding().unwrap().target() else {
        panic!("no numbers")
    };
    assert!((center[0] - mean).abs() < 1e-3, "{center:?}, not {mean}");
}

#[test]
fn a_table_goes_on_with_the_columns_that_it_had() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..40)
        .map(|row| {
            format!("{row},{},{}\n", row % 3, if row == 5 { "".into() } else { row.to_string() })
        })
        .collect();
    let (model, _) = saved(
        &folder,
        &format!("a,b,y\n{rows}"),
        &["--target", "y", "--loss", "mse", "--epochs", "1"],
    );
    let data = folder.path().join("train.csv");
    let out = folder.path().join("more");
    let arguments =
        ["train", "--resume", &model, "--out", text(&out), "--data", text(&data), "--epochs", "1"];
    let arguments = [&arguments[..], &["--device", "cpu", "--json"]].concat();
    let with = |more: &[&str]| run(&[&arguments[..], more].concat());
    for more in [&[][..], &["--target", "y"], &["--columns", "a", "--columns", "b"]] {
        let output = with(more);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("1 row(s) have no target"), "{}", stderr(&output));
    }
    let refused: [(&[&str], &str); 3] = [
        (&["--target", "b"], "--target: the saved model predicts y, not b; leave --target out"),
        (&["--drop", "b"], "--drop: the saved model takes the column `b`"),
        (&["--columns", "a"], "--columns: the saved model takes the column `b`"),
    ];
    for (more, words) in refused {
        let output = with(more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(stderr(&output).contains(words), "{more:?}: {}", stderr(&output));
    }
}

#[test]
fn several_labels_a_row_are_judged_label_by_label_and_a_saved_model_keeps_its_columns() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..200_i32)
        .map(|row| {
            let (x, z) = ((row * 37 % 101) - 50, (row * 53 % 97) - 48);
            format!("{x},{z},{},{}\n", u8::from(x > 0), u8::from(z > 0))
        })
        .collect();
    let data = file(&folder, "labels.csv", format!("x,z,one,two\n{rows}").as_bytes());
    let model = folder.path().join("m");
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "one",
        "--target",
        "two",
        "--loss",
        "bce_with_logits",
    ];
    let more = ["--epochs", "60", "--device", "cpu", "--json", "--out", text(&model)];
    let found = json_of(&[&arguments[..], &more].concat());
    assert!(found["history"]["accuracy"].is_null(), "{found}");
    let found =
        json_of(&["evaluate", text(&model), "--data", text(&data), "--json", "--device", "cpu"]);
    assert!(
        found["label_accuracy"].as_f64().unwrap() > 0.95 && found["accuracy"].is_null(),
        "{found}"
    );
    for (more, word) in [
        (["--target", "x"], "the saved model predicts one, two, not x"),
        (["--drop", "x"], "columns that it was trained on"),
        (["--columns", "x"], "columns that it was trained on"),
    ] {
        let refused = run(&[
            &["evaluate", text(&model), "--data", text(&data), "--device", "cpu"],
            &more[..],
        ]
        .concat());
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(word), "{}", stderr(&refused));
    }
}

#[test]
fn a_model_that_is_worse_than_the_mean_is_reported() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..60).map(|row| format!("{row},{}\n", 100_000 + 1000 * row)).collect();
    let data = file(&folder, "prices.csv", format!("x,price\n{rows}").as_bytes());
    let train = |loss: &str| {
        run(&[
            "train",
            "--data",
            text(&data),
            "--target",
            "price",
            "--loss",
            loss,
            "--epochs",
            "30",
        ])
    };
    assert!(stderr(&train("mape")).contains("note: predicting the mean is better"));
    assert!(!stderr(&train("mse")).contains("predicting the mean is better"));
}

#[test]
fn a_quote_that_is_never_closed_and_numbers_whose_squares_overflow_are_named() {
    let folder = TempDir::new().unwrap();
    let rows = |bad: &str| -> String {
        (0..300)
            .map(|row| format!("{},{},{}\n", row % 7, row % 2, if row == 99 { bad } else { "x" }))
            .collect()
    };
    let train = |name: &str, content: String, more: &[&str]| {
        let data = file(&folder, name, content.as_bytes());
        run(&[&["train", "--data", text(&data), "--target", "y", "--loss", "cross_entropy"], more]
            .concat())
    };
    for more in [&[][..], &["--stream"]] {
        let open = train("open.csv", format!("x,y,note\n{}", rows("\"6 inch")), more);
        assert_one_line(&open, 1, &["--data", "line 101", "a quote that is never closed"]);
    }
    // A closed quote may hold line ends, also at the end of the file.
    let closed = train(
        "closed.csv",
        format!("x,y,note\n{}1,0,\"a\nb\"\n", rows("\"6\n inch\"")),
        &["--device", "cpu"],
    );
    assert_eq!(closed.status.code(), Some(0), "{}", stderr(&closed));
    let huge = train("huge.csv", format!("x,y,note\n{}3e200,1,x\n", rows("x")), &[]);
    assert_one_line(&huge, 1, &["huge.csv", "line 302", "column `x`", "1e150"]);
}
