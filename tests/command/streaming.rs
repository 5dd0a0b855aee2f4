//! Tables larger than memory: `train` streams them in blocks, with the same results as for a table
//! in memory.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gradus::random::Random;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DIGITS, IMAGES, assert_one_line, file, gradus, json_of, run, stderr, text};

/// Rows of numbers and words, and a target determined by them.
fn houses(folder: &TempDir, name: &str, rows: usize) -> PathBuf {
    let mut random = Random::new(3, 0);
    let mut table = String::from("rooms,ocean,age,price\n");
    for row in 0..rows {
        let (rooms, near) = (1.0 + (random.uniform() * 8.0).floor(), random.uniform() < 0.3);
        let age =
            if row % 9 == 2 { String::new() } else { format!("{:.2}", 50.0 * random.uniform()) };
        let ocean = if near { "near" } else { "inland" };
        let price = if row % 40 == 7 {
            String::new()
        } else {
            format!("{}", 1e5 * rooms + if near { 2e5 } else { 0.0 })
        };
        table += &format!("{rooms},{ocean},{age},{price}\n");
    }
    file(folder, name, table.as_bytes())
}

const HOUSES: [&str; 8] =
    ["--target", "price", "--loss", "huber", "--device", "cpu", "--json", "--epochs"];

fn trained(data: &Path, more: &[&str]) -> Value {
    json_of(&[&["train", "--data", text(data)], &HOUSES[..], more].concat())
}

#[test]
fn a_table_in_pieces_is_encoded_split_and_scored_as_one_in_memory() {
    let folder = TempDir::new().unwrap();
    let (data, test) = (houses(&folder, "houses.csv", 3000), houses(&folder, "test.csv", 300));
    let [whole, pieces] =
        [&["4", "--test", text(&test)][..], &["4", "--test", text(&test), "--stream"]]
            .map(|more| trained(&data, more));
    assert_eq!(whole["settings"]["columns"], pieces["settings"]["columns"]);
    assert_eq!(whole["steps"], pieces["steps"]);
    let r2 = |found: &Value, part: &str| found[part]["r2"].as_f64().unwrap();
    for part in ["validation", "test"] {
        assert!(r2(&pieces, part) > 0.95, "{pieces}");
        assert!((r2(&pieces, part) - r2(&whole, part)).abs() < 0.05);
    }
    let report = pieces["history"]["val_loss"].as_array().unwrap();
    assert_eq!(report.len(), 4);
    let last = pieces["history"]["val_r2"][3].as_f64().unwrap();
    assert!((last - r2(&pieces, "validation")).abs() < 1e-5, "{pieces}");
    let loss = pieces["validation"]["loss"].as_f64().unwrap();
    assert!((report[3].as_f64().unwrap() - loss).abs() < 1e-6 * loss, "{pieces}");
    let output =
        run(&[&["train", "--data", text(&data), "--stream"], &HOUSES[..], &["1"]].concat());
    let lines = stderr(&output);
    let line = lines.lines().find(|line| line.contains("read in pieces")).unwrap();
    assert!(line.contains("as --stream asks") && line.contains("temporary file"), "{line}");
    assert!(
        lines.contains("75 row(s) have no target and are left out, the first in line 9"),
        "{lines}"
    );
}

#[test]
fn a_training_in_pieces_is_saved_and_goes_on_bit_by_bit() {
    let folder = TempDir::new().unwrap();
    let data = houses(&folder, "houses.csv", 2000);
    for device in ["cpu", "reference"] {
        let at = |name: &str| folder.path().join(format!("{device}-{name}"));
        let (one, parts) = (at("one"), at("parts"));
        let train = |more: &[&str]| {
            json_of(
                &[
                    &["train", "--data", text(&data), "--stream", "--device", device, "--json"],
                    more,
                ]
                .concat(),
            )
        };
        let new = ["--target", "price", "--loss", "huber", "--hidden", "16"];
        train(&[&new[..], &["--epochs", "3", "--out", text(&one)]].concat());
        train(&[&new[..], &["--epochs", "1", "--out", text(&parts)]].concat());
        // Also without --stream: the file records how its rows were read.
        let again = [
            "train",
            "--data",
            text(&data),
            "--device",
            device,
            "--json",
            "--resume",
            text(&parts),
        ];
        let more = json_of(&[&again[..], &["--epochs", "2", "--out", text(&parts)]].concat());
        assert_eq!(more["settings"]["stream"], true);
        assert_eq!(more["epochs_before"], 1);
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&parts).unwrap(), "{device}");
        let predicted =
            json_of(&["predict", text(&one), "--data", text(&data), "--device", device, "--json"]);
        assert_eq!(predicted["predictions"].as_array().unwrap().len(), 2000);
    }
}

