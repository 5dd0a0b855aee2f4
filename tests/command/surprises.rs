//! What would surprise somebody is told: in a line, with what to do.

use std::ffi::OsStr;
use std::fmt::Write as _;

use super::*;

/// A table of a target that follows from a feature, with some noise: R² is far from 0 and from 1.
fn line(folder: &TempDir, scale: f64) -> PathBuf {
    let mut table = String::from("x,z,y\n");
    for row in 0..200 {
        let (x, noise) = (f64::from(row % 20) - 10.0, f64::from((row * 37) % 11) - 5.0);
        writeln!(table, "{x},{noise},{}", scale * (3.0 * x + noise * f64::from(row % 3))).unwrap();
    }
    file(folder, "line.csv", table.as_bytes())
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_regression_tells_r2_and_what_predicting_the_mean_comes_to() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1.0);
    for loss in ["mse", "huber"] {
        let arguments = ["train", "--data", text(&data), "--target", "y", "--loss", loss, "--device", "cpu"];
        let found = json_of(&[&arguments[..], &["--epochs", "4", "--json"]].concat());
        let (history, baseline) = (&found["history"], &found["baseline"]);
        let of = |name: &str| numbers(&history[name]);
        assert_eq!(of("val_r2").len(), 4, "{history}");
        assert!(of("val_r2")[3] > of("val_r2")[0] && of("val_r2")[3] < 1.0, "{history}");
        assert!(baseline["loss"].as_f64().unwrap() > 0.0 && baseline["val_loss"].as_f64().unwrap() > 0.0);
        if loss == "mse" {
            // Of the squared error 1 − R² is the loss in units of that of the mean.
            let expected = 1.0 - of("loss")[3] / baseline["loss"].as_f64().unwrap();
            assert!((of("r2")[3] - expected).abs() < 1e-5, "{history} {baseline}");
        }
        let words = told(&run(&[&arguments[..], &["--epochs", "1"]].concat()));
        assert!(words.contains("predicting the mean: loss ") && words.contains("val_r2"), "{words}");
    }
}

#[test]
fn prices_are_not_half_a_million_classes() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("rooms,price\n");
    (0..60).for_each(|row| writeln!(table, "{},{}", row % 7, 14_999 + 8237 * row).unwrap());
    let data = file(&folder, "homes.csv", table.as_bytes());
    let output = run(&["train", "--data", text(&data), "--target", "price", "--loss", "cross_entropy"]);
    let words = ["--target price holds whole numbers from 14999 to", "classes for 54 rows", "--loss mse, --loss huber"];
    assert_one_line(&output, 1, &words);
}

/// Labels that no feature tells of, three of four of them `a`.
fn one_sided(folder: &TempDir) -> PathBuf {
    let mut table = String::from("x,kind\n");
    (0..80).for_each(|row| writeln!(table, "{},{}", row % 3, if row % 4 == 0 { "b" } else { "a" }).unwrap());
    file(folder, "kinds.csv", table.as_bytes())
}

#[test]
fn one_answer_to_everything_is_told_in_a_line() {
    let folder = TempDir::new().unwrap();
    let data = one_sided(&folder);
    let device = ["--device", "cpu", "--validation", "0.25", "--no-standardize"];
    let output =
        run(&[&["train", "--data", text(&data), "--target", "kind", "--loss", "cross_entropy"][..], &device].concat());
    let words = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("note: the model answers `a` to each of 20 validation rows"), "{words}");
    // A table's constant column is left out; an array's stays.
    let mut rows = String::new();
    (0..80).for_each(|row| writeln!(rows, "{} 1:1", row % 9).unwrap());
    let data = file(&folder, "flat.svm", rows.as_bytes());
    let output = run(&[&["train", "--data", text(&data), "--loss", "mse"][..], &device].concat());
    let words = stderr(&output);
    assert!(words.contains("to each of 20 validation rows, whatever their features"), "{words}");
}

#[test]
fn rows_of_one_class_are_told_before_the_training() {
    let folder = TempDir::new().unwrap();
    let data = one_sided(&folder);
    let test = file(&folder, "test.csv", b"x,kind\n1,a\n2,a\n3,a\n");
    let arguments = ["train", "--data", text(&data), "--target", "kind", "--loss", "cross_entropy", "--device", "cpu"];
    let output = run(&[&arguments[..], &["--test", text(&test), "--epochs", "1"]].concat());
    let words = stderr(&output);
    assert!(words.contains("note: all 3 test rows are of the class `a`"), "{words}");
    assert!(!words.contains("validation rows are of the class"), "{words}");
}

