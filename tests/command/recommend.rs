//! `gradus recommend`: training on a ratings file, and queries to the saved model.

use std::path::PathBuf;
use std::process::Output;

use gradus::random::Random;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DIGITS, assert_one_line, file, stderr, text};

fn run(arguments: &[&str]) -> Output {
    crate::run(&[&["recommend"], arguments].concat())
}

fn json_of(arguments: &[&str]) -> Value {
    crate::json_of(&[&["recommend"], arguments].concat())
}

/// Users of two tastes who give 5 stars to half of the items of their taste and 2 to some others.
fn made_up(folder: &TempDir) -> PathBuf {
    let (mut random, mut text) =
        (Random::new(4, 0), String::from("userId,movieId,rating,timestamp\n"));
    for user in 0..60 {
        for item in 0..50 {
            match (user % 2 == item % 2, random.uniform()) {
                (true, chance) if chance < 0.5 => text += &format!("{user},{},5.0,0\n", 10 * item),
                (false, chance) if chance < 0.1 => text += &format!("{user},{},2.0,0\n", 10 * item),
                _ => {}
            }
        }
    }
    file(folder, "ratings.csv", (text + "99,30,1.0,0\n").as_bytes())
}

#[test]
fn the_command_answers_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    for loss in ["warp", "warp_kos", "bpr", "logistic"] {
        let arguments = [
            "--interactions",
            path.to_str().unwrap(),
            "--loss",
            loss,
            "--components",
            "8",
            "--device",
            "cpu",
            "--json",
        ];
        let answer = || {
            let output = run(&arguments);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{stderr}");
            assert!(
                stderr.contains("1 user(s) have no rating of 4 or more")
                    && stderr.contains("user 99 in line"),
                "{stderr}"
            );
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let found = answer();
        let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
        let wanted = [
            "users",
            "items",
            "interactions",
            "history",
            "test",
            "seconds_per_epoch",
            "sampled_pairs_per_second",
        ];
        assert_eq!(keys[..7], wanted);
        assert_eq!(
            keys[7..],
            [
                "device",
                "interactions_to_train",
                "epochs_before",
                "stopped",
                "popularity",
                "refit",
                "user_features",
                "item_features",
                "settings"
            ]
        );
        assert_eq!(
            (&found["settings"]["loss"], &found["settings"]["seed"]),
            (&loss.into(), &7.into())
        );
        assert_eq!(found["settings"]["interactions"], text(&path));
        assert!(found["interactions_to_train"].as_u64() < found["interactions"].as_u64());
        let keys: Vec<&String> = found["test"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["precision_at_10", "recall_at_10", "auc", "mrr", "ndcg_at_10"]);
        assert_eq!((&found["users"], &found["items"]), (&60.into(), &50.into()));
        assert_eq!(found["history"]["loss"].as_array().unwrap().len(), 20);
        assert!(found["seconds_per_epoch"].as_f64().unwrap() > 0.0);
        assert_eq!(found["sampled_pairs_per_second"].as_f64().unwrap() > 0.0, loss != "logistic");
        // Of the ~37 remaining items only a fifth of the ~12 of the user's taste are test items:
        // chance is ½, the tastes alone give ¾.
        if loss != "logistic" {
            assert!(found["test"]["auc"].as_f64().unwrap() > 0.65, "{loss}: {}", found["test"]);
        }
        assert_eq!((&found["history"], &found["test"]), (&answer()["history"], &answer()["test"]));
    }
    let whole = run(&[
        "--interactions",
        path.to_str().unwrap(),
        "--test-fraction",
        "0",
        "--device",
        "cpu",
        "--json",
    ]);
    assert_eq!(serde_json::from_slice::<Value>(&whole.stdout).unwrap()["test"], Value::Null);
    let table =
        run(&["--interactions", path.to_str().unwrap(), "--device", "cpu", "--epochs", "3"]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("precision@10"));
}

/// Contents of a list: the items, best first, and the numbers they are sorted by.
fn listed(answer: &Value, measure: &str) -> (Vec<u64>, Vec<f64>) {
    let items = answer["items"].as_array().unwrap();
    let number = |found: &Value| found[measure].as_f64().unwrap();
    (
        items.iter().map(|found| found["item"].as_u64().unwrap()).collect(),
        items.iter().map(number).collect(),
    )
}

