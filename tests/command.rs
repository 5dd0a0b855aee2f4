//! The command as it is called: the JSON of each of its commands, and one line with the right exit code for each bad input.
#![cfg(feature = "cli")]

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

/// The JSON that a command prints, which must end well.
fn json_of(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Answers of `eval` to cases on stdin, with everything else it says.
fn eval(cases: &Value, device: &str) -> (Value, Output) {
    let mut command = gradus(&["eval", "-", "--device", device]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), output)
}

/// That a command fails with this code and one line that holds these words.
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
}

#[test]
fn losses_lists_the_three_lists_and_shows_defaults() {
    let all = json_of(&["losses", "--json"]);
    let count = |kind: &str| all[kind].as_array().unwrap().len();
    assert_eq!(count("losses"), gradus::losses::CATALOGUE.len());
    assert_eq!(count("activations"), gradus::activations::CATALOGUE.len());
    assert_eq!(count("optimizers"), gradus::optimizers::CATALOGUE.len());
    for (name, option, default) in
        [("huber", "delta", json!(1.0)), ("adam", "beta2", json!(0.999)), ("leaky_relu", "negative_slope", json!(0.01))]
    {
        let one = json_of(&["losses", name, "--json"]);
        let options = one["options"].as_array().unwrap();
        let found = options.iter().find(|found| found["name"] == option).unwrap();
        assert_eq!(found["default"], default, "{name}");
    }
    let listed = run(&["losses"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("cross_entropy"));
}

#[test]
fn eval_answers_each_case_on_every_device() {
    let cases = json!([
        mse_case(tensor(&[2], &[1.0, 3.0]), tensor(&[2], &[0.0, 1.0])),
        { "name": "steps", "optimizer": "sgd", "options": { "learning_rate": 0.5 }, "report": [1],
          "parameters": tensor(&[2], &[1.0, 2.0]), "gradients": [tensor(&[2], &[1.0, -1.0])] },
    ]);
    for device in ["gpu", "cpu", "reference"] {
        let (answers, output) = eval(&cases, device);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let (loss, optimizer) = (&answers[0], &answers[1]);
        assert_eq!(loss["name"], "a case");
        // (1² + 2²) / 2 and 2e / 2: exact in f32.
        assert_eq!(numbers(&loss["value"]["data"]), [2.5], "{device}");
        assert_eq!(loss["value"]["shape"], json!([]));
        assert_eq!(numbers(&loss["gradients"]["predictions"]["data"]), [1.0, 2.0], "{device}");
        assert_eq!(loss["count"], 2);
        assert_eq!(numbers(&optimizer["parameters"]["1"]["data"]), [0.5, 2.5], "{device}");
    }
}

#[test]
fn eval_with_bounds_checks_gives_the_same() {
    let folder = TempDir::new().unwrap();
    let cases = json!([mse_case(tensor(&[3], &[1.0, 3.0, 0.5]), tensor(&[3], &[0.0, 1.0, 2.0]))]);
    let path = file(&folder, "cases.json", cases.to_string().as_bytes());
    let plain = json_of(&["eval", text(&path), "--device", "gpu"]);
    assert_eq!(plain, json_of(&["eval", text(&path), "--device", "gpu", "--checked"]));
    assert!(plain[0]["value"].is_object());
}

#[test]
fn a_case_that_fails_does_not_keep_the_others_from_their_answers() {
    let good = mse_case(tensor(&[1], &[1.0]), tensor(&[1], &[0.0]));
    let bad = mse_case(tensor(&[1], &[1.0]), tensor(&[2], &[0.0, 0.0]));
    let (answers, output) = eval(&json!([good, bad, good]), "cpu");
    assert_one_line(&output, 1, &["case 1", "predictions are [1] but targets are [2]"]);
    assert_eq!(numbers(&answers[0]["value"]["data"]), [1.0]);
    assert!(answers[1]["error"].is_string());
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn bad_cases_are_told_in_one_line_with_what_was_asked_found_and_allowed() {
    let predictions = tensor(&[1, 10], &[0.0; 10]);
    let with = |changes: Value| {
        let mut case = mse_case(tensor(&[1], &[1.0]), tensor(&[1], &[0.0]));
        case.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        case
    };
    let cross_entropy = |label: f64| {
        with(
            json!({ "loss": "cross_entropy", "inputs": { "predictions": predictions, "targets": tensor(&[1], &[label]) } }),
        )
    };
    let table: [(Value, &[&str]); 7] = [
        (mse_case(tensor(&[2, 3], &[0.0; 6]), tensor(&[2], &[0.0; 2])), &["mse", "[2, 3]", "[2]", "must be"]),
        (cross_entropy(10.0), &["cross_entropy", "row 0", "label 10", "0 to 9", "10 classes"]),
        (mse_case(tensor(&[0, 3], &[]), tensor(&[0, 3], &[])), &["mse", "[0, 3]", "no rows"]),
        (with(json!({ "loss": "huber", "options": { "delta": -1.0 } })), &["huber", "delta", "-1", "> 0"]),
        (with(json!({ "loss": "hubber" })), &["unknown loss `hubber`", "known: mse"]),
        (with(json!({ "options": { "gamma": 1 } })), &["unknown option of mse `gamma`"]),
        (
            with(
                json!({ "inputs": { "predictions": tensor(&[1], &[1.0]), "targets": tensor(&[1], &[1.0]), "wait": tensor(&[1], &[1.0]) } }),
            ),
            &["unknown input of mse `wait`", "weight"],
        ),
    ];
    for (case, words) in table {
        for device in ["gpu", "cpu"] {
            let (_, output) = eval(&json!([case]), device);
            assert_one_line(&output, 1, words);
        }
    }
}

#[test]
fn a_file_that_is_no_array_of_cases_is_named_with_line_and_column() {
    let folder = TempDir::new().unwrap();
    let broken = file(&folder, "broken.json", b"[\n  {\"name\": }\n]");
    assert_one_line(&run(&["eval", text(&broken)]), 1, &["broken.json", "line 2, column 12", "a JSON array"]);
    let object = file(&folder, "object.json", b"\n  {}");
    assert_one_line(&run(&["eval", text(&object)]), 1, &["object.json", "line 2, column 3", "an object"]);
    assert_one_line(&run(&["eval", "/nonexistent/cases.json"]), 1, &["/nonexistent/cases.json", "No such file"]);
}

#[test]
fn check_reports_each_set_of_options() {
    let found = json_of(&["check", "--device", "cpu", "huber", "relu", "sgd", "matmul", "--json"]);
    assert_eq!(found["passed"], true);
    let names: Vec<&str> = found["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in ["huber", "relu", "sgd", "huber {\"delta\": 0.25}"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(found["checks"][0]["value_error"].as_f64().unwrap() < 1e-5);
    assert_one_line(&run(&["check", "mze"]), 2, &["unknown name `mze`", "mse"]);
}

#[test]
fn bench_gives_the_fields_of_the_contract() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("bench.html");
    let arguments = ["bench", "--device", "gpu", "--quick", "mse", "matmul", "--json", "--html", text(&page)];
    let found = json_of(&arguments);
    let rows = found.as_array().unwrap();
    for row in rows {
        for field in ["gradus", "date", "system", "threads", "device", "adapter", "name", "shape", "dtype", "seconds"] {
            assert!(!row[field].is_null(), "{field}");
        }
        assert_eq!(row["driver"].is_string(), row["device"] == "gpu");
    }
    let names: Vec<&str> = rows.iter().step_by(2).map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["copy", "read", "fma", "mse", "matmul"]);
    let of = |name: &str, device: &str| rows.iter().find(|r| r["name"] == name && r["device"] == device).unwrap();
    let number = |row: &Value, field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field} of {row}"));
    let mse = of("mse", "gpu");
    assert_eq!((&mse["shape"], &mse["dtype"]), (&json!([1 << 22]), &json!("f32")));
    assert_eq!((&mse["bytes"], &mse["bound"], &mse["samples"]), (&json!(12 << 22), &json!("memory"), &json!(20)));
    let ranks = ["seconds_min", "seconds_p10", "seconds", "seconds_p90"].map(|field| number(mse, field));
    assert!(ranks.is_sorted() && ranks[0] > 0.0, "{ranks:?}");
    assert!(number(mse, "first_call_seconds") > 0.0);
    let rate = number(mse, "gb_per_s");
    assert!((rate * ranks[2] * 1e9 / f64::from(12 << 22) - 1.0).abs() < 1e-9);
    assert!((number(mse, "copy_fraction") - rate / number(mse, "copy_gb_per_s")).abs() < 1e-9);
    assert!(["timestamps", "wall"].contains(&mse["clock"].as_str().unwrap()) && mse["adapter"].is_string());
    assert!(mse["fused_fraction"].is_null() && number(of("mse", "cpu"), "fused_fraction") > 0.0);
    let matmul = of("matmul", "cpu");
    assert_eq!((&matmul["flops"], &matmul["bound"]), (&json!(2 * 512 * 512 * 512), &json!("arithmetic")));
    assert!(number(matmul, "fma_fraction") > 0.0 && matmul["copy_fraction"].is_null());
    assert_eq!(of("mse", "cpu")["cpu_ratio"], 1.0);
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("mse 2²²") && page.contains("matmul 512×512×512"));
}