#[test]
fn a_training_that_ends_in_its_first_epoch_still_has_its_lists() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x,y\n");
    (0..80).for_each(|row| writeln!(table, "{}e30,{row}", row % 7).unwrap());
    let data = file(&folder, "large.csv", table.as_bytes());
    let arguments = ["train", "--data", text(&data), "--target", "y", "--loss", "mse", "--device", "cpu", "--json"];
    // Standardized they are learned from.
    assert_eq!(run(&arguments).status.code(), Some(0));
    let output = run(&[&arguments[..], &["--no-standardize"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["history"], json!({ "loss": [], "val_loss": [] }));
    // And the numbers are to blame, not the learning rate.
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
fn paths_that_are_no_utf8_are_read_written_and_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    let named = |bytes: &[u8]| folder.path().join(OsStr::from_bytes(bytes));
    let data = named(b"d\xff.csv");
    std::fs::copy(line(&folder, 1.0), &data).unwrap();
    let model = named(b"m\xfe.safetensors");
    let train = |more: &[&OsStr]| {
        let mut command = gradus(&["train", "--target", "y", "--device", "cpu", "--epochs", "1", "--json", "--data"]);
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
    let output = train(&["--resume".as_ref(), model.as_os_str()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = gradus(&["predict"]).arg(&model).arg("--data").arg(&data).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let ratings = named(b"r\xff.csv");
    let mut table = String::from("user,item,rating\n");
    (0..60).for_each(|row| writeln!(table, "{},{},5", row % 10, row % 7).unwrap());
    std::fs::write(&ratings, table).unwrap();
    let saved = named(b"r\xff.safetensors");
    let output = gradus(&["recommend", "--device", "cpu", "--epochs", "1", "--json", "--interactions"])
        .args([ratings.as_os_str(), "--out".as_ref(), saved.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output =
        gradus(&["recommend", "--device", "cpu", "--user", "3", "--json", "--model"]).arg(&saved).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = gradus(&["recommend", "--device", "cpu", "--epochs", "1", "--json", "--interactions"])
        .args([ratings.as_os_str(), "--resume".as_ref(), saved.as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["settings"]["resume"].as_str().unwrap().ends_with("r\u{fffd}.safetensors"), "{found}");
    let output = gradus(&["train", "--loss", "mse", "--data"]).arg(named(b"none\xff.csv")).output().unwrap();
    assert_one_line(&output, 1, &["none\u{fffd}.csv"]);
}

#[test]
fn no_control_character_of_a_file_reaches_the_terminal() {
    let folder = TempDir::new().unwrap();
    let mut table = String::from("x\u{1b}[2J,kind\n");
    (0..40).for_each(|row| writeln!(table, "{},{}", row % 2, ["a\u{1b}]0;title\u{7}", "b\u{9b}31m"][row % 2]).unwrap());
    let data = file(&folder, "hostile.csv", table.as_bytes());
    let model = folder.path().join("m.safetensors");
    let arguments = ["train", "--data", text(&data), "--target", "kind", "--loss", "cross_entropy", "--device", "cpu"];
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
        for stream in [told(&output), stderr(&output)] {
            let hostile: Vec<char> = stream.chars().filter(|c| c.is_control() && !"\n\t".contains(*c)).collect();
            assert!(hostile.is_empty(), "{hostile:?} in {stream}");
        }
    }
}

#[test]
fn what_the_environment_asks_for_and_there_is_not_is_told() {
    let with =
        |variable: &str, value: &str, arguments: &[&str]| gradus(arguments).env(variable, value).output().unwrap();
    let check = ["check", "mse", "--device", "gpu"];
    let words = ["the environment: WGPU_BACKEND is `vulcan`; it must be vulkan, metal or dx12"];
    assert_one_line(&with("WGPU_BACKEND", "vulcan", &check), 1, &words);
    // `auto` goes on without a GPU and says why.
    let auto = ["check", "mse", "--device", "auto"];
    let output = with("WGPU_BACKEND", "vulcan", &auto);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("(auto: the environment: WGPU_BACKEND is `vulcan`"), "{}", stderr(&output));
    let output = with("WGPU_ADAPTER_NAME", "no such card", &auto);
    let adapters = gradus::adapters();
    if let Some(adapter) = adapters.first() {
        for word in ["with `no such card` in its name (WGPU_ADAPTER_NAME)", &adapter.get_info().name] {
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
        let words = told(&output);
        assert!(!words.contains("GRADUS_"), "switches of developers in a user's table: {words}");
    }
}

#[test]
fn what_was_probably_meant_is_told() {
    for (arguments, words) in [
        (
            &["check", "mse", "--device", "cuda"][..],
            &["--device is cuda; did you mean `gpu`? it must be one of auto, gpu"][..],
        ),
        (&["check", "mse", "--device", "cuda:0"], &["did you mean `gpu`?"]),
        (&["check", "mse", "--device", "refrence"], &["did you mean `reference`?"]),
        (&["bench", "--quik"], &["unknown argument `--quik`; did you mean `--quick`?"]),
        (&["trian"], &["unknown command `trian`; did you mean `train`?"]),
        (&["recommend", "--interactions", "x", "--loss", "wrap"], &["--loss is wrap; did you mean `warp`?"]),
        (&["train", "--data", DIGITS, "--loss", "mse", "--zero-based", "maybe"], &["--zero-based is maybe"]),
        (&["check", "hubber"], &["unknown name `hubber`; did you mean `huber`?", "`gradus losses` lists"]),
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
            &["train", "--data", text(&data), "--target", "y", "--loss", "mse", "--device", "cpu", "--epochs", "2"],
        ] {
            let output = gradus(arguments).env("COLUMNS", columns.to_string()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            for line in told(&output).lines() {
                assert!(line.chars().count() <= columns, "{} of {columns} columns: {line}", line.chars().count());
                let long = line
                    .split(' ')
                    .find(|word| word.parse::<f64>().is_ok() && word.chars().filter(char::is_ascii_digit).count() > 8);
                assert_eq!(long, None, "{line}");
            }
        }
    }
}

#[test]
fn a_resumed_training_tells_each_rate_beside_its_epoch_and_its_schedule_spans_all_of_them() {
    let folder = TempDir::new().unwrap();
    let (data, model) = (line(&folder, 1.0), folder.path().join("m.safetensors"));
    let train = |more: &[&str]| {
        // One update an epoch.
        let arguments = ["train", "--data", text(&data), "--target", "y", "--device", "cpu", "--batch-size", "1000"];
        json_of(&[&arguments[..], &["--epochs", "2", "--out", text(&model), "--json"], more].concat())
    };
    let first = train(&["--loss", "mse", "--learning-rate", "0.01"]);
    assert_eq!(first["history"]["learning_rate"], Value::Null);
    for by_epoch in [&[][..], &["--schedule-by-epoch"]] {
        let before = std::fs::read(&model).unwrap();
        let found = train(&[&["--resume", text(&model), "--schedule", "cosine"], by_epoch].concat());
        std::fs::write(&model, before).unwrap();
        let rates = found["history"]["learning_rate"].as_array().unwrap();
        assert_eq!(rates[..2], [Value::Null, Value::Null], "{rates:?}");
        assert_eq!(found["settings"]["schedule"]["options"]["steps"], 4, "{found}");
        // The half of a cosine over four updates is at its middle.
        assert!((rates[2].as_f64().unwrap() - 0.005).abs() < 1e-9, "{rates:?}");
    }
    let arguments = ["train", "--data", text(&data), "--target", "y", "--device", "cpu", "--resume", text(&model)];
    let words = told(&run(&[&arguments[..], &["--schedule", "cosine", "--epochs", "1"]].concat()));
    let is_epoch = |line: &&str| line.split_whitespace().all(|word| word.parse::<f64>().is_ok());
    let cells: Vec<usize> =
        words.lines().filter(is_epoch).map(|line| line.split_whitespace().count()).filter(|cells| *cells > 0).collect();
    assert_eq!(cells, [5, 5, 6], "{words}");
}

#[test]
fn losses_are_told_in_one_unit_however_a_training_ends() {
    let folder = TempDir::new().unwrap();
    let data = line(&folder, 1000.0);
    let arguments = ["train", "--data", text(&data), "--target", "y", "--loss", "mse", "--device", "cpu", "--json"];
    let more = ["--epochs", "400", "--patience", "1", "--learning-rate", "0.05"];
    let found = json_of(&[&arguments[..], &more].concat());
    let losses = numbers(&found["history"]["val_loss"]);
    let (epoch, best) = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    let stopped = format!("stopped early: epoch {} was the best, at {}", epoch + 1, gradus::text::number(*best));
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
    let output =
        run(&["train", "--loss", "mse", "--data", text(&data), "--test", text(&rows), "--out", text(&targets)]);
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
