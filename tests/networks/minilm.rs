//! sentence-transformers/all-MiniLM-L6-v2 with its real weights, 22.7 million, against PyTorch's
//! embeddings in f64 (`minilm.json`). `tests/networks/minilm.sh` downloads the weights and says how
//! to run this.

use std::collections::BTreeMap;

use gradus::zoo::Bert;
use gradus::{Device, LoadWeights};
use ndarray::Array2;
use serde_json::Value as Json;

use crate::devices;

/// Rows of numbers.
fn rows(json: &Json) -> Vec<Vec<f64>> {
    let row = |row: &Json| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    json.as_array().unwrap().iter().map(row).collect()
}

fn cosine<'a>(a: impl IntoIterator<Item = &'a f32>, b: &[f64]) -> f64 {
    let a: Vec<f64> = a.into_iter().map(|&x| f64::from(x)).collect();
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt()
}

fn golden() -> BTreeMap<String, Json> {
    serde_json::from_str(include_str!("minilm.json")).unwrap()
}

#[test]
#[ignore = "wants GRADUS_MINILM=/path/model.safetensors: tests/networks/minilm.sh"]
fn sentence_embeddings_are_those_of_pytorch() {
    let Some(path) = std::env::var_os("GRADUS_MINILM") else {
        panic!("GRADUS_MINILM is not set: run tests/networks/minilm.sh, it says to what");
    };
    let golden = golden();
    let (ids, embeddings) = (rows(&golden["ids"]), rows(&golden["embeddings"]));
    let ids = Array2::from_shape_vec((4, 8), ids.concat()).unwrap();
    for (name, device) in devices() {
        // Slow, and what the other two are compared with elsewhere.
        if matches!(device, Device::Reference) {
            continue;
        }
        let mini_lm = Bert::new(30_522, 8).layers(6).heads(12).width(384).hidden(1536);
        let mut model = mini_lm.mean_pooling().build().on(&device).unwrap();
        assert_eq!(model.parameters(), 22_565_376);
        let options = LoadWeights::new().ignore("pooler.").ignore("embeddings.position_ids");
        model.load_weights_with(&path, &options).unwrap();
        let found = model.predict(&ids).unwrap();
        for (row, expected) in embeddings.iter().enumerate() {
            let cosine = cosine(found.row(row), expected);
            eprintln!("{name}, {}: cosine {cosine:.9}", golden["texts"][row]);
            // f32 through six blocks gives 1 − 1e-10 and so on; a wrong token far less than this.
            assert!(cosine >= 0.99999, "{name}, row {row}: {cosine}");
        }
    }
}

/// The comparison above fails for another sentence, however near.
#[test]
fn embeddings_of_different_sentences_are_no_match() {
    let embeddings = rows(&golden()["embeddings"]);
    assert_eq!(embeddings.len(), 4);
    let single = |row: &[f64]| row.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    for (number, row) in embeddings.iter().enumerate() {
        for (other, expected) in embeddings.iter().enumerate() {
            let cosine = cosine(&single(row), expected);
            assert_eq!(cosine >= 0.99999, number == other, "{number}, {other}: {cosine}");
        }
    }
}
