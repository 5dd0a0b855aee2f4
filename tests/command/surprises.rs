//! Surprising situations are reported in one line, with advice.

use std::ffi::OsStr;
use std::fmt::Write as _;

use super::*;

/// A table with a target determined by a feature, plus some noise: R² is far from 0 and from 1.
fn line(folder: &TempDir, scale: f64) -> PathBuf {
    let mut table = String::from("x,z,y\n");
    for row in 0..200 {
        let (x, noise) = (f64::from(row % 20) - 10.0, f64::from((row * 37) % 11) - 5.0);
        writeln!(table, "{x},{noise},{}", scale * (3.0 * x + noise * f64::from(row % 3))).unwrap();
    }
    file(folder, "line.csv", table.as_bytes())
}

fn report(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_regression_reports_r2_and_what_predicting_the_mean_comes_to() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1.0);
    for loss in ["mse", "huber"] {
        let arguments =
            ["train", "--data", text(&data), "--target", "y", "--loss", loss, "--device", "cpu"];
        let found = json_of(&[&arguments[..], &["--epochs", "4", "--json"]].concat());
        let (history, baseline) = (&found["history"], &found["baseline"]);
        let of = |name: &str| numbers(&history[name]);
        assert_eq!(of("val_r2").len(), 4, "{history}");
        assert!(of("val_r2")[3] > of("val_r2")[0] && of("val_r2")[3] < 1.0, "{history}");
        assert!(
            baseline["loss"].as_f64().unwrap() > 0.0
                && baseline["val_loss"].as_f64().unwrap() > 0.0
        );
        if loss == "mse" {
            // For the squared error, 1 − R² is the loss relative to that of the mean.
            let expected = 1.0 - of("loss")[3] / baseline["loss"].as_f64().unwrap();
            assert!((of("r2")[3] - expected).abs() < 1e-5, "{history} {baseline}");
        }
        let words = report(&run(&[&arguments[..], &["--epochs", "1"]].concat()));
        assert!(
            words.contains("predicting the mean: loss ") && words.contains("val_r2"),
            "{words}"
        );
    }
}

#[test]
fn prices_are_not_half_a_million_classes() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("rooms,price\n");
    (0..60).for_each(|row| writeln!(table, "{},{}", row % 7, 14_999 + 8237 * row).unwrap());
    let data = file(&folder, "homes.csv", table.as_bytes());
    let output =
        run(&["train", "--data", text(&data), "--target", "price", "--loss", "cross_entropy"]);
    let words = [
        "--target price holds whole numbers from 14999 to",
        "classes for 54 rows",
        "--loss mse, --loss huber",
    ];
    assert_one_line(&output, 1, &words);
}

/// Labels independent of all features, three quarters of them `a`.
fn one_sided(folder: &TempDir) -> PathBuf {
    let mut table = String::from("x,kind\n");
    (0..80).for_each(|row| {
        writeln!(table, "{},{}", row % 3, if row % 4 == 0 { "b" } else { "a" }).unwrap()
    });
    file(folder, "kinds.csv", table.as_bytes())
}

#[test]
fn one_answer_to_everything_is_reported_in_a_line() {
    let folder = TempDir::new().unwrap();
    let data = one_sided(&folder);
    let device = ["--device", "cpu", "--validation", "0.25", "--no-standardize"];
    let output = run(&[
        &["train", "--data", text(&data), "--target", "kind", "--loss", "cross_entropy"][..],
        &device,
    ]
    .concat());
    let words = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("note: the model answers `a` to each of 20 validation rows"), "{words}");
    // A table's constant column is dropped; an array's is kept.
    let mut rows = String::new();
    (0..80).for_each(|row| writeln!(rows, "{} 1:1", row % 9).unwrap());
    let data = file(&folder, "flat.svm", rows.as_bytes());
    let output = run(&[&["train", "--data", text(&data), "--loss", "mse"][..], &device].concat());
    let words = stderr(&output);
    assert!(words.contains("to each of 20 validation rows, whatever their features"), "{words}");
}