#[test]
fn a_saved_recommender_is_asked_for_a_users_items_without_those_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let model = folder.path().join("model.safetensors");
    let (path, model) = (text(&path), text(&model));
    run(&["--interactions", path, "--components", "8", "--device", "cpu", "--out", model]);
    let ask =
        |more: &[&str]| json_of(&[&["--model", model, "--device", "cpu", "--json"], more].concat());

    let ratings = std::fs::read_to_string(path).unwrap();
    let rated: Vec<u64> = ratings
        .lines()
        .filter_map(|line| line.strip_prefix("3,")?.split(',').next()?.parse().ok())
        .collect();
    let all = ask(&["--user", "3", "--count", "50"]);
    let trained_on = all["excluded"]["trained_on"].as_u64().unwrap();
    assert_eq!(
        (&all["user"], &all["excluded"]["interactions"], &all["device"]),
        (&3.into(), &Value::Null, &"cpu".into())
    );
    let (items, scores) = listed(&all, "score");
    assert_eq!(items.len() as u64, 50 - trained_on, "all that it was not trained on, and no more");
    assert!(
        scores.is_sorted_by(|a, b| a >= b) && items.iter().all(|item| item % 10 == 0),
        "ids of the file"
    );
    assert!(items.iter().any(|item| rated.contains(item)), "those that were held out may come up");

    let unseen = ask(&["--user", "3", "--count", "50", "--interactions", path]);
    let (left, _) = listed(&unseen, "score");
    let expected: Vec<u64> = items.iter().copied().filter(|item| !rated.contains(item)).collect();
    assert_eq!(left, expected, "the same order without what the file holds");
    let excluded = &unseen["excluded"];
    assert_eq!(
        (&excluded["interactions"], &excluded["items"]),
        (&rated.len().into(), &(50 - left.len()).into())
    );
    assert_eq!(
        listed(&ask(&["--user", "3", "--interactions", path, "--count", "4"]), "score").0,
        expected[..4]
    );

    let report = run(&["--model", model, "--user", "3", "--device", "cpu"]);
    let words = String::from_utf8(report.stdout.clone()).unwrap();
    assert!(words.contains("user 3: the 10 best of 50 items, without"), "{words}");
    let first = words.lines().find(|line| line.trim_start().starts_with("1 ")).unwrap_or_default();
    assert!(
        first.contains(&items[0].to_string())
            && first.contains(&gradus::text::significant(scores[0], 4)),
        "{words}"
    );
    assert!(words.contains("held-out ones may be among them"), "{words}");
    let short = run(&["--model", model, "--user", "3", "--count", "500", "--device", "cpu"]);
    assert!(stderr(&short).contains("items are left; --count is 500"), "{}", stderr(&short));
}

#[test]
fn the_items_that_pull_a_recommendation_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let model = folder.path().join("model.safetensors");
    let model = text(&model);
    run(&["--interactions", text(&path), "--components", "8", "--device", "cpu", "--out", model]);
    let ask = ["--model", model, "--user", "3", "--count", "4", "--why", "--device", "cpu"];
    let found = json_of(&[&ask[..], &["--json"]].concat());
    for item in found["items"].as_array().unwrap() {
        let because = item["because"].as_array().unwrap();
        let parts: f64 = because.iter().map(|because| because["part"].as_f64().unwrap()).sum();
        let others: f64 = ["rest", "item_bias", "user_bias"]
            .iter()
            .map(|name| item[name].as_f64().unwrap())
            .sum();
        // The score is an f32.
        assert!((parts + others - item["score"].as_f64().unwrap()).abs() < 1e-5, "{item}");
    }
    let words = String::from_utf8(run(&ask).stdout).unwrap();
    let strongest = found["items"][0]["because"][0]["item"].to_string();
    assert!(words.contains("because of") && words.contains(&strongest), "{words}");
    assert_one_line(
        &run(&["--model", model, "--similar-to", "40", "--why", "--device", "cpu"]),
        2,
        &["--why", "--user"],
    );
}

#[test]
fn items_like_another_are_of_its_taste() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let model = folder.path().join("model.safetensors");
    let model = text(&model);
    run(&["--interactions", text(&path), "--components", "8", "--device", "cpu", "--out", model]);
    let found = json_of(&[
        "--model",
        model,
        "--similar-to",
        "40",
        "--count",
        "5",
        "--device",
        "cpu",
        "--json",
    ]);
    assert_eq!((&found["similar_to"], found.get("excluded")), (&40.into(), None));
    let (items, cosines) = listed(&found, "cosine");
    assert!(
        items.len() == 5 && !items.contains(&40) && cosines.is_sorted_by(|a, b| a >= b),
        "{found}"
    );
    assert!(cosines.iter().all(|cosine| (-1.0001..1.0001).contains(cosine)));
    // Half of the items are of the same taste: all five by chance in one case of 32.
    assert!(items.iter().all(|item| item / 10 % 2 == 0), "{items:?}");
}

