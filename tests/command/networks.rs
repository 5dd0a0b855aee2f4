//! `gradus train --model`: networks of images and of text, and `gradus generate`.

use std::path::PathBuf;

use gradus::random::Random;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{DIGITS, assert_one_line, file, json_of, numbers, run, stderr, text};

/// An IDX file of bytes.
fn idx(folder: &TempDir, name: &str, shape: &[usize], bytes: &[u8]) {
    let mut content = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|&size| content.extend((size as u32).to_be_bytes()));
    content.extend(bytes);
    file(folder, name, &content);
}

/// Images of 8 × 6 with a bright quarter, one of four, in a folder with MNIST's names.
fn quarters(folder: &TempDir) {
    let mut random = Random::new(5, 0);
    for (name, rows) in [("train", 80), ("t10k", 24)] {
        let labels: Vec<u8> = (0..rows).map(|row| (row % 4) as u8).collect();
        let mut pixels = Vec::new();
        for &label in &labels {
            for place in 0..48_usize {
                let quarter = (place / 6 / 4) * 2 + place % 6 / 3;
                let bright = if quarter == usize::from(label) { 120.0 } else { 0.0 };
                pixels.push((bright + 100.0 * random.uniform()) as u8);
            }
        }
        idx(folder, &format!("{name}-images-idx3-ubyte"), &[rows, 8, 6], &pixels);
        idx(folder, &format!("{name}-labels-idx1-ubyte"), &[rows], &labels);
    }
}