#[test]
fn rows_of_one_class_are_reported_before_the_training() {
    let folder = TempDir::new().unwrap();
    let data = one_sided(&folder);
    let test = file(&folder, "test.csv", b"x,kind\n1,a\n2,a\n3,a\n");
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "kind",
        "--loss",
        "cross_entropy",
        "--device",
        "cpu",
    ];
    let output = run(&[&arguments[..], &["--test", text(&test), "--epochs", "1"]].concat());
    let words = stderr(&output);
    assert!(words.contains("note: all 3 test rows are of the class `a`"), "{words}");
    assert!(!words.contains("validation rows are of the class"), "{words}");
}

#[test]
fn a_class_that_no_training_row_has_is_reported() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x,kind\n");
    (0..40).for_each(|row| writeln!(table, "{row},{}", ["a", "b"][row % 2]).unwrap());
    let data = file(&folder, "kinds.csv", (table.clone() + "40,c\n").as_bytes());
    let arguments = |data: &Path, seed: u64| {
        let given = format!(
            "train --target kind --loss cross_entropy --device cpu --epochs 1 --validation 0.5 --seed {seed} --data"
        );
        stderr(&run(&given.split(' ').chain([text(data)]).collect::<Vec<_>>()))
    };
    let line = "note: the class `c` is in validation rows and in no training row";
    let reports: Vec<bool> = (0..8).map(|seed| arguments(&data, seed).contains(line)).collect();
    // Its one row is drawn for either part.
    assert!(reports.contains(&true) && reports.contains(&false), "{reports:?}");
    let whole = file(&folder, "whole.csv", table.as_bytes());
    assert!(!arguments(&whole, 0).contains("in no training row"));
}

#[test]
fn a_number_beyond_a_billion_is_not_written_with_all_its_digits() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x,y\n");
    (0..60).for_each(|row| writeln!(table, "{row},{row}e28").unwrap());
    let data = file(&folder, "large.csv", table.as_bytes());
    let arguments =
        format!("train --data {} --target y --loss mse --epochs 1 --device cpu", text(&data));
    let words = report(&run(&arguments.split(' ').collect::<Vec<_>>()));
    let line = words.lines().find(|line| line.starts_with("validation: ")).unwrap();
    assert!(line.contains("e29") && line.len() < 80, "{line}");
}

#[test]
fn the_epoch_that_the_model_is_of_is_reported() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1.0);
    let arguments = format!(
        "train --data {} --target y --loss mse --device cpu --epochs 12 --patience 30 --learning-rate 0.2",
        text(&data)
    );
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let found = json_of(&[&arguments[..], &["--json"]].concat());
    let losses = numbers(&found["history"]["val_loss"]);
    let best = (0..12).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap() + 1;
    assert!(best < 12 && found["stopped"].is_null(), "{found}");
    assert_eq!(found["restored_epoch"], json!(best));
    let words = stderr(&run(&arguments));
    assert!(
        words.contains(&format!("epoch {best} was the best: the model has its weights")),
        "{words}"
    );
}

#[test]
fn a_training_that_ends_in_its_first_epoch_still_has_its_lists() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x,y\n");
    (0..80).for_each(|row| writeln!(table, "{}e30,{row}", row % 7).unwrap());
    let data = file(&folder, "large.csv", table.as_bytes());
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
    // Standardized, the features can be learned from.
    assert_eq!(run(&arguments).status.code(), Some(0));
    let output = run(&[&arguments[..], &["--no-standardize"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["history"], json!({ "loss": [], "val_loss": [] }));
    // And the message blames the numbers, not the learning rate.
    let words = stderr(&output);
    assert!(words.contains("the features reach") && words.contains("beyond f32"), "{words}");
    assert!(!words.contains("learning rate"), "{words}");
}

#[test]
fn a_label_is_named_as_it_stands() {
    let case = json!({ "name": "far", "loss": "cross_entropy", "inputs": {
        "predictions": tensor(&[1, 2], &[0.0, 1.0]), "targets": { "shape": [1], "data": [1e300] } } });
    let (answers, output) = eval(&json!([case]), "cpu");
    let message = answers[0]["error"].as_str().unwrap();
    assert!(message.contains("1e+300") || message.contains("1e300"), "{message}");
    assert!(!message.contains("9223372036854775807"), "{message}");
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["train", "--data", DIGITS, "--loss", "huber", "--set", "delta=-1e300"]);
    assert_one_line(&output, 2, &["delta is -1e300; it must be"]);
}

