//! Array files: integers are quantities for a regression loss and classes for a classification
//! loss, as in tables.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{IMAGES, file, json_of, text};

/// A version-1 `.npy` file with the numbers' memory bytes.
fn npy(folder: &TempDir, name: &str, descr: &str, shape: &str, numbers: &[u8]) -> PathBuf {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    header += &" ".repeat((64 - (10 + header.len() + 1) % 64) % 64);
    header.push('\n');
    let size = u16::try_from(header.len()).unwrap().to_le_bytes();
    file(folder, name, &[b"\x93NUMPY\x01\x00", &size[..], header.as_bytes(), numbers].concat())
}

/// Counts of 0 to 40 determined by two features.
fn counts(folder: &TempDir) -> PathBuf {
    const ROWS: usize = 400;
    let features: Vec<[f32; 2]> =
        (0..ROWS).map(|row| [(row % 21) as f32, (row * 7 % 20) as f32]).collect();
    let counts: Vec<i64> = features.iter().map(|[a, b]| (a + b) as i64).collect();
    let bytes: Vec<u8> = features.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let path = npy(folder, "x.npy", "<f4", &format!("{ROWS}, 2"), &bytes);
    let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    npy(folder, "y.npy", "<i8", &format!("{ROWS},"), &bytes);
    path
}

fn trained(data: &Path, loss: &str, more: &[&str]) -> Value {
    let arguments = [
        "train",
        "--data",
        text(data),
        "--loss",
        loss,
        "--device",
        "cpu",
        "--json",
        "--epochs",
        "30",
    ];
    json_of(&[&arguments[..], more].concat())
}

#[test]
fn whole_numbers_are_quantities_to_a_loss_of_numbers() {
    let folder = TempDir::new().unwrap();
    let (data, model) = (counts(&folder), folder.path().join("m.safetensors"));
    for loss in ["mse", "huber", "poisson_nll"] {
        let found = trained(&data, loss, &["--out", text(&model)]);
        assert_eq!(
            (&found["settings"]["predicts"], &found["settings"]["outputs"]),
            (&"numbers".into(), &1.into()),
            "{loss}"
        );
        assert!(
            found["validation"]["r2"].as_f64().unwrap() > 0.5,
            "{loss}: {}",
            found["validation"]
        );
        // The saved model evaluates the same file in the same unit.
        let evaluated = json_of(&[
            "evaluate",
            text(&model),
            "--data",
            text(&data),
            "--device",
            "cpu",
            "--json",
        ]);
        assert!(
            evaluated["r2"].as_f64().unwrap() > 0.5 && evaluated["mae"].as_f64().unwrap() < 5.0,
            "{loss}: {evaluated}"
        );
    }
    let found = trained(&data, "cross_entropy", &[]);
    assert_eq!(
        (&found["settings"]["predicts"], &found["settings"]["outputs"]),
        (&"classes".into(), &40.into())
    );
}

#[test]
fn labels_of_images_are_classes_to_any_loss() {
    let arguments =
        ["train", "--data", IMAGES, "--loss", "mse", "--device", "cpu", "--json", "--epochs", "1"];
    let found = json_of(&[&arguments[..], &["--hidden", "10", "--batch-size", "512"]].concat());
    assert_eq!(
        (&found["settings"]["predicts"], &found["settings"]["outputs"]),
        (&"classes".into(), &10.into())
    );
}
