//! Bad usage and bad data: one line each; exit code 2 for errors in the command line itself, 1 for
//! all others.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::{DIGITS, assert_one_line, file, gradus, run, stderr, text};

#[test]
fn bad_usage_ends_with_2_and_one_line() {
    let train = |more: &[&'static str]| {
        run(&[&["train", "--data", DIGITS, "--target", "64"], more].concat())
    };
    assert_one_line(
        &train(&["--loss", "hubber"]),
        2,
        &["--loss", "unknown loss `hubber`", "did you mean `huber`?", "`gradus losses`"],
    );
    assert_one_line(
        &train(&["--loss", "huber", "--set", "delta=-1"]),
        2,
        &["--set", "huber", "delta is -1", "> 0"],
    );
    assert_one_line(&train(&["--loss", "huber", "--set", "delta"]), 2, &["NAME=VALUE"]);
    assert_one_line(
        &train(&["--loss", "mse", "--optimizer", "adma"]),
        2,
        &["unknown optimizer `adma`", "did you mean `adam`?", "`gradus losses`"],
    );
    assert_one_line(
        &train(&["--loss", "mse", "--activation", "rleu"]),
        2,
        &["unknown activation `rleu`", "did you mean `relu`?", "`gradus losses`"],
    );
    assert_one_line(
        &train(&["--loss", "mse", "--hidden", "12,x"]),
        2,
        &["--hidden", "12,x", "128,64"],
    );
    assert_one_line(
        &train(&["--loss", "mse", "--validation", "1"]),
        2,
        &["--validation is 1", "[0, 1)"],
    );
    assert_one_line(
        &train(&["--loss", "mse", "--epochs", "0"]),
        2,
        &["--epochs is 0", "a whole number from 1"],
    );
    assert_one_line(
        &train(&["--loss", "mse", "--learning-rate", "-1"]),
        2,
        &["--learning-rate is -1", ">= 0"],
    );
    assert_one_line(&train(&["--loss", "mse", "--l1", "-1"]), 2, &["--l1 is -1", ">= 0"]);
    assert_one_line(
        &train(&["--loss", "mse", "--resume", "m", "--hidden", "3"]),
        2,
        &["--resume", "--hidden"],
    );
    let mse = |more: &[&'static str]| train(&[&["--loss", "mse"], more].concat());
    assert_one_line(&mse(&["--epochs", "-3"]), 2, &["--epochs is -3", "a whole number from 1"]);
    assert_one_line(
        &mse(&["--batch-size", "many"]),
        2,
        &["--batch-size is many", "a whole number from 1"],
    );
    assert_one_line(&mse(&["--patience", "-1"]), 2, &["--patience is -1", "from 0"]);
    assert_one_line(&mse(&["--average", "1"]), 2, &["--average is 1", "[0, 1)"]);
    assert_one_line(&mse(&["--clip-norm", "0"]), 2, &["--clip-norm is 0", "> 0"]);
    assert_one_line(&mse(&["--l2", "NaN"]), 2, &["--l2 is NaN", ">= 0"]);
    assert_one_line(&mse(&["--seed", "-7"]), 2, &["--seed is -7", "from 0"]);
    assert_one_line(&mse(&["--validation", "half"]), 2, &["--validation is half", "[0, 1)"]);
    assert_one_line(
        &mse(&["--schedule", "cosin"]),
        2,
        &["--schedule", "`cosin`", "did you mean `cosine`?"],
    );
    let options = [
        "--optimizer-set",
        "adam",
        "unknown option of adam `beta3`",
        "beta1",
        "`gradus losses adam`",
    ];
    assert_one_line(&mse(&["--optimizer-set", "beta3=0.5"]), 2, &options);
    assert_one_line(
        &train(&["--loss", "adam"]),
        2,
        &["unknown loss `adam`", "`adam` is an optimizer"],
    );
    assert_one_line(&train(&["--loss", "CrossEntropyLoss"]), 2, &["did you mean `cross_entropy`?"]);
    let unlike = train(&["--loss", "xyzzy"]);
    assert_one_line(&unlike, 2, &["unknown loss `xyzzy`", "`gradus losses` lists"]);
    assert!(stderr(&unlike).len() < 100 && !stderr(&unlike).contains("did you mean"));
    // The same with a saved model, whose file is not even looked up.
    let resumed = run(&["train", "--data", DIGITS, "--resume", "none", "--learning-rate", "-1"]);
    assert_one_line(&resumed, 2, &["--learning-rate is -1"]);
    assert_one_line(&train(&["--loss", "kl_div"]), 2, &["kl_div", "allowed:", "cross_entropy"]);
    assert_one_line(&train(&[]), 2, &["--loss"]);
    assert_one_line(&run(&["losses", "hubber"]), 2, &["`hubber`", "did you mean `huber`?"]);
    assert_one_line(&run(&["devices", "--jsn"]), 2, &["--jsn"]);
    assert_one_line(
        &run(&["eval", "x.json", "--device", "tpu"]),
        2,
        &["tpu", "auto, gpu, cpu, reference"],
    );
    assert_one_line(&run(&["evil"]), 2, &["evil", "eval"]);
    assert_one_line(&run(&[]), 2, &["a command is needed", "demo"]);
}

#[test]
fn bad_data_ends_with_1_and_one_line() {
    let folder = TempDir::new().unwrap();
    let broken = file(&folder, "broken.csv", b"a,b\n1,2\n3,inf\n4,5\n6,7\n8,9\n10,11\n");
    let train = |data: &Path, target: &str| {
        run(&[
            "train",
            "--data",
            text(data),
            "--target",
            target,
            "--loss",
            "mse",
            "--device",
            "cpu",
        ])
    };
    assert_one_line(
        &train(&broken, "a"),
        1,
        &["--data", "broken.csv", "line 3", "column `b`", "inf"],
    );
    assert_one_line(&train(&broken, "c"), 1, &["--target", "`c`", "a, b"]);
    assert_one_line(&train(Path::new("/nonexistent.csv"), "a"), 1, &["--data", "/nonexistent.csv"]);
    let with = |more: &[&'static str]| {
        let arguments =
            ["train", "--data", DIGITS, "--target", "64", "--loss", "mse", "--device", "cpu"];
        run(&[&arguments[..], more].concat())
    };
    assert_one_line(&with(&["--test", "none.csv"]), 1, &["--test", "none.csv"]);
    assert_one_line(
        &with(&["--groups", "none.query"]),
        1,
        &["--groups", "digits.csv.gz", "SVMlight"],
    );
    let two = file(&folder, "two.csv", b"a,b\n1,2\n3,4\n");
    assert_one_line(
        &train(&two, "a"),
        1,
        &["--validation is 0.1", "there are 2", "0 validates on nothing"],
    );
    let resumed =
        run(&["train", "--data", DIGITS, "--target", "64", "--resume", "none", "--device", "cpu"]);
    assert!(
        stderr(&resumed).lines().last().unwrap().starts_with("error: --resume: none:"),
        "{}",
        stderr(&resumed)
    );
    assert_one_line(&run(&["predict", "none", "--data", DIGITS]), 1, &["MODEL", "none"]);
    assert_one_line(&run(&["train", "--data", DIGITS, "--loss", "mse"]), 1, &["--target"]);

    // An IDX file whose last byte is missing.
    let mut images = b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02".to_vec();
    images.extend([0; 7]);
    file(&folder, "train-images-idx3-ubyte", &images);
    file(&folder, "train-labels-idx1-ubyte", b"\x00\x00\x08\x01\x00\x00\x00\x02\x00\x01");
    let output = run(&["train", "--data", text(folder.path()), "--loss", "mse"]);
    assert_one_line(&output, 1, &["train-images-idx3-ubyte", "byte", "expected"]);

    let noise = file(&folder, "noise.safetensors", b"no model");
    let output =
        run(&["predict", text(&noise), "--data", DIGITS, "--target", "64", "--device", "cpu"]);
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
        assert_one_line(
            &without(arguments),
            1,
            &["no GPU adapter", "Vulkan", "found none", "install", "`cpu`"],
        );
    }
    let devices = without(&["devices"]);
    assert_eq!(devices.status.code(), Some(0));
    assert!(String::from_utf8(devices.stdout).unwrap().contains("install"));
    assert_eq!(without(&["eval", text(&path)]).status.code(), Some(0));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = gradus(&["losses", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

/// Output of `gradus losses NAME --wgsl`.
fn program_of(arguments: &[&str]) -> String {
    let output = run(&[&["losses", "--wgsl"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_program_that_computes_an_entry_is_printed_with_the_places_of_its_parts() {
    for (name, parts) in [
        (
            "huber",
            &[
                "shaders/templates/pointwise/pointwise.wgsl, line",
                "shaders/losses/huber.wgsl, line",
            ][..],
        ),
        (
            "poly1_cross_entropy",
            &[
                "shaders/templates/rowwise/softmax_target.wgsl, line",
                "fn poly1_cross_entropy_loss(",
            ],
        ),
        ("gelu", &["shaders/activations/gelu.wgsl, line", "fn gelu_derivative("]),
        ("softmax", &["shaders/ops/softmax/softmax_forward.wgsl, line"]),
        (
            "adam",
            &[
                "shaders/optimizers/adam.wgsl, line",
                "return adam_update(parameter, gradient, state, step);",
            ],
        ),
        ("lamb", &["shaders/optimizers/lamb.wgsl, line"]),
    ] {
        let text = program_of(&[name]);
        let parsed = naga::front::wgsl::parse_str(&text);
        assert_eq!(
            parsed
                .map(|module| module.entry_points.len())
                .map_err(|error| error.emit_to_string(&text)),
            Ok(1)
        );
        for part in parts {
            assert!(text.contains(part), "{name}: `{part}` is not in\n{text}");
        }
    }
    let first = program_of(&["huber"]);
    assert!(
        first.starts_with("// huber (templates/pointwise/pointwise.wgsl): program 0 of "),
        "{first}"
    );
    assert!(first.contains("\n// overrides: ") && first.contains("HUBER_DELTA = 1"), "{first}");
    assert_ne!(program_of(&["huber", "--template-variant", "1"]), first);
}

#[test]
fn a_program_that_is_not_there_is_refused_with_what_there_is() {
    let refused = |arguments: &[&str], words: &[&str]| {
        assert_one_line(&run(&[&["losses", "--wgsl"], arguments].concat()), 2, words);
    };
    refused(&["hubber"], &["unknown name `hubber`", "did you mean `huber`?"]);
    refused(&["cosine"], &["`cosine` is a schedule", "activations"]);
    refused(
        &["huber", "--template-variant", "1000"],
        &["--template-variant is 1000", "it must be from 0 to "],
    );
    refused(&["huber", "--json"], &["--json"]);
    refused(&[], &["NAME"]);
}