#[cfg(unix)]
#[test]
fn paths_that_are_no_utf8_are_read_written_and_reported() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    let named = |bytes: &[u8]| folder.path().join(OsStr::from_bytes(bytes));
    let data = named(b"d\xff.csv");
    std::fs::copy(line(&folder, 1.0), &data).unwrap();
    let model = named(b"m\xfe.safetensors");
    let train = |more: &[&OsStr]| {
        let mut command = gradus(&[
            "train", "--target", "y", "--device", "cpu", "--epochs", "1", "--json", "--data",
        ]);
        command.arg(&data).args(more).output().unwrap()
    };
    let output = train(&[
        "--loss".as_ref(),
        "mse".as_ref(),
        "--out".as_ref(),
        model.as_os_str(),
        "--test".as_ref(),
        data.as_os_str(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["settings"]["data"]["path"].as_str().unwrap().ends_with("d\u{fffd}.csv"));
    let output =
        train(&["--resume".as_ref(), model.as_os_str(), "--out".as_ref(), model.as_os_str()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output =
        gradus(&["predict"]).arg(&model).arg("--data").arg(&data).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let ratings = named(b"r\xff.csv");
    let mut table = String::from("user,item,rating\n");
    (0..60).for_each(|row| writeln!(table, "{},{},5", row % 10, row % 7).unwrap());
    std::fs::write(&ratings, table).unwrap();
    let saved = named(b"r\xff.safetensors");
    let output =
        gradus(&["recommend", "--device", "cpu", "--epochs", "1", "--json", "--interactions"])
            .args([ratings.as_os_str(), "--out".as_ref(), saved.as_os_str()])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = gradus(&["recommend", "--device", "cpu", "--user", "3", "--json", "--model"])
        .arg(&saved)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output =
        gradus(&["recommend", "--device", "cpu", "--epochs", "1", "--json", "--interactions"])
            .args([
                ratings.as_os_str(),
                "--resume".as_ref(),
                saved.as_os_str(),
                "--out".as_ref(),
                saved.as_os_str(),
            ])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found["settings"]["resume"].as_str().unwrap().ends_with("r\u{fffd}.safetensors"),
        "{found}"
    );
    let output =
        gradus(&["train", "--loss", "mse", "--data"]).arg(named(b"none\xff.csv")).output().unwrap();
    assert_one_line(&output, 1, &["none\u{fffd}.csv"]);
}

#[test]
fn no_control_character_of_a_file_reaches_the_terminal() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x\u{1b}[2J,kind\n");
    (0..40).for_each(|row| {
        writeln!(table, "{},{}", row % 2, ["a\u{1b}]0;title\u{7}", "b\u{9b}31m"][row % 2]).unwrap()
    });
    let data = file(&folder, "hostile.csv", table.as_bytes());
    let model = folder.path().join("m.safetensors");
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "kind",
        "--loss",
        "cross_entropy",
        "--device",
        "cpu",
    ];
    let outputs = [
        run(&[&arguments[..], &["--out", text(&model)]].concat()),
        run(&[&arguments[..], &["--json"]].concat()),
        run(&["predict", text(&model), "--data", text(&data)]),
        run(&["predict", text(&model), "--data", text(&data), "--json"]),
        run(&["train", "--data", text(&data), "--target", "k\u{1b}ind", "--loss", "mse"]),
        run(&["train", "--data", text(&data), "--target", "x", "--loss", "mse"]),
        run(&["losses", "h\u{1b}[31muber"]),
        run(&["train", "--data", "\u{1b}[31mnowhere.csv", "--loss", "mse"]),
    ];
    for output in outputs {
        for stream in [report(&output), stderr(&output)] {
            let hostile: Vec<char> =
                stream.chars().filter(|c| c.is_control() && !"\n\t".contains(*c)).collect();
            assert!(hostile.is_empty(), "{hostile:?} in {stream}");
        }
    }
}

#[test]
fn what_the_environment_asks_for_and_there_is_not_is_reported() {
    let with = |variable: &str, value: &str, arguments: &[&str]| {
        gradus(arguments).env(variable, value).output().unwrap()
    };
    let check = ["check", "mse", "--device", "gpu"];
    let words = ["the environment: WGPU_BACKEND is `vulcan`; it must be vulkan, metal or dx12"];
    assert_one_line(&with("WGPU_BACKEND", "vulcan", &check), 1, &words);
    // `auto` continues without a GPU and says why.
    let auto = ["check", "mse", "--device", "auto"];
    let output = with("WGPU_BACKEND", "vulcan", &auto);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("(auto: the environment: WGPU_BACKEND is `vulcan`"),
        "{}",
        stderr(&output)
    );
    let output = with("WGPU_ADAPTER_NAME", "no such card", &auto);
    let adapters = gradus::adapters();
    if let Some(adapter) = adapters.first() {
        for word in
            ["with `no such card` in its name (WGPU_ADAPTER_NAME)", &adapter.get_info().name]
        {
            assert!(stderr(&output).contains(word), "{word} is not in {}", stderr(&output));
        }
    }
    let wrong = with("GRADUS_GPU_TIMEOUT", "soon", &check);
    assert_one_line(&wrong, 1, &["GRADUS_GPU_TIMEOUT is soon; it must be seconds above 0, or off"]);
}

