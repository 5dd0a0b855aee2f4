//! `gradus recommend` with side features: queries for users known only by features, and for unknown
//! users.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{assert_one_line, file, json_of, run, stderr, text};

/// Users of two tastes: each likes some of the odd or the even items, in the order of the file.
struct Films {
    folder: TempDir,
    ratings: PathBuf,
    movies: PathBuf,
    users: PathBuf,
}

fn films() -> Films {
    let folder = TempDir::new().unwrap();
    let mut ratings = String::from("userId,movieId,rating,timestamp\n");
    for user in 0..60 {
        for item in (0..60).filter(|item| item % 2 == user % 2 && (item * 7 + user * 5) % 3 > 0) {
            ratings += &format!("{user},{},5,{}\n", 10 * item, 1_000_000_000 + item * 60 + user);
        }
    }
    // This user has liked nothing.
    ratings += "99,30,1,1000000000\n";
    let genres = |item: usize| ["Children|Comedy", "Crime|Drama"][item % 2];
    let rows: String = (0..60)
        .map(|item| format!("{},\"Film, the {item}th\",{}\n", 10 * item, genres(item)))
        .collect();
    let movies = format!(
        "movieId,title,genres\n5,\"New, for children\",Children\n{rows}7,New crime,Crime\n8,Nothing,\n"
    );
    let rows: String =
        (0..60).map(|user| format!("{user},{},{}\n", ["m", "f"][user % 2], 20 + user)).collect();
    let users = format!("userId,group,age\n99,f,30\n{rows}500,m,44\n");
    let paths = [("ratings.csv", &ratings), ("movies.csv", &movies), ("users.csv", &users)];
    let [ratings, movies, users] =
        paths.map(|(name, content)| file(&folder, name, content.as_bytes()));
    Films { folder, ratings, movies, users }
}