#[test]
fn what_a_saved_recommender_cannot_answer_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let (model, network) =
        (folder.path().join("model.safetensors"), folder.path().join("network.safetensors"));
    let (path, model, network) = (text(&path), text(&model), text(&network));
    run(&["--interactions", path, "--epochs", "2", "--device", "cpu", "--out", model]);
    let data = ["--data", DIGITS, "--target", "64", "--device", "cpu"];
    let train =
        ["train", "--loss", "mse", "--epochs", "1", "--hidden", "none", "--json", "--out", network];
    crate::json_of(&[&train[..], &data].concat());

    let ask =
        |more: &[&str]| run(&[&["--model", model, "--device", "cpu", "--json"], more].concat());
    assert_one_line(
        &ask(&["--user", "1000"]),
        1,
        &["--user", "unknown user `1000`", "60 ids, from 0 to 59"],
    );
    assert_one_line(
        &ask(&["--similar-to", "5"]),
        1,
        &["--similar-to", "unknown item `5`", "from 0 to 490"],
    );
    assert_one_line(&ask(&[]), 2, &["--user", "--similar-to"]);
    assert_one_line(&ask(&["--user", "1", "--similar-to", "10"]), 2, &["--user", "--similar-to"]);
    assert_one_line(&ask(&["--user", "-1"]), 1, &["--user", "unknown user `-1`"]);
    assert_one_line(&ask(&["--user", "1", "--count", "0"]), 2, &["--count is 0", "from 1"]);
    assert_one_line(&ask(&["--user", "1", "--epochs", "3"]), 2, &["--epochs", "--model"]);
    assert_one_line(
        &ask(&["--similar-to", "10", "--interactions", path]),
        2,
        &["--similar-to", "--interactions"],
    );
    assert_one_line(
        &ask(&["--user", "1", "--interactions", "none.csv"]),
        1,
        &["--interactions", "none.csv"],
    );
    assert_one_line(
        &run(&["--interactions", path, "--user", "1"]),
        1,
        &["--user", "unknown column", "userId", "--model"],
    );
    let other = |file: &str| run(&["--model", file, "--user", "1", "--json", "--device", "cpu"]);
    assert_one_line(&other(network), 1, &["--model", "a network", "`gradus predict"]);
    assert_one_line(&other("none.safetensors"), 1, &["--model", "none.safetensors"]);
    assert_one_line(&other(path), 1, &["--model", "ratings.csv"]);

    let asked_for = "`gradus recommend --model";
    assert_one_line(
        &crate::run(&[&["predict", model], &data[..]].concat()),
        1,
        &["MODEL", "a recommender", asked_for],
    );
    let resumed = crate::run(&[&["train", "--resume", model], &data[..]].concat());
    assert_one_line(&resumed, 1, &["--resume", "a recommender", asked_for]);
}