#[test]
fn nothing_but_ours_stands_on_stderr_and_no_variable_names_a_shared_folder() {
    for runtime in [None, Some("")] {
        let mut command = gradus(&["devices"]);
        command.env_remove("WAYLAND_DISPLAY").env_remove("XDG_RUNTIME_DIR");
        if let Some(runtime) = runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        let output = command.output().unwrap();
        assert_eq!(stderr(&output), "", "{runtime:?}");
        let words = report(&output);
        assert!(!words.contains("GRADUS_"), "switches of developers in a user's table: {words}");
    }
}

#[test]
fn what_was_probably_meant_is_suggested() {
    for (arguments, words) in [
        (
            &["check", "mse", "--device", "cuda"][..],
            &["--device is cuda; did you mean `gpu`? it must be one of auto, gpu"][..],
        ),
        (&["check", "mse", "--device", "cuda:0"], &["did you mean `gpu`?"]),
        (&["check", "mse", "--device", "refrence"], &["did you mean `reference`?"]),
        (&["bench", "--quik"], &["unknown argument `--quik`; did you mean `--quick`?"]),
        (&["trian"], &["unknown command `trian`; did you mean `train`?"]),
        (
            &["recommend", "--interactions", "x", "--loss", "wrap"],
            &["--loss is wrap; did you mean `warp`?"],
        ),
        (
            &["train", "--data", DIGITS, "--loss", "mse", "--zero-based", "maybe"],
            &["--zero-based is maybe"],
        ),
        (
            &["check", "hubber"],
            &["unknown name `hubber`; did you mean `huber`?", "`gradus losses` lists"],
        ),
    ] {
        let output = run(arguments);
        assert_one_line(&output, 2, words);
        assert!(!stderr(&output).contains("leaky_relu"), "all names in {}", stderr(&output));
    }
    let (answers, output) = eval(&json!([{ "name": "a", "loss": "hubber", "inputs": {} }]), "cpu");
    let message = answers[0]["error"].as_str().unwrap();
    assert!(message.contains("did you mean `huber`?") && !message.contains("tversky"), "{message}");
    assert!(stderr(&output).contains("did you mean `huber`?") && stderr(&output).len() < 200);
}

#[test]
fn tables_fit_80_and_100_columns_and_numbers_stand_by_their_size() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1e5);
    for columns in [80, 100] {
        for arguments in [
            &["losses"][..],
            &["losses", "cross_entropy"],
            &["check", "mse", "cross_entropy", "adam", "--device", "cpu"],
            &["devices"],
            &[
                "train",
                "--data",
                text(&data),
                "--target",
                "y",
                "--loss",
                "mse",
                "--device",
                "cpu",
                "--epochs",
                "2",
            ],
        ] {
            let output = gradus(arguments).env("COLUMNS", columns.to_string()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            for line in report(&output).lines() {
                assert!(
                    line.chars().count() <= columns,
                    "{} of {columns} columns: {line}",
                    line.chars().count()
                );
                let long = line.split(' ').find(|word| {
                    word.parse::<f64>().is_ok()
                        && word.chars().filter(char::is_ascii_digit).count() > 8
                });
                assert_eq!(long, None, "{line}");
            }
        }
    }
}