#[test]
fn a_network_of_images_is_trained_saved_measured_and_continued() {
    let folder = TempDir::new().unwrap();
    quarters(&folder);
    let (data, model) = (folder.path(), folder.path().join("cnn.safetensors"));
    let source = ["--data", text(data), "--device", "cpu", "--json"];
    let arguments = ["--model", "small_cnn", "--epochs", "4", "--batch-size", "8"];
    let out = ["--out", text(&model)];
    let first = json_of(&[&["train"], &source[..], &arguments, &out].concat());
    // Two convolutions, and 2 × 1 × 64 numbers into the dense layers.
    let parameters = (9 + 1) * 32 + (9 * 32 + 1) * 64 + (128 + 1) * 128 + (128 + 1) * 4;
    assert_eq!(first["parameters"], parameters);
    assert_eq!(first["settings"]["model"], "small_cnn");
    assert_eq!(first["settings"]["loss"], "cross_entropy");
    assert!(first["settings"]["hidden"].is_null());
    assert!(first["test"]["accuracy"].as_f64().unwrap() > 0.9, "{first}");

    let measured = json_of(&[&["evaluate", text(&model)], &source[..]].concat());
    assert_eq!(measured["loss"], first["test"]["loss"]);
    let predicted = json_of(&[&["predict", text(&model)], &source[..]].concat());
    assert_eq!(predicted["accuracy"], first["test"]["accuracy"]);
    assert_eq!(predicted["predictions"].as_array().unwrap().len(), 24);

    let more = ["--resume", text(&model), "--epochs", "1"];
    let more = json_of(&[&["train"], &source[..], &more, &out].concat());
    assert_eq!(more["epochs_before"], 4);
    assert!(more["settings"]["hidden"].is_null() && more["settings"]["activation"].is_null());
    let losses = numbers(&more["history"]["loss"]);
    assert_eq!(losses[..4], numbers(&first["history"]["loss"])[..]);
    assert!(losses[4] < losses[0]);

    let report =
        run(&[&["train", "--data", text(data), "--device", "cpu"], &arguments[..]].concat());
    let report = String::from_utf8(report.stdout).unwrap();
    for part in ["conv1 conv2d", "[rows, 8, 6, 32]", "small_cnn", "features as they are", "test"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

/// A .npy file of f32.
fn npy(folder: &TempDir, name: &str, shape: &str, values: &[f32]) -> PathBuf {
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let head = format!("{head:<117}\n");
    let mut content = b"\x93NUMPY\x01\x00".to_vec();
    content.extend((head.len() as u16).to_le_bytes());
    content.extend(head.as_bytes());
    content.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file(folder, name, &content)
}

#[test]
fn rows_of_arrays_are_squares_or_what_image_says() {
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(3, 0);
    // Pixels from 0 to 255: they are scaled all alike.
    let values: Vec<f32> = (0..40 * 64).map(|_| (255.0 * random.uniform()) as f32).collect();
    let x = npy(&folder, "x.npy", "40, 64", &values);
    let labels: Vec<f32> = (0..40).map(|row| (row % 2) as f32).collect();
    let y = npy(&folder, "y.npy", "40,", &labels);
    let model = folder.path().join("m.safetensors");
    let data = ["train", "--data", text(&x), "--targets", text(&y), "--device", "cpu"];
    let train = |more: &[&str]| run(&[&data[..], &["--epochs", "1"], more].concat());
    let output = train(&["--model", "resnet8", "--json", "--out", text(&model)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("8 × 8 × 1"), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["settings"]["standardized"], &found["parameters"]),
        (&json!(true), &json!(77_234))
    );
    let output = train(&["--model", "small_cnn", "--image", "16,4"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains("[rows, 16, 4, 32]"));
    let refused = train(&["--model", "small_cnn", "--image", "8,9"]);
    assert_one_line(&refused, 1, &["--image is 8,9,1", "72 numbers", "has 64"]);
}

#[test]
fn what_a_network_does_not_take_is_refused() {
    let digits = ["train", "--data", DIGITS, "--target", "64", "--device", "cpu"];
    let folder = TempDir::new().unwrap();
    let words = file(&folder, "words.txt", b"to be or not to be");
    for (more, code, parts) in [
        (&["--model", "small_cnn"][..], 2, &["small_cnn", "IDX", "is a table"][..]),
        (&["--model", "resnet8", "--hidden", "10"], 2, &["--hidden", "resnet8", "leave it out"]),
        (&["--model", "lenet5", "--activation", "tanh"], 2, &["--activation", "lenet5"]),
        (&["--model", "lenet5", "--width", "8"], 2, &["--width", "lenet5", "leave it out"]),
        (&["--model", "lenet"], 2, &["--model is lenet", "lenet5", "resnet20"]),
        (&["--model", "lenet5", "--image", "8"], 2, &["--image is 8", "32,32,3"]),
        (&["--model", "dense"], 2, &["--loss", "gradus losses"]),
        (&["--model", "gpt"], 2, &["--text FILE"]),
    ] {
        assert_one_line(&run(&[&digits[..], more].concat()), code, parts);
    }
    let of_text = ["train", "--text", text(&words), "--device", "cpu"];
    for (more, code, parts) in [
        (&["--model", "dense", "--loss", "mse"][..], 2, &["--text", "dense", "gpt does"][..]),
        (&["--loss", "mse"], 2, &["--loss is mse", "cross_entropy"]),
        (&["--loss", "ordinal"], 2, &["--loss is ordinal", "cross_entropy"]),
        (&["--loss", "ldam"], 2, &["--loss is ldam", "cross_entropy"]),
        (&["--hidden", "3"], 2, &["--hidden", "gpt"]),
        (&["--target", "a"], 2, &["--text", "--target"]),
        (&["--context", "0"], 2, &["--context is 0"]),
        (&["--layers", "4294967295"], 2, &["--layers is 4294967295", "1 to 1000"]),
        (&["--context", "20"], 1, &["--text", "--context 20 needs 21"]),
        (&["--context", "8"], 1, &["2 characters are left to validate on", "--validation"]),
        (&["--context", "4", "--validation", "0", "--heads", "3"], 1, &["heads is 3", "128"]),
    ] {
        let output = run(&[&of_text[..], more].concat());
        let message = stderr(&output).lines().last().unwrap_or_default().to_string();
        assert_eq!(output.status.code(), Some(code), "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    }
}

#[test]
fn images_of_another_shape_are_refused_though_they_have_as_many_numbers() {
    let folder = TempDir::new().unwrap();
    quarters(&folder);
    let data = text(folder.path()).to_string();
    let model = folder.path().join("cnn.safetensors");
    let train = ["train", "--model", "lenet5", "--epochs", "1", "--device", "cpu", "--data"];
    let image = |lenet: &[&str]| run(&[&train[..], lenet].concat());
    let out = ["--out", text(&model)];
    // LeNet-5 needs 28 × 28; the small CNN takes these.
    let small = ["train", "--model", "small_cnn", "--epochs", "1", "--device", "cpu"];
    json_of(&[&small[..], &["--data", &data, "--json"], &out].concat());
    let error = stderr(&run(&[&small[..], &["--data", &data, "--image", "6,8"]].concat()));
    assert!(error.contains("--image is 6,8,1") && error.contains("8,6,1"), "{error}");
    // Wide images of 6 × 8 in place of 8 × 6, and larger ones.
    for (shape, numbers) in [([10, 6, 8], 480), ([10, 10, 10], 1000)] {
        let other = TempDir::new().unwrap();
        idx(&other, "t10k-images-idx3-ubyte", &shape, &vec![7; numbers]);
        idx(&other, "t10k-labels-idx1-ubyte", &[10], &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
        idx(&other, "train-images-idx3-ubyte", &shape, &vec![7; numbers]);
        idx(&other, "train-labels-idx1-ubyte", &[10], &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
        let path = text(other.path()).to_string();
        let images = format!("images of {} x {} x 1", shape[1], shape[2]);
        for command in ["evaluate", "predict"] {
            let found = run(&[command, text(&model), "--data", &path, "--device", "cpu"]);
            assert!(stderr(&found).contains(&images), "{command}: {}", stderr(&found));
        }
        let again = ["train", "--resume", text(&model), "--device", "cpu", "--data", &path];
        let again = run(&[&again[..], &out].concat());
        assert!(stderr(&again).contains(&images), "{}", stderr(&again));
        let test = run(&[&small[..], &["--data", &data, "--test", &path]].concat());
        assert!(stderr(&test).contains("--test") && !test.status.success(), "{}", stderr(&test));
    }
    // Pixels of IDX files are from 0 to 1; a model of an array scales its own.
    let own: Vec<f32> = (0..32 * 48).map(|i| (i % 255) as f32).collect();
    let own = npy(&folder, "x_own.npy", "32, 8, 6", &own);
    let of_own =
        npy(&folder, "y_own.npy", "32,", &(0..32).map(|i| (i % 4) as f32).collect::<Vec<_>>());
    let scaled = folder.path().join("scaled.safetensors");
    let array = ["--data", text(&own), "--targets", text(&of_own), "--loss", "cross_entropy"];
    json_of(&[&small[..], &array, &["--json", "--out", text(&scaled)]].concat());
    let found = run(&["evaluate", text(&scaled), "--data", &data, "--device", "cpu"]);
    assert!(stderr(&found).contains("pixels from 0 to 1"), "{}", stderr(&found));
    let found = run(&[&["evaluate", text(&model), "--device", "cpu"], &array[..4]].concat());
    assert!(stderr(&found).contains("numbers up to 254"), "{}", stderr(&found));
    // An array says its shape too, and channels first are not guessed away.
    let values: Vec<f32> = (0..8 * 192).map(|i| (i % 7) as f32).collect();
    let wide = npy(&folder, "x_wide.npy", "32, 4, 12", &values);
    let labels: Vec<f32> = (0..32).map(|i| (i % 2) as f32).collect();
    let targets = npy(&folder, "y_wide.npy", "32,", &labels);
    let targets = ["--targets", text(&targets), "--loss", "cross_entropy", "--device", "cpu"];
    let resnet = ["train", "--model", "resnet8", "--epochs", "1"];
    let found = run(&[&resnet[..], &["--data", text(&wide)], &targets].concat());
    assert!(found.status.success(), "{}", stderr(&found));
    let shown = String::from_utf8(found.stdout).unwrap();
    assert!(shown.contains("[rows, 4, 12, 16]"), "{shown}");
    let first = npy(&folder, "x_first.npy", "32, 3, 4, 4", &values);
    let found = run(&[&resnet[..], &["--data", text(&first)], &targets].concat());
    assert!(stderr(&found).contains("channels first"), "{}", stderr(&found));
    let found = image(&[&data, "--loss", "nll"]);
    assert!(stderr(&found).contains("cross_entropy is the same"), "{}", stderr(&found));
}

#[test]
fn a_text_is_learned_and_written_on() {
    let folder = TempDir::new().unwrap();
    // A period of 21 has no divisor with the context: sequences begin everywhere in it.
    let content = "so it goes on and on ".repeat(40);
    let words = file(&folder, "words.txt", content.as_bytes());
    let model = folder.path().join("gpt.safetensors");
    let small = [
        "--model",
        "gpt",
        "--context",
        "8",
        "--layers",
        "1",
        "--heads",
        "2",
        "--width",
        "32",
        "--learning-rate",
        "0.01",
        "--batch-size",
        "8",
        "--epochs",
        "12",
    ];
    // Two characters are a text, one is not.
    for (written, code) in [("ab", 0), ("aa", 1)] {
        let two = file(&folder, "two.txt", written.repeat(100).as_bytes());
        let short = [&small[..small.len() - 1], &["1", "--text", text(&two)]].concat();
        let found = run(&[&["train", "--device", "cpu"], &short[..]].concat());
        assert_eq!(found.status.code(), Some(code), "{}", stderr(&found));
        assert_eq!(stderr(&found).contains("over and over"), code == 1);
    }
    let of_text = ["--text", text(&words), "--device", "cpu"];
    let out = ["--json", "--out", text(&model)];
    let first = json_of(&[&["train"], &of_text[..], &small, &out].concat());
    let perplexities = numbers(&first["history"]["perplexity"]);
    assert_eq!(perplexities.len(), 12);
    assert!(perplexities[11] < 0.5 * perplexities[0], "{perplexities:?}");
    let last = first["history"]["val_loss"][11].as_f64().unwrap();
    assert!((perplexities[11] - last.exp()).abs() < 1e-9);
    assert_eq!(first["validation"]["loss"], last);
    assert_eq!(first["settings"]["gpt"]["context"], 8);

    let more = ["--resume", text(&model), "--epochs", "1"];
    let more = json_of(&[&["train"], &of_text[..], &more, &out].concat());
    assert_eq!((&more["epochs_before"], &more["settings"]["model"]), (&json!(12), &json!(null)));

    let write = |more: &[&str]| {
        let model = ["generate", text(&model), "--device", "cpu", "--tokens", "30"];
        let output = run(&[&model[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let greedy = write(&["--prompt", "so it ", "--temperature", "0"]);
    assert_eq!(greedy, format!("{}\n", &content[..36]));
    let drawn = ["--prompt", "so", "--temperature", "3", "--top-k", "5"];
    let seeded = |seed: &str| write(&[&drawn[..], &["--seed", seed]].concat());
    assert_eq!(seeded("1"), seeded("1"));
    assert_ne!(seeded("1"), seeded("2"));
    let likely = write(&["--prompt", "so it ", "--temperature", "3", "--top-p", "1e-9"]);
    assert_eq!(likely, greedy);
    let found = write(&["--prompt", "so it ", "--temperature", "0", "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["prompt"], &found["text"]), (&json!("so it "), &json!(content[6..36])));

    let measured = json_of(&["evaluate", text(&model), "--text", text(&words), "--json"]);
    assert!(measured["perplexity"].as_f64().unwrap() < 2.0, "{measured}");
    for (arguments, code, parts) in [
        (
            vec!["generate", text(&model), "--prompt", "Zoo"],
            1,
            vec!["--prompt", "`Z`", "position 0"],
        ),
        (vec!["generate", text(&model), "--prompt", ""], 2, vec!["--prompt is empty"]),
        (vec!["generate", text(&model), "--prompt", "o", "--top-k", "0"], 2, vec!["--top-k is 0"]),
        (
            vec!["generate", text(&model), "--prompt", "o", "--top-p", "1.2"],
            2,
            vec!["--top-p is 1.2", "(0, 1]"],
        ),
        (
            vec!["generate", text(&model), "--prompt", "o", "--temperature", "-1"],
            2,
            vec!["--temperature is -1", ">= 0"],
        ),
        (vec!["predict", text(&model), "--data", DIGITS], 1, vec!["of text", "gradus generate"]),
        (vec!["evaluate", text(&model), "--data", DIGITS], 1, vec!["of text", "--text FILE"]),
    ] {
        let cpu = if code == 1 { &["--device", "cpu"][..] } else { &[] };
        assert_one_line(&run(&[&arguments[..], cpu].concat()), code, &parts);
    }
    let other = folder.path().join("dense.safetensors");
    let dense = ["train", "--data", DIGITS, "--target", "64", "--loss", "cross_entropy"];
    let dense = [&dense[..], &["--epochs", "1", "--device", "cpu", "--out", text(&other)]].concat();
    assert_eq!(run(&dense).status.code(), Some(0));
    assert_one_line(
        &run(&["generate", text(&other), "--prompt", "so", "--device", "cpu"]),
        1,
        &["not of text", "--model gpt"],
    );
}

#[test]
fn images_are_changed_and_a_training_ends_at_a_step() {
    let folder = TempDir::new().unwrap();
    quarters(&folder);
    let (data, model) = (folder.path(), folder.path().join("cnn.safetensors"));
    let runs = folder.path().join("runs");
    let source = ["train", "--data", text(data), "--device", "cpu"];
    let network = ["--model", "small_cnn", "--batch-size", "8"];
    let changed = ["--augment", "crop=2,flip,cutout=3", "--steps", "12"];
    let out = ["--json", "--step-losses", "--out", text(&model), "--tensorboard", text(&runs)];
    // 72 rows to train on: nine batches an epoch.
    let first = json_of(&[&source[..], &network, &changed, &out].concat());
    let settings = &first["settings"];
    assert_eq!(settings["augment"], json!({ "crop": 2, "flip": true, "cutout": 3 }));
    assert_eq!((&settings["steps"], &settings["epochs"]), (&json!(12), &json!(2)));
    let losses = |found: &Value| numbers(&found["step_losses"]);
    assert_eq!(losses(&first).len(), 12, "{first}");
    let plain =
        json_of(&[&source[..], &network, &["--steps", "12", "--json", "--step-losses"]].concat());
    assert_ne!(losses(&plain), losses(&first), "images as they are give the same losses");

    // One file with the numbers of both epochs, and of each batch.
    let files: Vec<_> =
        std::fs::read_dir(&runs).unwrap().map(|file| file.unwrap().path()).collect();
    let [events] = &files[..] else { panic!("{files:?}") };
    let bytes = std::fs::read(events).unwrap();
    let count = |tag: &str| bytes.windows(tag.len()).filter(|part| *part == tag.as_bytes()).count();
    assert_eq!(
        [count("brain.Event:2"), count("batch/loss"), count("epoch/val_accuracy")],
        [1, 12, 2]
    );

    // The changes go on with the training; a step more is asked for.
    let more = ["--resume", text(&model), "--steps", "1"];
    let more = json_of(&[&source[..], &more, &out].concat());
    assert_eq!(more["settings"]["augment"], settings["augment"]);
    assert_eq!(losses(&more).len(), 1);
    assert_eq!(std::fs::read_dir(&runs).unwrap().count(), 2);
    // And end with it.
    let none = ["--resume", text(&model), "--steps", "1", "--augment", "none"];
    let none = json_of(&[&source[..], &none, &out].concat());
    assert_eq!(none["settings"]["augment"], json!(null));
    let again = ["--resume", text(&model), "--steps", "1"];
    let again = json_of(&[&source[..], &again, &out].concat());
    assert_eq!(again["settings"]["augment"], json!(null));

    let report = run(&[&source[..], &network, &changed, &["--epochs", "1"]].concat());
    assert_one_line(&report, 2, &["--steps", "--epochs"]);
    let report = run(&[&source[..], &network, &changed].concat());
    let report = String::from_utf8(report.stdout).unwrap();
    for part in [
        "augment crop 2, flip, cutout 3",
        "12 steps of batches of 8 rows",
        "a training step of 8 rows takes",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    for (more, code, parts) in [
        (
            &["--model", "small_cnn", "--augment", "turn"][..],
            2,
            &["--augment is turn", "crop,flip"][..],
        ),
        (&["--model", "small_cnn", "--augment", "crop=6"], 1, &["crop is 6", "0 to 5"]),
        (&["--loss", "cross_entropy", "--augment", "flip"], 2, &["--augment", "dense"]),
        (&["--model", "small_cnn", "--steps", "0"], 2, &["--steps is 0"]),
    ] {
        let output = run(&[&source[..], more].concat());
        let message = stderr(&output).lines().last().unwrap_or_default().to_string();
        assert_eq!(output.status.code(), Some(code), "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    }
    let taken = file(&folder, "taken", b"a file");
    let output = run(&[&source[..], &network, &["--tensorboard", text(&taken)]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--tensorboard"), "{}", stderr(&output));
    assert!(stderr(&output).contains("it is a file"), "{}", stderr(&output));
}

#[test]
fn a_text_begins_at_other_places_in_each_epoch() {
    let folder = TempDir::new().unwrap();
    let content: String =
        (0..900).map(|place| char::from(b'a' + (place * place % 26) as u8)).collect();
    let words = file(&folder, "words.txt", content.as_bytes());
    let small =
        ["--context", "8", "--layers", "1", "--heads", "2", "--width", "8", "--batch-size", "8"];
    let train = ["train", "--text", text(&words), "--device", "cpu", "--json", "--step-losses"];
    // At a learning rate of 0 the loss depends on the rows alone: each epoch has others.
    let still = [&train[..], &small, &["--learning-rate", "0", "--epochs", "4"]].concat();
    let losses = numbers(&json_of(&still)["history"]["loss"]);
    let differ = |one: f64, other: f64| (one - other).abs() > 1e-9;
    assert!(losses.windows(2).all(|pair| differ(pair[0], pair[1])), "{losses:?}");
    assert_eq!(numbers(&json_of(&still)["history"]["loss"]), losses);
    let seeded = [&still[..], &["--seed", "3"]].concat();
    assert_ne!(numbers(&json_of(&seeded)["history"]["loss"]), losses);
    // A byte order mark is none of the characters.
    let marked = file(&folder, "marked.txt", format!("\u{feff}{content}").as_bytes());
    let marked: Vec<&str> =
        still.iter().map(|&word| if word == text(&words) { text(&marked) } else { word }).collect();
    assert_eq!(numbers(&json_of(&marked)["history"]["loss"]), losses);

    // Two epochs, and two more from the file, are four.
    let model = folder.path().join("gpt.safetensors");
    let out = ["--out", text(&model)];
    let whole = json_of(&[&train[..], &small, &["--epochs", "4"]].concat());
    json_of(&[&train[..], &small, &["--epochs", "2"], &out].concat());
    let resumed =
        json_of(&[&train[..], &["--resume", text(&model), "--epochs", "2"], &out].concat());
    assert_eq!(resumed["history"]["loss"], whole["history"]["loss"]);
    // 810 characters: 100 sequences, 13 batches an epoch.
    let steps = json_of(&[&train[..], &small, &["--steps", "15"]].concat());
    assert_eq!(numbers(&steps["step_losses"]), numbers(&whole["step_losses"])[..15]);
}