#[test]
fn compressed_tables_and_classes_are_read_in_pieces_as_well() {
    let arguments = [
        "train",
        "--data",
        DIGITS,
        "--target",
        "64",
        "--loss",
        "cross_entropy",
        "--device",
        "cpu",
        "--json",
    ];
    let more = ["--hidden", "32", "--epochs", "8"];
    let pieces = json_of(&[&arguments[..], &more, &["--stream"]].concat());
    let whole = json_of(&[&arguments[..], &more].concat());
    assert_eq!(whole["settings"]["columns"], pieces["settings"]["columns"]);
    let accuracy = |found: &Value| found["history"]["val_accuracy"][7].as_f64().unwrap();
    assert!(
        accuracy(&pieces) > 0.85 && (accuracy(&pieces) - accuracy(&whole)).abs() < 0.05,
        "{pieces}"
    );
}

#[test]
fn what_is_not_read_in_pieces_is_refused() {
    let folder = TempDir::new().unwrap();
    let lines = file(&folder, "rank.svm", b"1 qid:1 1:2\n0 qid:1 1:1\n");
    for (data, word) in
        [(IMAGES, "tables alone"), (text(&lines), "tables alone"), ("-", "only once")]
    {
        let output = run(&[
            "train",
            "--data",
            data,
            "--loss",
            "cross_entropy",
            "--stream",
            "--device",
            "cpu",
        ]);
        assert_one_line(&output, 1, &["--stream", word]);
    }
    let data = houses(&folder, "houses.csv", 50);
    let broken = file(
        &folder,
        "broken.csv",
        format!("{}1,2\n", std::fs::read_to_string(&data).unwrap()).as_bytes(),
    );
    for (target, path, word) in [("prise", &data, "prise"), ("price", &broken, "line 52")] {
        let arguments =
            ["train", "--data", text(path), "--target", target, "--loss", "mse", "--stream"];
        assert_one_line(&run(&[&arguments[..], &["--device", "cpu"]].concat()), 1, &[word]);
    }
}

/// Rows with a weight; those of weight 0 contradict the others. One in nine is of class `b`.
fn weighed(folder: &TempDir, rows: usize) -> PathBuf {
    let mut random = Random::new(5, 0);
    let mut table = String::from("x,z,y,class,w\n");
    for row in 0..rows {
        let (x, z, w) = (random.normal(), random.normal(), row % 3);
        let y = if w == 0 { -5.0 } else { 2.0 } * x + z;
        let class = if (x + 0.2 * z > 1.2) != (w == 0) { "b" } else { "a" };
        table += &format!("{x:.4},{z:.4},{y:.4},{class},{w}\n");
    }
    file(folder, "weighed.csv", table.as_bytes())
}

#[test]
fn rows_and_classes_have_the_same_weights_in_pieces_as_in_memory() {
    let folder = TempDir::new().unwrap();
    let data = weighed(&folder, 3000);
    let weights = file(&folder, "weights.csv", b"class,weight\nb,20\na,1\n");
    // One update per epoch: the first losses are those of the initial weights, for any order of the
    // rows.
    let train = [
        "train",
        "--data",
        text(&data),
        "--epochs",
        "2",
        "--batch-size",
        "100000",
        "--device",
        "cpu",
        "--json",
    ];
    let of_class = ["--target", "class", "--drop", "y", "--loss"];
    let of_row = ["--target", "y", "--drop", "class", "--sample-weight", "w", "--loss"];
    for more in [
        &[&of_row[..], &["mse"]].concat()[..],
        &[&of_row[..], &["huber"]].concat(),
        &[&of_class[..], &["cross_entropy", "--sample-weight", "w"]].concat(),
        &[&of_class[..], &["cross_entropy", "--drop", "w", "--class-weight", "balanced"]].concat(),
        &[&of_class[..], &["mse", "--sample-weight", "w", "--class-weight", text(&weights)]]
            .concat(),
        &[&of_class[..], &["bce_with_logits", "--drop", "w", "--pos-weight", "7"]].concat(),
    ] {
        let [whole, pieces] =
            [&[][..], &["--stream"]].map(|stream| json_of(&[&train[..], more, stream].concat()));
        for list in ["loss", "val_loss", "r2", "val_r2"] {
            let of = |found: &Value| found["history"][list][1].as_f64();
            let (one, other) = (of(&whole), of(&pieces));
            // R² of the training rows is reported only for the squared error.
            let is_near = one
                .zip(other)
                .is_none_or(|(one, other)| (one - other).abs() < 1e-4 * (1.0 + one.abs()));
            assert!(
                is_near && (list == "r2" || one.is_some() == other.is_some()),
                "{more:?} {list}: {one:?} {other:?}"
            );
        }
        for name in ["class_weight", "sample_weight", "pos_weight", "columns"] {
            assert_eq!(whole["settings"][name], pieces["settings"][name], "{more:?} {name}");
        }
    }
    let broken = std::fs::read_to_string(&data).unwrap().replacen(",1\n", ",-1\n", 1);
    let broken = file(&folder, "broken.csv", broken.as_bytes());
    let output = run(&[
        &["train", "--data", text(&broken), "--stream", "--device", "cpu"],
        &of_row[..],
        &["mse"],
    ]
    .concat());
    assert_one_line(&output, 1, &["line 3", "column `w`", "`-1`", ">= 0"]);
}