#[test]
fn a_resumed_training_reports_each_rate_beside_its_epoch_and_its_schedule_spans_all_of_them() {
    let folder = TempDir::new().unwrap();
    let (data, model) = (line(&folder, 1.0), folder.path().join("m.safetensors"));
    let train = |more: &[&str]| {
        // One update per epoch.
        let arguments = [
            "train",
            "--data",
            text(&data),
            "--target",
            "y",
            "--device",
            "cpu",
            "--batch-size",
            "1000",
        ];
        json_of(
            &[&arguments[..], &["--epochs", "2", "--out", text(&model), "--json"], more].concat(),
        )
    };
    let first = train(&["--loss", "mse", "--learning-rate", "0.01"]);
    assert_eq!(first["history"]["learning_rate"], Value::Null);
    for by_epoch in [&[][..], &["--schedule-by-epoch"]] {
        let before = std::fs::read(&model).unwrap();
        let found =
            train(&[&["--resume", text(&model), "--schedule", "cosine"], by_epoch].concat());
        std::fs::write(&model, before).unwrap();
        let rates = found["history"]["learning_rate"].as_array().unwrap();
        assert_eq!(rates[..2], [Value::Null, Value::Null], "{rates:?}");
        assert_eq!(found["settings"]["schedule"]["options"]["steps"], 4, "{found}");
        // A cosine schedule over four updates is at its middle after two.
        assert!((rates[2].as_f64().unwrap() - 0.005).abs() < 1e-9, "{rates:?}");
    }
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--device",
        "cpu",
        "--resume",
        text(&model),
    ];
    let more = ["--schedule", "cosine", "--epochs", "1", "--out", text(&model)];
    let words = report(&run(&[&arguments[..], &more].concat()));
    let is_epoch = |line: &&str| line.split_whitespace().all(|word| word.parse::<f64>().is_ok());
    let cells: Vec<usize> = words
        .lines()
        .filter(is_epoch)
        .map(|line| line.split_whitespace().count())
        .filter(|cells| *cells > 0)
        .collect();
    assert_eq!(cells, [5, 5, 6], "{words}");
}

#[test]
fn losses_are_reported_in_one_unit_however_a_training_ends() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1000.0);
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
    let more = ["--epochs", "400", "--patience", "1", "--learning-rate", "0.05"];
    let found = json_of(&[&arguments[..], &more].concat());
    let losses = numbers(&found["history"]["val_loss"]);
    let (epoch, best) = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    let stopped = format!(
        "stopped early: epoch {} was the best, at {}",
        epoch + 1,
        gradus::text::number(*best)
    );
    assert_eq!(found["stopped"], stopped, "{losses:?}");
}

#[test]
fn no_file_that_is_tested_on_is_written_over() {
    let folder = TempDir::new().unwrap();
    let digits = |name: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for part in ["x.npy", "y.npy"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numpy").join(part);
            std::fs::copy(from, folder.path().join(name).join(part)).unwrap();
        }
        folder.path().join(name)
    };
    let (data, test) = (digits("a").join("x.npy"), digits("b"));
    let before = std::fs::read(test.join("y.npy")).unwrap();
    let [rows, targets] = ["x.npy", "y.npy"].map(|name| test.join(name));
    let output = run(&[
        "train",
        "--loss",
        "mse",
        "--data",
        text(&data),
        "--test",
        text(&rows),
        "--out",
        text(&targets),
    ]);
    assert_one_line(&output, 1, &["--out", "y.npy", "which --test reads"]);
    assert_eq!(std::fs::read(&targets).unwrap(), before);
}

#[test]
fn a_time_that_is_no_duration_is_bad_usage() {
    for command in ["check", "bench"] {
        let output = run(&[command, "--device", "cpu", "--seconds", "1e20", "mse"]);
        assert_one_line(&output, 2, &["--seconds is 1e20", "at most 1e9"]);
    }
}