#[test]
fn bench_refuses_what_it_does_not_know_or_cannot_write() {
    let words = ["unknown benchmark `mze`", "copy, read, fma, mse", "matmul_nt", "train_step, epoch"];
    assert_one_line(&run(&["bench", "mze"]), 2, &words);
    assert_one_line(&run(&["bench", "--quick", "--large"]), 2, &["--quick", "--large"]);
    let nowhere = "/nonexistent/bench.html";
    assert_one_line(&run(&["bench", "mse", "--device", "cpu", "--html", nowhere]), 1, &["writing", nowhere]);
}

#[test]
fn a_model_is_trained_saved_continued_and_used_to_predict() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("digits.safetensors");
    let data = ["--data", DIGITS, "--target", "64", "--device", "cpu", "--json"];
    let train = |more: &[&str]| json_of(&[&["train"], &data[..], more].concat());
    let first = train(&["--loss", "cross_entropy", "--hidden", "32", "--epochs", "4", "--out", text(&model)]);
    assert_eq!(first["device"], "cpu");
    assert_eq!(first["parameters"], 64 * 32 + 32 + 32 * 10 + 10);
    let history = &first["history"];
    for column in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        assert_eq!(history[column].as_array().unwrap().len(), 4, "{column}");
    }
    let losses = numbers(&history["loss"]);
    assert!(losses[3] < losses[0]);
    // 1,797 rows without the tenth that validates, in batches of 64.
    assert_eq!(first["steps"], 4 * 1617_u32.div_ceil(64));
    assert!(first["test"].is_null() && first["seconds"].as_f64().unwrap() > 0.0);

    let more = train(&["--resume", text(&model), "--epochs", "2", "--out", text(&model), "--step-losses"]);
    assert!(numbers(&more["history"]["loss"])[0] < losses[0]);
    assert_eq!(more["step_losses"].as_array().unwrap().len() as u64, more["steps"].as_u64().unwrap());

    let predicted = json_of(&[&["predict", text(&model)], &data[..]].concat());
    assert_eq!(predicted["predictions"].as_array().unwrap().len(), 1797);
    assert!(predicted["predictions"].as_array().unwrap().iter().all(|class| class.as_u64().unwrap() < 10));
    // Six epochs of this network reach 89 %; a model whose scaling was not saved with it falls to a tenth.
    assert!(predicted["accuracy"].as_f64().unwrap() > 0.8);
    let lines = run(&["predict", text(&model), "--data", DIGITS, "--target", "64", "--device", "cpu"]);
    assert_eq!(String::from_utf8(lines.stdout).unwrap().lines().count(), 1797);
}

