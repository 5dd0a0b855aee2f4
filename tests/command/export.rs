//! `gradus export`: files of other programs.

use tempfile::TempDir;

use crate::{DIGITS, assert_one_line, run, stderr, text};

#[test]
fn a_saved_model_is_exported_whole() {
    let folder = TempDir::new().unwrap();
    let [model, onnx, weights] =
        ["m.safetensors", "m.onnx", "w.safetensors"].map(|name| folder.path().join(name));
    let train = ["train", "--data", "data/passengers.csv", "--target", "survived"];
    let options = ["--loss", "cross_entropy", "--hidden", "8", "--epochs", "1", "--device", "cpu"];
    let trained = run(&[&train, &options[..], &["--out", text(&model)]].concat());
    assert_eq!(trained.status.code(), Some(0), "{}", stderr(&trained));
    let asked = ["export", text(&model), "--onnx", text(&onnx), "--weights", text(&weights)];
    let found = run(&asked);
    assert_eq!(found.status.code(), Some(0), "{}", stderr(&found));
    assert!(stderr(&found).contains("encoded columns"), "{}", stderr(&found));
    let bytes = std::fs::read(&onnx).unwrap();
    let has = |word: &str| bytes.windows(word.len()).any(|found| found == word.as_bytes());
    // The layers, the classes' names and those of the encoded columns.
    for word in ["Gemm", "Relu", "layers.0.weight", "ArgMax", "label", "embarked"] {
        assert!(has(word), "{word}");
    }
    assert!(std::fs::metadata(&weights).unwrap().len() > 100);
    run(&asked);
    assert_eq!(std::fs::read(&onnx).unwrap(), bytes, "the same model, other bytes");
}

#[test]
fn what_cannot_be_exported_is_one_line() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("m.safetensors");
    let data = ["train", "--data", DIGITS, "--target", "64"];
    let network = ["--loss", "cross_entropy", "--hidden", "4", "--epochs", "1"];
    let train = [&data[..], &network, &["--device", "cpu", "--out", text(&model)]].concat();
    assert_eq!(run(&train).status.code(), Some(0));
    let nowhere = folder.path().join("nowhere").join("m.onnx");
    let model = text(&model);
    for (arguments, code, word) in [
        (vec!["export", model], 2, "--onnx"),
        (vec!["export", model, "--onnx", text(&nowhere)], 1, "nowhere"),
        (vec!["export", model, "--onnx", model], 1, "MODEL"),
        (vec!["export", "missing.safetensors", "--onnx", "x.onnx"], 1, "missing.safetensors"),
    ] {
        assert_one_line(&run(&arguments), code, &[word]);
    }
    assert!(!std::path::Path::new("x.onnx").exists());
}