#[test]
fn a_place_that_cannot_be_written_is_reported_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let (none, below) = (folder.path().join("none/model"), path.join("model"));
    for (out, words) in [
        (text(folder.path()), "it is a folder"),
        (text(&none), "no folder"),
        (text(&below), "no folder"),
    ] {
        // A million epochs would not end within the test.
        let trained = run(&[
            "--interactions",
            text(&path),
            "--epochs",
            "1000000",
            "--device",
            "cpu",
            "--out",
            out,
        ]);
        assert_one_line(&trained, 1, &["--out", out, words]);
        let arguments =
            ["train", "--data", DIGITS, "--target", "64", "--loss", "mse", "--epochs", "1000000"];
        let trained = crate::run(&[&arguments[..], &["--device", "cpu", "--out", out]].concat());
        assert_one_line(&trained, 1, &["--out", out, words]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn bad_input_of_the_command_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_up(&folder);
    let good = path.to_str().unwrap();
    let assert_one_line = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        let errors: Vec<&str> =
            message.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && output.stdout.is_empty(), "{message}");
        for word in words {
            assert!(errors[0].contains(word), "`{word}` is not in: {message}");
        }
    };
    assert_one_line(&[], 2, &["--interactions"]);
    for (option, value) in [
        ("--loss", "wrap"),
        ("--components", "5000"),
        ("--epochs", "-3"),
        ("--epochs", "1.5"),
        ("--test-fraction", "2"),
        ("--min-rating", "inf"),
        ("--max-sampled", "-1"),
        ("--seed", "-1"),
        ("--components", "0"),
        ("--components", "many"),
        ("--epochs", "0"),
        ("--learning-rate", "0"),
        ("--learning-rate", "NaN"),
        ("--min-rating", "NaN"),
        ("--test-fraction", "1"),
        ("--test-fraction", "-0.5"),
        ("--max-sampled", "0"),
        ("--batch-size", "0"),
        ("--device", "tpu"),
        ("--seed", "x"),
    ] {
        assert_one_line(&["--interactions", good, option, value], 2, &[option]);
    }
    let report = ["--test-fraction is 2", "in [0, 1)"];
    assert_one_line(&["--interactions", good, "--test-fraction", "2"], 2, &report);
    assert_one_line(&["--interactions", good, "--loss", "wrap"], 2, &["wrap", "warp", "bpr"]);
    assert_one_line(
        &["--interactions", "nowhere.csv", "--device", "cpu"],
        1,
        &["--interactions", "nowhere.csv"],
    );
    assert_one_line(
        &["--interactions", good, "--min-rating", "6", "--device", "cpu"],
        1,
        &["--min-rating", "min_rating is 6", "at most 5"],
    );
    assert_one_line(
        &["--interactions", good, "--test-fraction", "0.0001", "--device", "cpu"],
        1,
        &["0 to test on"],
    );
    assert_one_line(
        &["--interactions", good, "--learning-rate", "1e30", "--device", "cpu"],
        1,
        &["learning_rate", "finite", "lower"],
    );
    let bad = folder.path().join("bad.csv");
    for (content, words) in [
        ("", &["line 1", "no column of users"][..]),
        ("userId,movieId,rating\n1,2,NaN\n", &["line 2", "column `rating`", "NaN"]),
        ("userId,movieId,rating\n1,2,3\n1,,3\n", &["line 3", "column `movieId`", "an empty field"]),
        (
            "userId,movieId,rating\n1,2,3\n1,2,5\n",
            &["line 3", "user 1 and item 2 again, as in line 2"],
        ),
    ] {
        std::fs::write(&bad, content).unwrap();
        assert_one_line(
            &["--interactions", text(&bad), "--device", "cpu"],
            1,
            &[&["--interactions"], words].concat(),
        );
    }
}

#[test]
fn scales_of_other_ends_and_models_worse_than_popularity_are_reported() {
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(9, 0);
    // Nearly all choose the same few items.
    let mut rows = String::from("user,item,rating\n");
    for user in 0..80 {
        for item in 0..40 {
            if random.uniform() < if item < 8 { 0.9 } else { 0.1 } {
                rows +=
                    &format!("{user},item{item},{}\n", if random.uniform() < 0.7 { 10 } else { 3 });
            }
        }
    }
    let path = file(&folder, "ratings.csv", rows.as_bytes());
    let model = folder.path().join("m");
    let arguments =
        ["--interactions", text(&path), "--epochs", "1", "--device", "cpu", "--components", "4"];
    let slow = ["--learning-rate", "0.000001", "--out", text(&model), "--json"];
    let output = run(&[&arguments[..], &slow].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (report, document) =
        (stderr(&output), serde_json::from_slice::<Value>(&output.stdout).unwrap());
    assert!(
        report.contains(
            "the ratings go from 3 to 10: those of 8 or more count as liked; --min-rating"
        ),
        "{report}"
    );
    assert_eq!(document["settings"]["min_rating"], 8.0);
    assert!(
        report.contains("note: the most popular items alone are a better answer, precision@10 0."),
        "{report}"
    );
    let asked = run(&[&arguments[..], &["--min-rating", "3", "--json"]].concat());
    assert!(!stderr(&asked).contains("the ratings go from"), "{}", stderr(&asked));
    // A misspelt id is near some ids; another is near none.
    let ask = |item: &str| {
        run(&["--model", text(&model), "--device", "cpu", "--json", "--similar-to", item])
    };
    let near = stderr(&ask("itm3"));
    assert!(
        near.contains("near it: item3")
            && near.split("near it: ").nth(1).unwrap().split(", ").count() <= 5,
        "{near}"
    );
    let far = stderr(&ask("something else"));
    assert!(far.contains("40 ids, from item0 to item9") && !far.contains("near it"), "{far}");
}