/// Queries of three to six rows whose grade is that of their first feature: SVMlight's lines, features counted from 1.
fn queries(first: usize, count: usize) -> String {
    let mut lines = String::new();
    for query in first..first + count {
        for item in 0..3 + query % 4 {
            let grade = (query * 7 + item * 5) % 4;
            let noise = (query * 13 + item * 29) % 17;
            lines += &format!("{grade} qid:{query} 2:{} 3:{noise} # row {item}\n", 10 * grade + noise % 3);
        }
    }
    lines
}

#[test]
fn rows_of_queries_are_ordered_and_told_by_ndcg() {
    let folder = TempDir::new().unwrap();
    let (train, test) = (file(&folder, "rank.svm", queries(0, 40).as_bytes()), queries(100, 12));
    // An index fewer than there are features, and none that tells where counting begins.
    let test = file(&folder, "fresh.svm", test.replace(" 3:", " # 3:").as_bytes());
    let model = folder.path().join("rank.safetensors");
    for loss in ["lambda_rank", "list_net"] {
        let arguments = ["train", "--data", text(&train), "--test", text(&test), "--loss", loss, "--device", "cpu"];
        let found = json_of(&[&arguments[..], &["--json", "--out", text(&model)]].concat());
        // 40 queries without the tenth that validates, in batches of the settings.
        let settings = &found["settings"];
        let (epochs, batch) = (settings["epochs"].as_u64().unwrap(), settings["batch_size"].as_u64().unwrap());
        assert_eq!(found["steps"], epochs * 36_u64.div_ceil(batch), "{loss}");
        assert_eq!(settings["standardized"], true);
        for part in ["validation", "test"] {
            for name in ["ndcg_at_1", "ndcg_at_3", "ndcg_at_5", "ndcg_at_10", "mrr"] {
                let value = found[part][name].as_f64().unwrap();
                assert!(value > 0.9 && value <= 1.0, "{loss}: {part}: {name} {value}");
            }
        }
        assert_eq!(json_of(&[&arguments[..], &["--json"]].concat())["test"], found["test"], "the same twice");
        let told = String::from_utf8(run(&arguments).stdout).unwrap();
        assert!(told.contains("36 queries to train on") && told.contains("test: loss"), "{told}");
        assert!(told.contains("features standardized") && told.contains("ndcg_at_5"), "{told}");
        let predicted = json_of(&["predict", text(&model), "--data", text(&test), "--device", "cpu", "--json"]);
        assert_eq!(predicted["predictions"].as_array().unwrap().len(), 12 * 4 + 6, "one score for each row");
    }
    let resumed =
        ["train", "--data", text(&train), "--resume", text(&model), "--epochs", "1", "--device", "cpu", "--json"];
    let more = json_of(&resumed);
    assert!(more["validation"]["ndcg_at_5"].as_f64().unwrap() > 0.9 && more["settings"].is_null(), "{more}");
    let plain = ["train", "--data", text(&train), "--loss", "mse", "--device", "cpu", "--json"];
    assert!(json_of(&plain)["validation"]["ndcg_at_5"].as_f64().unwrap() > 0.5);

    let train_on = |path: &Path, more: &[&str]| {
        run(&[&["train", "--data", text(path), "--loss", "lambda_rank", "--device", "cpu"], more].concat())
    };
    let alone = file(&folder, "alone.svm", b"1 1:2\n0 1:3\n");
    assert_one_line(&train_on(&alone, &["--validation", "0"]), 1, &["lambda_rank", "queries", ".query", "--groups"]);
    let damaged = file(&folder, "damaged.svm", b"1 qid:1 1:2\n0 qid:1 2:3 1:4\n");
    assert_one_line(&train_on(&damaged, &[]), 1, &["damaged.svm", "line 2", "index 1 after 2"]);
    let wide = file(&folder, "wide.svm", b"1 qid:1 9:2\n");
    assert_one_line(&train_on(&train, &["--test", text(&wide)]), 1, &["wide.svm", "line 1", "index 9"]);
    let grades = file(&folder, "grades.svm", b"101 qid:1 1:2\n0 qid:1 2:3\n1 qid:2 1:1\n");
    let output = train_on(&grades, &["--validation", "0"]);
    let message = stderr(&output); // behind the line that tells the device
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.lines().last().unwrap().contains("lambda_rank: targets hold 101 at element 1"), "{message}");
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
    let numbers = with(&["--data", DIGITS, "--target", "64", "--loss", "huber", "--set", "delta=0.5"]);
    assert_eq!(numbers["parameters"], 64 * 8 + 8 + 8 + 1);
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
    assert!(stderr(&output).lines().last().unwrap().starts_with("error: stopped"), "{}", stderr(&output));
}

