//! `gradus eval`.

use gradus::Device;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{each_device, gpu};
use crate::{
    assert_one_line, eval, file, gradus, json_of, mse_case, numbers, run, stderr, tensor, text,
};

#[test]
fn eval_answers_each_case_on_every_device() {
    let cases = json!([
        mse_case(tensor(&[2], &[1.0, 3.0]), tensor(&[2], &[0.0, 1.0])),
        { "name": "steps", "optimizer": "sgd", "options": { "learning_rate": 0.5 }, "report": [1],
          "parameters": tensor(&[2], &[1.0, 2.0]), "gradients": [tensor(&[2], &[1.0, -1.0])] },
    ]);
    for device in each_device().iter().map(Device::name) {
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
    if gpu().is_none() {
        return;
    }
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
fn bad_cases_are_reported_in_one_line_with_what_was_asked_found_and_allowed() {
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
        (
            mse_case(tensor(&[2, 3], &[0.0; 6]), tensor(&[2], &[0.0; 2])),
            &["mse", "[2, 3]", "[2]", "must be"],
        ),
        (cross_entropy(10.0), &["cross_entropy", "row 0", "label 10", "0 to 9", "10 classes"]),
        (
            with(
                json!({ "loss": "cross_entropy", "inputs": { "predictions": tensor(&[2, 0], &[]), "targets": tensor(&[2], &[0.0; 2]) } }),
            ),
            &["cross_entropy", "[2, 0]"],
        ),
        (
            with(json!({ "loss": "huber", "options": { "delta": -1.0 } })),
            &["huber", "delta", "-1", "> 0"],
        ),
        (
            with(json!({ "loss": "hubber" })),
            &["unknown loss `hubber`", "did you mean `huber`?", "`gradus losses` lists"],
        ),
        (with(json!({ "options": { "gamma": 1 } })), &["unknown option of mse `gamma`"]),
        (
            with(
                json!({ "inputs": { "predictions": tensor(&[1], &[1.0]), "targets": tensor(&[1], &[1.0]), "wait": tensor(&[1], &[1.0]) } }),
            ),
            &["unknown input of mse `wait`", "weight"],
        ),
    ];
    for (case, words) in table {
        for device in each_device().iter().map(Device::name) {
            let (_, output) = eval(&json!([case]), device);
            assert_one_line(&output, 1, words);
        }
    }
}

#[test]
fn a_file_that_is_no_array_of_cases_is_named_with_line_and_column() {
    let folder = TempDir::new().unwrap();
    let broken = file(&folder, "broken.json", b"[\n  {\"name\": }\n]");
    assert_one_line(
        &run(&["eval", text(&broken)]),
        1,
        &["broken.json", "line 2, column 12", "a JSON array"],
    );
    let object = file(&folder, "object.json", b"\n  {}");
    assert_one_line(
        &run(&["eval", text(&object)]),
        1,
        &["object.json", "line 2, column 3", "an object"],
    );
    let twice = file(&folder, "twice.json", b"[{\"loss\": \"mse\",\n \"loss\": \"mae\"}]");
    assert_one_line(&run(&["eval", text(&twice)]), 1, &["line 2", "\"loss\" a second time"]);
    assert_one_line(
        &run(&["eval", "/nonexistent/cases.json"]),
        1,
        &["/nonexistent/cases.json", "No such file"],
    );
}

#[test]
fn pipelines_are_kept_and_a_damaged_file_is_written_anew() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = mse_case(tensor(&[1, 4], &[1.0, 2.0, 3.0, 4.0]), tensor(&[1, 4], &[0.0; 4]));
    let cases = file(&folder, "cases.json", json!([case]).to_string().as_bytes());
    let kept = folder.path().join("kept");
    let run = |switch: &str| {
        let mut command = gradus(&["eval", text(&cases), "--device", "gpu"]);
        let output = command
            .env("GRADUS_CACHE_DIR", &kept)
            .env("GRADUS_PIPELINE_CACHE", switch)
            .output()
            .unwrap();
        (output.status.code(), output.stdout)
    };
    let expected = run("off");
    assert!(!kept.exists(), "switched off, nothing is written");
    assert_eq!(run("on"), expected);
    // No cache of Vulkan's: nothing to store.
    let Ok(mut files) = std::fs::read_dir(&kept) else { return };
    let path = files.next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    for damaged in [whole[..whole.len() / 2].to_vec(), vec![0; 100], Vec::new()] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(run("on"), expected);
        assert_eq!(std::fs::read(&path).unwrap().len(), whole.len());
    }
}