impl Films {
    fn train(&self, name: &str, more: &[&str]) -> (PathBuf, Value, String) {
        let out = self.folder.path().join(name);
        let arguments =
            ["recommend", "--interactions", text(&self.ratings), "--device", "cpu", "--json"];
        // A saved recommender has a fixed number of components.
        let components: &[&str] =
            if more.contains(&"--resume") { &[] } else { &["--components", "8"] };
        let output = run(&[&arguments[..], &["--out", text(&out)], components, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (out, serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
    }
}

fn ask(model: &Path, more: &[&str]) -> Value {
    json_of(&[&["recommend", "--model", text(model), "--device", "cpu", "--json"], more].concat())
}

fn items(answer: &Value) -> Vec<u64> {
    answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["item"].as_u64().unwrap())
        .collect()
}

#[test]
fn features_of_a_titles_file_are_learned_and_saved() {
    let films = films();
    let (model, report, notes) = films.train(
        "m",
        &["--item-features", text(&films.movies), "--user-features", text(&films.users)],
    );
    let columns: Vec<(&str, &str)> = report["item_features"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["column"].as_str().unwrap(), column["taken_for"].as_str().unwrap()))
        .collect();
    assert_eq!(columns, [("title", "left out"), ("genres", "lists of words")]);
    assert_eq!(
        (&report["item_features"]["features"], &report["item_features"]["new"]),
        (&4.into(), &3.into())
    );
    assert_eq!(report["settings"]["item_features"], text(&films.movies));
    assert!(
        notes.contains(
            "movies.csv: features of 60 of the 60 items; 3 more are known by their features alone"
        ),
        "{notes}"
    );
    // The user without remaining interactions is known by features.
    assert!(notes.contains("users.csv: features of 60 of the 60 users; 2 more"), "{notes}");

    // Film 5 was chosen by nobody: similar films are for children.
    let like = ask(&model, &["--similar-to", "5", "--count", "8"]);
    assert!(items(&like).iter().all(|item| item / 10 % 2 == 0), "{like}");
    for user in ["500", "99"] {
        let best = ask(&model, &["--user", user, "--count", "6"]);
        let taste = if user == "500" { 0 } else { 1 };
        let of_taste = items(&best).iter().filter(|item| *item / 10 % 2 == taste).count();
        assert!(of_taste >= 5 && best["excluded"]["trained_on"] == 0, "{best}");
    }
    // New films are among the answers only where requested.
    let all = ask(&model, &["--user", "3", "--count", "500"]);
    assert!(
        !items(&all).iter().any(|item| [5, 7].contains(item))
            && all["items"][0].get("known_by").is_none(),
        "{all}"
    );
    let with = ask(&model, &["--user", "3", "--count", "500", "--new-items"]);
    let known = |item: u64| {
        with["items"].as_array().unwrap().iter().find(|found| found["item"] == item).unwrap()
    };
    assert_eq!(
        (&known(7)["known_by"], items(&with).len()),
        (&"features".into(), items(&all).len() + 2)
    );
    let place = |item: u64| items(&with).iter().position(|found| *found == item).unwrap();
    assert!(
        place(7) < place(5) && known(items(&all)[0])["known_by"] == "interactions",
        "user 3 likes crime: {with}"
    );
    let report = run(&[
        "recommend",
        "--model",
        text(&model),
        "--device",
        "cpu",
        "--similar-to",
        "0",
        "--count",
        "40",
        "--new-items",
        "--titles",
        text(&films.movies),
    ]);
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(
        report.contains("known by")
            && report.contains("New, for children")
            && report.contains("of 62 items"),
        "{report}"
    );

    let nothing =
        ["recommend", "--model", text(&model), "--device", "cpu", "--json", "--similar-to"];
    assert_one_line(
        &run(&[&nothing[..], &["8"]].concat()),
        1,
        &["--similar-to", "item `8`", "no feature that the model"],
    );
    assert_one_line(
        &run(&[&nothing[..], &["9"]].concat()),
        1,
        &["--similar-to", "unknown item `9`", "known: "],
    );
}

#[test]
fn later_files_tell_of_new_ones() {
    let films = films();
    let (model, ..) = films.train("m", &["--item-features", text(&films.movies)]);
    let later = file(
        &films.folder,
        "later.csv",
        b"movieId,title,genres\n6001,Coco,Children\n6002,Heat,Drama|Crime\n",
    );
    let like =
        ask(&model, &["--similar-to", "6002", "--item-features", text(&later), "--count", "8"]);
    assert!(items(&like).iter().all(|item| item / 10 % 2 == 1), "{like}");
    let arguments = ["recommend", "--model", text(&model), "--device", "cpu", "--json"];
    let ask = |more: &[&str]| run(&[&arguments[..], more].concat());
    let bad = file(&films.folder, "bad.csv", b"movieId,title\n6001,Coco\n6002,Heat\n");
    assert_one_line(
        &ask(&["--popular", "--item-features", text(&bad)]),
        1,
        &["--item-features", "unknown column", "genres"],
    );
    let users = ["--user", "500", "--user-features", text(&films.users)];
    assert_one_line(
        &ask(&users),
        1,
        &["--user-features", "user features", "none that the model was trained with"],
    );
    let (plain, ..) = films.train("plain", &["--epochs", "1"]);
    let new = [
        "recommend",
        "--model",
        text(&plain),
        "--device",
        "cpu",
        "--json",
        "--user",
        "3",
        "--new-items",
    ];
    assert_one_line(&run(&new), 1, &["--new-items", "no item by its features alone"]);
}

#[test]
fn who_has_no_history_gets_the_most_popular_items() {
    let folder = TempDir::new().unwrap();
    // Item 7 has the most users; users 30 on have one item each, so that some of them are held out
    // entirely.
    let lines: String = (0..30).map(|user| format!("{user},7\n{user},{}\n", user % 5)).collect();
    let lines = lines + &(30..60).map(|user| format!("{user},{}\n", user % 5)).collect::<String>();
    let ratings = file(&folder, "likes.csv", ("user,item\n".to_string() + &lines).as_bytes());
    let out = folder.path().join("m");
    let train = [
        "recommend",
        "--interactions",
        text(&ratings),
        "--epochs",
        "2",
        "--device",
        "cpu",
        "--out",
        text(&out),
    ];
    assert_eq!(run(&train).status.code(), Some(0));
    let arguments = ["recommend", "--model", text(&out), "--device", "cpu"];
    let asked = |more: &[&str]| run(&[&arguments[..], more].concat());
    let json =
        |output: &std::process::Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();

    let everybody = json(&asked(&["--popular", "--json"]));
    assert_eq!(items(&everybody)[0], 7);
    assert!(
        everybody.get("user").is_none() && everybody["items"][0]["users"].as_u64().unwrap() > 20,
        "{everybody}"
    );
    let unknown = asked(&["--user", "1000", "--json"]);
    assert_one_line(&unknown, 1, &["--user", "unknown user `1000`", "to 59", "--popular answers"]);
    let given = asked(&["--user", "1000", "--popular", "--json", "--interactions", text(&ratings)]);
    assert_eq!((items(&json(&given)), &json(&given)["user"]), (items(&everybody), &1000.into()));
    assert!(
        stderr(&given).contains(
            "note: user 1000 has no history that the recommender learned from: the 6 items"
        ),
        "{}",
        stderr(&given)
    );
    // A user with a history gets an individual answer.
    let own = json(&asked(&["--user", "3", "--popular", "--json"]));
    assert!(own["items"][0].get("score").is_some(), "{own}");

    let answers: Vec<Value> =
        (30..60).map(|user| json(&asked(&["--user", &user.to_string(), "--json"]))).collect();
    let held_out: Vec<&Value> =
        answers.iter().filter(|answer| answer["items"][0].get("users").is_some()).collect();
    assert!((1..15).contains(&held_out.len()), "{}", held_out.len());
    assert!(held_out.iter().all(|answer| items(answer)[0] == 7), "{held_out:?}");
    // Items they rated in a file are excluded.
    let user = held_out[0]["user"].as_u64().unwrap();
    let rest =
        json(&asked(&["--user", &user.to_string(), "--json", "--interactions", text(&ratings)]));
    assert!(!items(&rest).contains(&(user % 5)) && rest["excluded"]["interactions"] == 1, "{rest}");
    let words = String::from_utf8(asked(&["--user", &user.to_string()]).stdout).unwrap();
    assert!(
        words.contains(&format!("user {user} has no history")) && words.contains("users"),
        "{words}"
    );
}

#[test]
fn what_is_wrong_with_features_is_one_line() {
    let films = films();
    let arguments =
        ["recommend", "--interactions", text(&films.ratings), "--device", "cpu", "--epochs", "1"];
    let refused = |content: &str, words: &[&str]| {
        let path = file(&films.folder, "bad.csv", content.as_bytes());
        let output = run(&[&arguments[..], &["--item-features", text(&path)]].concat());
        let errors = stderr(&output);
        let error = errors.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        for word in [&["--item-features", "bad.csv"], words].concat() {
            assert!(error.contains(word), "`{word}` is not in: {errors}");
        }
    };
    refused(
        "movieId,genres\n10,Crime\n20,War\n10,War\n",
        &["line 4, column `movieId`", "10 again, as in line 2"],
    );
    refused("movieId,genres\n11,Crime\n21,War\n", &["none of the 60", "`11` and `0`"]);
    refused("movieId,genres\n", &["line 2"]);
    refused("movieId\n10\n20\n", &["no column besides the ids"]);
    let resumed =
        run(&[&arguments[..], &["--resume", "m", "--item-features", text(&films.movies)]].concat());
    assert_one_line(&resumed, 2, &["--resume", "--item-features"]);
    let over = run(&[
        &arguments[..],
        &["--item-features", text(&films.movies), "--out", text(&films.movies)],
    ]
    .concat());
    assert_one_line(&over, 1, &["--out", "which --item-features reads"]);
    assert_one_line(
        &run(&["recommend", "--model", "m", "--interactions", "x", "--popular"]),
        2,
        &["--interactions", "--user"],
    );
    assert_one_line(
        &run(&["recommend", "--model", "m", "--popular", "--similar-to", "3"]),
        2,
        &["--popular", "--similar-to"],
    );
}

#[test]
fn a_training_with_features_resumes_to_the_bits_of_an_unbroken_one() {
    let films = films();
    let features = ["--item-features", text(&films.movies), "--user-features", text(&films.users)];
    let (whole, ..) = films.train("whole", &[&features[..], &["--epochs", "6"]].concat());
    let (cut, ..) = films.train("cut", &[&features[..], &["--epochs", "2"]].concat());
    let (_, resumed, _) = films.train("cut", &["--resume", text(&cut), "--epochs", "4"]);
    assert_eq!(
        (&resumed["item_features"]["features"], &resumed["user_features"]["features"]),
        (&4.into(), &3.into())
    );
    assert!(std::fs::read(&cut).unwrap() == std::fs::read(&whole).unwrap());
    assert_eq!(
        items(&ask(&cut, &["--similar-to", "5"])),
        items(&ask(&whole, &["--similar-to", "5"]))
    );
}