#[test]
fn demo_trains_the_example_network_and_measures() {
    let output = run(&["demo", "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.matches("epoch 5: loss").count(), 2, "{told}");
    assert_eq!(told.matches("7960 parameters, 1565 steps").count(), 2, "{told}");
    assert!(told.contains("matmul") && told.contains("Next:"), "{told}");
}

#[test]
fn bad_usage_ends_with_2_and_one_line() {
    let train = |more: &[&'static str]| run(&[&["train", "--data", DIGITS, "--target", "64"], more].concat());
    assert_one_line(&train(&["--loss", "hubber"]), 2, &["unknown loss `hubber`", "known: mse"]);
    assert_one_line(&train(&["--loss", "huber", "--set", "delta=-1"]), 2, &["huber", "delta is -1", "> 0"]);
    assert_one_line(&train(&["--loss", "huber", "--set", "delta"]), 2, &["NAME=VALUE"]);
    assert_one_line(&train(&["--loss", "mse", "--optimizer", "adma"]), 2, &["unknown optimizer `adma`", "adam"]);
    assert_one_line(&train(&["--loss", "mse", "--activation", "rleu"]), 2, &["unknown activation `rleu`", "relu"]);
    assert_one_line(&train(&["--loss", "mse", "--hidden", "12,x"]), 2, &["--hidden", "12,x", "128,64"]);
    assert_one_line(&train(&["--loss", "mse", "--validation", "1"]), 2, &["--validation is 1", "[0, 1)"]);
    assert_one_line(&train(&["--loss", "mse", "--epochs", "0"]), 2, &["--epochs", "0", "non-zero"]);
    assert_one_line(&train(&["--loss", "mse", "--learning-rate", "-1"]), 2, &["adam", "learning_rate is -1"]);
    assert_one_line(&train(&["--loss", "mse", "--l1", "-1"]), 2, &["--l1 is -1", ">= 0"]);
    assert_one_line(&train(&["--loss", "mse", "--resume", "m", "--hidden", "3"]), 2, &["--resume", "--hidden"]);
    assert_one_line(&train(&["--loss", "kl_div"]), 2, &["kl_div", "allowed:", "cross_entropy"]);
    assert_one_line(&train(&[]), 2, &["--loss"]);
    assert_one_line(&run(&["losses", "hubber"]), 2, &["`hubber`", "huber"]);
    assert_one_line(&run(&["devices", "--jsn"]), 2, &["--jsn"]);
    assert_one_line(&run(&["eval", "x.json", "--device", "tpu"]), 2, &["tpu", "auto, gpu, cpu, reference"]);
    assert_one_line(&run(&["evil"]), 2, &["evil", "eval"]);
    assert_one_line(&run(&[]), 2, &["a command is needed", "demo"]);
}

#[test]
fn bad_data_ends_with_1_and_one_line() {
    let folder = TempDir::new().unwrap();
    let broken = file(&folder, "broken.csv", b"a,b\n1,2\n3,NaN\n");
    let train = |data: &Path, target: &str| {
        run(&["train", "--data", text(data), "--target", target, "--loss", "mse", "--device", "cpu"])
    };
    assert_one_line(&train(&broken, "a"), 1, &["broken.csv", "line 3", "NaN"]);
    assert_one_line(&train(&broken, "c"), 1, &["`c`", "a, b"]);
    assert_one_line(&train(Path::new("/nonexistent.csv"), "a"), 1, &["/nonexistent.csv"]);
    assert_one_line(&run(&["train", "--data", DIGITS, "--loss", "mse"]), 1, &["--target"]);

    // An IDX file whose last byte is missing.
    let mut images = b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02".to_vec();
    images.extend([0; 7]);
    file(&folder, "train-images-idx3-ubyte", &images);
    file(&folder, "train-labels-idx1-ubyte", b"\x00\x00\x08\x01\x00\x00\x00\x02\x00\x01");
    let output = run(&["train", "--data", text(folder.path()), "--loss", "mse"]);
    assert_one_line(&output, 1, &["train-images-idx3-ubyte", "byte", "expected"]);

    let noise = file(&folder, "noise.safetensors", b"no model");
    let output = run(&["predict", text(&noise), "--data", DIGITS, "--target", "64", "--device", "cpu"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(message.lines().last().unwrap().contains("noise.safetensors"), "{message}");
}

#[test]
fn without_an_adapter_gpu_fails_with_advice_and_devices_still_answers() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "cases.json", b"[]");
    let without = |arguments: &[&str]| {
        let mut command = gradus(arguments);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command.env("WGPU_BACKEND", "vulkan").env_remove("XDG_RUNTIME_DIR").output().unwrap()
    };
    for arguments in [
        &["eval", text(&path), "--device", "gpu"][..],
        &["check", "mse", "--device", "gpu"],
        &["demo", "--device", "gpu"],
    ] {
        assert_one_line(&without(arguments), 1, &["no GPU adapter", "Vulkan", "found none", "install", "`cpu`"]);
    }
    let devices = without(&["devices"]);
    assert_eq!(devices.status.code(), Some(0));
    assert!(String::from_utf8(devices.stdout).unwrap().contains("install"));
    assert_eq!(without(&["eval", text(&path)]).status.code(), Some(0));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = gradus(&["losses", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn pipelines_are_kept_and_a_damaged_file_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let case = mse_case(tensor(&[1, 4], &[1.0, 2.0, 3.0, 4.0]), tensor(&[1, 4], &[0.0; 4]));
    let cases = file(&folder, "cases.json", json!([case]).to_string().as_bytes());
    let kept = folder.path().join("kept");
    let run = |switch: &str| {
        let mut command = gradus(&["eval", text(&cases), "--device", "gpu"]);
        let output = command.env("GRADUS_CACHE_DIR", &kept).env("GRADUS_PIPELINE_CACHE", switch).output().unwrap();
        (output.status.code(), output.stdout)
    };
    let expected = run("off");
    assert!(!kept.exists(), "switched off, nothing is written");
    assert_eq!(run("on"), expected);
    // No adapter, or none of Vulkan: nothing to keep.
    let Ok(mut files) = std::fs::read_dir(&kept) else { return };
    let path = files.next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    for damaged in [whole[..whole.len() / 2].to_vec(), vec![0; 100], Vec::new()] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(run("on"), expected);
        assert_eq!(std::fs::read(&path).unwrap().len(), whole.len());
    }
}