#[test]
fn targets_of_different_units_have_errors_of_their_own() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..200)
        .map(|row| {
            format!("{},{},{}\n", row % 10, 1e6 * f64::from(row % 10), 0.1 * f64::from(row % 7))
        })
        .collect();
    let data = file(&folder, "data.csv", format!("x,price,share\n{rows}").as_bytes());
    let model = folder.path().join("m");
    let arguments =
        ["train", "--data", text(&data), "--target", "price", "--target", "share", "--loss", "mse"];
    let more = ["--epochs", "60", "--device", "cpu", "--test", text(&data), "--out", text(&model)];
    let found = json_of(&[&arguments[..], &more, &["--json"]].concat());
    let evaluated =
        json_of(&["evaluate", text(&model), "--data", text(&data), "--device", "cpu", "--json"]);
    for scores in [&found["test"], &evaluated] {
        let targets = scores["targets"].as_array().unwrap();
        assert_eq!(
            (&targets[0]["target"], &targets[1]["target"]),
            (&"price".into(), &"share".into())
        );
        let of = |place: usize, name: &str| targets[place][name].as_f64().unwrap();
        assert!(
            of(0, "mae") > 1e3 && of(1, "mae") < 1.0 && of(0, "r2") > 0.9 && of(1, "r2") < 0.5,
            "{scores}"
        );
        let mixed = (of(0, "mae") + of(1, "mae")) / 2.0;
        assert!((scores["mae"].as_f64().unwrap() - mixed).abs() < 1e-9 * mixed, "{scores}");
    }
    let report =
        report(&run(&["evaluate", text(&model), "--data", text(&data), "--device", "cpu"]));
    assert!(
        report.contains("; price: MAE ")
            && report.contains("; share: MAE 0.")
            && report.matches("R²").count() == 2,
        "{report}"
    );
    let one = json_of(
        &[&arguments[..5], &["--loss", "mse", "--epochs", "1", "--device", "cpu", "--json"]]
            .concat(),
    );
    assert!(
        one["validation"]["targets"].is_null() && one["validation"]["mae"].is_number(),
        "{one}"
    );
}

#[test]
fn predictions_have_the_digits_that_they_need() {
    let folder = TempDir::new().unwrap();
    let (data, model) = (line(&folder, 1.0), folder.path().join("m"));
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--loss",
        "mse",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    let output = run(&[&arguments[..], &["--out", text(&model)]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for more in [&[][..], &["--output", "raw"]] {
        let words = report(&run(&[
            &["predict", text(&model), "--data", text(&data), "--device", "cpu"],
            more,
        ]
        .concat()));
        let cells: Vec<&str> = words.lines().filter(|cell| *cell != "y").collect();
        assert_eq!(cells.len(), 200);
        for cell in cells {
            // An output has no more digits than its f32; a number of the targets' scale has about
            // as many.
            let number: f32 = cell.parse().unwrap();
            let is_short = if more.is_empty() {
                cell.len() <= 12
            } else {
                cell.trim_end_matches(".0") == number.to_string()
            };
            assert!(is_short, "{cell}");
        }
    }
}

#[test]
fn epochs_that_were_lines_are_not_reported_again() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1.0);
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--loss",
        "mse",
        "--epochs",
        "30",
        "--device",
        "cpu",
    ];
    let output = run(&arguments);
    assert_eq!(stderr(&output).lines().filter(|line| line.starts_with("epoch ")).count(), 30);
    let words = report(&output);
    let rows = words.lines().filter(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        cells.len() > 2 && cells.iter().all(|cell| cell.parse::<f64>().is_ok())
    });
    assert_eq!(
        rows.map(|row| row.split_whitespace().next().unwrap()).collect::<Vec<_>>(),
        ["30"],
        "{words}"
    );
}

#[test]
fn losses_that_no_table_feeds_are_refused_with_what_to_take() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1.0);
    for (loss, words) in [
        (
            "kl_div",
            &["--loss: kl_div compares distributions", "allowed: cross_entropy for classes"][..],
        ),
        (
            "gaussian_nll",
            &["--loss: gaussian_nll takes variance beside predictions", "mse or huber for numbers"],
        ),
        (
            "triplet_margin",
            &["--loss: triplet_margin takes anchor, positive, negative, which no file gives"],
        ),
        ("ctc", &["--loss: ctc takes input_lengths, target_lengths beside"]),
    ] {
        assert_one_line(
            &run(&["train", "--data", text(&data), "--target", "y", "--loss", loss]),
            2,
            words,
        );
    }
}