#[test]
fn a_weighed_training_in_pieces_goes_on_bit_by_bit() {
    let folder = TempDir::new().unwrap();
    let data = weighed(&folder, 2000);
    let (one, parts) = (folder.path().join("one"), folder.path().join("parts"));
    let train = ["train", "--data", text(&data), "--stream", "--device", "cpu", "--json"];
    let new = ["--target", "class", "--drop", "y", "--loss", "cross_entropy", "--hidden", "16"];
    let new = [&new[..], &["--sample-weight", "w", "--class-weight", "balanced"]].concat();
    let whole = json_of(&[&train[..], &new, &["--epochs", "3", "--out", text(&one)]].concat());
    json_of(&[&train[..], &new, &["--epochs", "1", "--out", text(&parts)]].concat());
    let again =
        run(&[&train[..], &["--resume", text(&parts), "--epochs", "2", "--out", text(&parts)]]
            .concat());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(!stderr(&again).contains("warn"), "{}", stderr(&again));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["history"]["val_loss"], whole["history"]["val_loss"]);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&parts).unwrap());
}

/// The command with address space limited to the given KiB.
#[cfg(target_os = "linux")]
fn limited(kilobytes: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {kilobytes} && exec \"$0\" \"$@\"");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_gradus")])
        .args(arguments)
        .stdin(Stdio::null());
    command.env("RAYON_NUM_THREADS", "2");
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_table_beyond_the_memory_limit_is_read_in_pieces_by_itself() {
    let folder = TempDir::new().unwrap();
    let data = houses(&folder, "houses.csv", 100_000);
    let arguments = [&["train", "--data", text(&data)], &HOUSES[..], &["1"]].concat();
    let whole = stderr(&gradus(&arguments).output().unwrap());
    assert!(!whole.contains("read in pieces"), "{whole}");
    // 100,000 rows of 4 cells take 8 MB with all their copies; the threads' allocators take nearly
    // all of the limit.
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_gradus")).unwrap().len() / 1024;
    let output = (3..20)
        .map(|step| limited(size as usize + 24 * 1024 * step, &arguments).output().unwrap())
        .find(|output| output.status.success());
    let report = stderr(&output.unwrap());
    assert!(report.contains("read in pieces") && report.contains("of memory are free"), "{report}");
}

/// A CSV of 1 GiB under a limit of 256 MiB of address space: `cargo test --release --test command
/// -- --ignored four_times`.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "writes a file of 1 GiB and trains on it for a minute"]
fn a_table_of_four_times_the_memory_limit_trains_an_epoch() {
    const LIMIT: usize = 256 << 20;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.csv");
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    let names: Vec<String> = (0..19).map(|column| format!("x{column}")).collect();
    let mut written = writeln!(file, "{},y", names.join(",")).map(|()| 0).unwrap();
    let mut random = Random::new(7, 0);
    while written < 4 * LIMIT {
        let row: Vec<f64> = (0..19).map(|_| random.normal()).collect();
        let cells: Vec<String> = row.iter().map(|x| format!("{x:.5}")).collect();
        let line = format!("{},{:.5}\n", cells.join(","), row[..5].iter().sum::<f64>());
        file.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
    drop(file);
    let arguments = [
        "train",
        "--data",
        text(&path),
        "--target",
        "y",
        "--loss",
        "mse",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    let output = limited(
        LIMIT / 1024,
        &[&arguments[..], &["--hidden", "32", "--batch-size", "1024", "--json"]].concat(),
    )
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("{} s; {}{}", found["seconds"], stderr(&output), found["validation"]);
    assert!(found["validation"]["r2"].as_f64().unwrap() > 0.95, "{found}");
}
