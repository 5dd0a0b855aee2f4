//! `rates`, and the page and the diagnosis of `train`.

use crate::{DIGITS, json_of, run, stderr};

const PASSENGERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/passengers.csv");

fn passengers<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "rates",
        "--data",
        PASSENGERS,
        "--target",
        "survived",
        "--drop",
        "id",
        "--loss",
        "cross_entropy",
        "--hidden",
        "16",
        "--device",
        "cpu",
        "--test-steps",
        "40",
    ];
    common.iter().chain(more).copied().collect()
}

#[test]
fn a_rate_is_suggested_with_its_band_and_the_page_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("rates.html");
    let page = page.to_str().unwrap();
    let found = json_of(&passengers(&["--json", "--html", page]));
    let number = |name: &str| found[name].as_f64().unwrap();
    let [low, high] = [0, 1].map(|end| found["band"][end].as_f64().unwrap());
    assert!(low <= number("vertex") && number("vertex") <= high);
    assert!(number("suggestion") > 1e-3 && number("suggestion") < 1.0, "{found}");
    let rates = found["rates"].as_array().unwrap();
    assert_eq!(
        (rates.len(), found["steps"].as_u64(), found["held_out"].as_u64()),
        (25, Some(40), Some(60))
    );
    assert_eq!(rates[0]["losses"].as_array().unwrap().len(), 2);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("<svg role=\"img\"")
            && html.contains("suggestion")
            && !html.contains("<script")
    );
    assert_eq!(found, json_of(&passengers(&["--json"])), "the same test gives the same numbers");
    let text = run(&passengers(&["--optimizer", "sgd", "--range", "1e-3,1", "--seeds", "1"]));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("learning rate") && text.contains("train with --learning-rate"),
        "{text}"
    );
    assert!(text.matches("within 10 %").count() >= 2, "{text}");
}

#[test]
fn options_of_a_training_alone_are_refused() {
    for (more, part) in [
        (&["--out", "model.safetensors"][..], "--out"),
        (&["--learning-rate", "0.1"], "--learning-rate"),
        (&["--range", "1,0.1"], "--range"),
        (&["--seeds", "0"], "--seeds"),
        (&["--range", "1e-12,1e-10"], "is not lowered by any rate"),
    ] {
        let output = run(&passengers(more));
        assert!(!output.status.success() && output.stdout.is_empty(), "{more:?}");
        assert!(stderr(&output).contains(part), "{more:?}: {}", stderr(&output));
    }
}

/// A training of digits but for its learning rate.
const TRAIN: &[&str] = &[
    "train",
    "--data",
    DIGITS,
    "--target",
    "64",
    "--loss",
    "cross_entropy",
    "--hidden",
    "32",
    "--epochs",
    "5",
    "--optimizer",
    "sgd",
    "--device",
    "cpu",
    "--learning-rate",
];

#[test]
fn a_training_says_what_its_rate_is_and_draws_its_losses() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("train.html");
    let page = page.to_str().unwrap();
    let train = |rate: &str, more: &[&str]| {
        let common = [TRAIN, &[rate]].concat();
        json_of(&common.iter().chain(more).chain(&["--json"]).copied().collect::<Vec<_>>())
    };
    let small = train("1e-3", &["--html", page]);
    assert_eq!(small["diagnosis"]["verdict"], "too_small", "{}", small["diagnosis"]);
    assert!((small["diagnosis"]["try_rate"].as_f64().unwrap() - 3e-3).abs() < 1e-12);
    assert!(small["diagnosis"]["text"].as_str().unwrap().contains("too small: try 0.003"));
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.matches("<svg role=\"img\"").count() == 2 && html.contains("too small: try 0.003")
    );
    assert_eq!(train("0.1", &[])["diagnosis"]["verdict"], "right");
    let output = run(&[TRAIN, &["1e-3"]].concat());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("\ndiagnosis: the learning rate is too small")
    );
}