#[test]
fn a_column_that_is_missing_is_reported_as_the_models() {
    let folder = TempDir::new().unwrap();
    let (data, model) = (line(&folder, 1.0), folder.path().join("m"));
    let train = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--loss",
        "mse",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    assert_eq!(run(&[&train[..], &["--out", text(&model)]].concat()).status.code(), Some(0));
    let other = file(&folder, "other.csv", b"x,zz,y\n1,2,3\n2,3,4\n");
    let words = [
        "the model was trained with the column `z`, which ",
        "other.csv lacks",
        "its columns are x, zz, y",
    ];
    for command in ["predict", "evaluate"] {
        let output = run(&[command, text(&model), "--data", text(&other), "--device", "cpu"]);
        assert_one_line(&output, 1, &[&["--data: "], &words[..]].concat());
    }
    let tested = stderr(&run(&[&train[..], &["--test", text(&other)]].concat()));
    let last = tested.lines().last().unwrap();
    assert!(
        last.starts_with("error: --test: ") && words.iter().all(|word| last.contains(word)),
        "{tested}"
    );
}

#[test]
fn columns_that_number_the_rows_are_reported_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..60)
        .map(|row| {
            format!(
                "{},{row},{},2024-03-{:02},0{},{}\n",
                7000 - 13 * row,
                row % 5,
                1 + row % 28,
                2100 + row % 9,
                row % 5
            )
        })
        .collect();
    let data = file(&folder, "data.csv", format!("user_id,place,x,day,zip,y\n{rows}").as_bytes());
    let arguments = [
        "train",
        "--data",
        text(&data),
        "--target",
        "y",
        "--loss",
        "mse",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    let output = gradus(&arguments).env("COLUMNS", "220").output().unwrap();
    let words = report(&output);
    for name in ["user_id", "place"] {
        assert!(
            words.contains(&format!("it seems to number the rows: --drop {name} leaves it out")),
            "{words}"
        );
    }
    assert_eq!(words.matches("--drop").count(), 2, "{words}");
    assert!(
        stderr(&output).contains(
            "column `zip`: cells such as `02100` are taken for numbers, except as classes"
        ),
        "{}",
        stderr(&output)
    );
    for stream in [&[][..], &["--stream"]] {
        let found = json_of(&[&arguments[..], &["--json"], stream].concat());
        let columns = found["settings"]["columns"].as_array().unwrap();
        let are: Vec<bool> = columns.iter().map(|column| column["identifier"] == true).collect();
        assert_eq!(are, [true, true, false, false, false, false], "{columns:?}");
    }
    // A date per row is not a useful category.
    let rows: String = (0..100)
        .map(|row| format!("2024-{:02}-{:02},{}\n", 1 + row / 28, 1 + row % 28, row % 5))
        .collect();
    let days = file(
        &folder,
        "days.csv",
        format!("day,x,y\n{}", rows.replace('\n', ",1\n").replacen(",1\n", ",2\n", 9)).as_bytes(),
    );
    let output =
        json_of(&[&["train", "--data", text(&days)], &arguments[3..], &["--json"]].concat());
    let became = output["settings"]["columns"][0]["became"].as_str().unwrap();
    assert!(became.contains("which are dates: write them as a number"), "{became}");
}

#[cfg(unix)]
#[test]
fn standard_input_and_pipes_are_read_once() {
    use std::process::Stdio;
    let folder = TempDir::new().unwrap();
    // A file named `-` is `./-`.
    file(&folder, "-", b"1 1:2 2:3\n");
    let table: String = (0..40)
        .map(|row| format!("{},{}\n", row % 7, if row % 7 > 2 { "b" } else { "a" }))
        .collect();
    let table = format!("x,y\n{table}");
    let arguments = [
        "train",
        "--data",
        "-",
        "--target",
        "y",
        "--loss",
        "cross_entropy",
        "--epochs",
        "1",
        "--device",
        "cpu",
    ];
    let mut command = gradus(&arguments);
    command
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let data = file(&folder, "data.csv", table.as_bytes());
    for weights in ["class,weight\nb,20\na,1\n", "b;1,5\na;1\n"] {
        let pipe = folder.path().join("pipe");
        let _ = std::fs::remove_file(&pipe);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let path = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(path, weights).unwrap());
        let mut arguments = arguments;
        arguments[2] = text(&data);
        let output = run(&[&arguments[..], &["--class-weight", text(&pipe), "--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        writer.join().unwrap();
    }
}
