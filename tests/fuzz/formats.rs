//! The readers, each with a small corpus, edits that get deep into it, and a check of its result.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gradus::data::{self, ReadOptions};
use gradus::{Device, cases};
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::corpus;
use crate::mutate::Mutator;

/// Outcome of a reader: a valid result, or a message.
type Said = Result<(), String>;

pub struct Format {
    /// The name of the file, which selects the reader.
    pub file: &'static str,
    pub corpus: Vec<Vec<u8>>,
    /// Edits bytes of the corpus; the whole corpus is available.
    pub edit: fn(&mut Mutator, &mut Vec<u8>, &[Vec<u8>]),
    /// Reads the file; the number varies the options.
    pub read: fn(&Path, usize) -> Said,
}

/// All formats that users' files are read in.
pub fn all() -> Vec<Format> {
    let numpy = [
        "column_f8.npy",
        "big_endian_f64.npy",
        "fortran_i16.npy",
        "cube_u8.npy",
        "structured.npy",
        "x.npy",
    ];
    vec![
        Format { file: "f.idx", corpus: corpus::idx(), edit: idx, read: read_idx },
        Format { file: "f.csv", corpus: corpus::csv(), edit: text, read: read_csv },
        Format {
            file: "f.npy",
            corpus: numpy.map(corpus::numpy).into(),
            edit: npy,
            read: read_data,
        },
        Format {
            file: "f.npz",
            corpus: ["stored.npz", "deflated.npz"].map(corpus::numpy).into(),
            edit: npz,
            read: read_data,
        },
        Format { file: "f.svm", corpus: corpus::svmlight(), edit: text, read: read_svmlight },
        Format { file: "f.ratings", corpus: corpus::ratings(), edit: text, read: read_ratings },
        Format { file: "f.model", corpus: corpus::models(), edit: safetensors, read: read_model },
        Format {
            file: "f.recommender",
            corpus: corpus::recommenders(),
            edit: safetensors,
            read: read_recommender,
        },
        Format { file: "f.json", corpus: corpus::cases(), edit: eval_cases, read: answer_cases },
    ]
}

fn said<T>(outcome: gradus::Result<T>) -> Said {
    outcome.map(drop).map_err(|error| error.to_string())
}

fn read_idx(path: &Path, _: usize) -> Said {
    let idx = data::read_idx(path).map_err(|error| error.to_string())?;
    let features = said(idx.features());
    said(idx.labels()).and(features)
}

fn read_data(path: &Path, _: usize) -> Said {
    said(data::read(path, &ReadOptions::default()))
}

fn read_csv(path: &Path, iteration: usize) -> Said {
    let options = ReadOptions::default();
    let options = match iteration % 4 {
        0 => options,
        1 => options.target("kind"),
        2 => options.target("price"),
        _ => options.target("0"),
    };
    said(data::read(path, &options))
}

fn read_svmlight(path: &Path, iteration: usize) -> Said {
    let options = ReadOptions::default();
    let options = match iteration % 4 {
        0 => options.zero_based(true),
        1 => options.zero_based(false),
        _ => options,
    };
    said(data::read(path, &options))
}

fn read_ratings(path: &Path, _: usize) -> Said {
    let ratings = data::read_ratings(path).map_err(|error| error.to_string())?;
    said(gradus::recommend::Interactions::from_ratings(&ratings, 3.0, false))
}

fn read_model(path: &Path, iteration: usize) -> Said {
    let device = if iteration.is_multiple_of(2) { Device::cpu() } else { Device::reference() };
    let model = gradus::Model::load(path, &device).map_err(|error| error.to_string())?;
    drop(model.summary());
    said(model.weights())
}

fn read_recommender(path: &Path, iteration: usize) -> Said {
    let device = if iteration.is_multiple_of(2) { Device::cpu() } else { Device::reference() };
    let model = gradus::recommend::Model::load(path, &device).map_err(|error| error.to_string())?;
    said(model.recommend(0, 3, true)).and_then(|()| said(model.similar_items(0, 3)))
}

fn answer_cases(path: &Path, iteration: usize) -> Said {
    let device = if iteration.is_multiple_of(4) { Device::reference() } else { Device::cpu() };
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let Ok(case) = serde_json::from_slice::<Value>(&text) else { return Ok(()) };
    match cases::answer(&case, &device).get("error") {
        Some(Value::String(message)) => Err(message.clone()),
        _ => Ok(()),
    }
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

/// Edits the content of a gzip stream and recompresses it, so that its checksum does not reject it
/// immediately.
fn within_gzip(
    m: &mut Mutator,
    bytes: &mut Vec<u8>,
    corpus: &[Vec<u8>],
    edit: fn(&mut Mutator, &mut Vec<u8>, &[Vec<u8>]),
) {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        edit(m, bytes, corpus);
        if m.chance(0.1) {
            *bytes = compressed(bytes);
        }
    } else if m.chance(0.3) {
        m.bytes(bytes, corpus);
    } else {
        let mut plain = Vec::new();
        // The readable prefix of a stream that is already damaged.
        let _ = GzDecoder::new(&bytes[..]).read_to_end(&mut plain);
        edit(m, &mut plain, corpus);
        *bytes = compressed(&plain);
    }
}

fn text(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    within_gzip(m, bytes, corpus, Mutator::text);
}

/// Types, numbers of dimensions and sizes; then, often, as many bytes as they require.
fn idx(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    within_gzip(m, bytes, corpus, |m, bytes, corpus| {
        if bytes.len() < 8 || m.chance(0.4) {
            return m.bytes(bytes, corpus);
        }
        match m.below(3) {
            0 => bytes[2] = *m.pick(&[8, 9, 0x0b, 0x0c, 0x0d, 0x0e, 0]),
            1 => bytes[3] = *m.pick(&[0, 1, 2, 3, 4, 255]),
            _ => {
                let place = 4 + 4 * m.below(usize::from(bytes[3]).min(4));
                let size = m.whole() as u32;
                bytes
                    .iter_mut()
                    .skip(place)
                    .zip(size.to_be_bytes())
                    .for_each(|(byte, new)| *byte = new);
            }
        }
        let sizes = bytes[4..].as_chunks::<4>().0.iter().take(usize::from(bytes[3]));
        let size = if bytes[2] < 0x0b { 1 } else { 1 << (bytes[2].min(0x0e) - 0x0a).div_ceil(2) };
        let count = sizes.fold(size, |count: usize, &size| {
            count.saturating_mul(u32::from_be_bytes(size) as usize)
        });
        if count < 4096 && m.chance(0.7) {
            bytes.resize(4 + 4 * usize::from(bytes[3]) + count, 1);
        }
    });
}

/// A header of random components with its own length before it, and bytes after it.
fn npy(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    within_gzip(m, bytes, corpus, |m, bytes, corpus| {
        if bytes.len() < 10 || m.chance(0.4) {
            return m.bytes(bytes, corpus);
        }
        let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let values = bytes.get(end..).unwrap_or_default().to_vec();
        let mut header = if m.chance(0.5) {
            bytes[10..end.min(bytes.len())].to_vec()
        } else {
            let kind = *m.pick(&[
                "<f4", ">f8", "|u1", "<i8", "=i2", "<f2", "|b1", "<c8", "|O", "<U3", "|S0", "",
            ]);
            let order = *m.pick(&["True", "False", "0", "None"]);
            let sizes: Vec<String> = (0..m.below(5)).map(|_| m.whole().to_string()).collect();
            let shape = if m.chance(0.5) { "3, 2".into() } else { sizes.join(", ") };
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({shape}), }}\n")
                .into_bytes()
        };
        if m.chance(0.4) {
            m.text(&mut header, corpus);
        }
        let version = *m.pick(&[1, 1, 1, 2, 3, 9]);
        let length = header.len() as u32;
        let length = if version == 1 {
            (length as u16).to_le_bytes().to_vec()
        } else {
            length.to_le_bytes().to_vec()
        };
        *bytes = [b"\x93NUMPY", &[version, 0][..], &length, &header, &values].concat();
    });
}

/// Edits an array within the archive and repacks it; otherwise edits the archive's bytes.
fn npz(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let unpacked = || {
        let mut archive = ZipArchive::new(Cursor::new(&bytes[..])).ok()?;
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).ok()?;
            let mut content = Vec::new();
            file.read_to_end(&mut content).ok()?;
            files.push((file.name().to_string(), content));
        }
        Some(files).filter(|files| !files.is_empty())
    };
    let Some(mut files) = unpacked().filter(|_| m.chance(0.7)) else {
        return m.bytes(bytes, corpus);
    };
    let which = m.below(files.len());
    match m.below(6) {
        0 => {
            files[which].0 =
                (*m.pick(&["x.npy", "y.npy", "x_train.npy", "", "../x.npy", "x_test.npy"])).into()
        }
        1 => drop(files.remove(which)),
        2 => m.bytes(&mut files[which].1, corpus),
        _ => npy(m, &mut files[which].1, corpus),
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let method =
        if m.chance(0.5) { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        // The writer rejects two entries of one name.
        if writer.start_file(name, options).is_ok() {
            writer.write_all(&content).expect("memory can be written");
        }
    }
    *bytes = writer.finish().expect("memory can be written").into_inner();
}

/// The header is JSON behind its length, and the description within it JSON again.
fn safetensors(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let length = bytes.first_chunk().map_or(0, |&length| u64::from_le_bytes(length) as usize);
    let header = bytes
        .get(8..8_usize.saturating_add(length))
        .and_then(|text| serde_json::from_slice::<Value>(text).ok());
    let Some(mut header) = header.filter(|_| m.chance(0.9)) else { return m.bytes(bytes, corpus) };
    let mut values = bytes[8 + length..].to_vec();
    for _ in 0..=m.below(3) {
        match m.below(10) {
            0 => m.bytes(&mut values, corpus),
            1 | 2 => m.json(&mut header, &["F32", "F64", "U32", "I64", "BF16", "BOOL"]),
            _ => describe(m, &mut header),
        }
    }
    let text = header.to_string().into_bytes();
    *bytes = [&(text.len() as u64).to_le_bytes()[..], &text, &values].concat();
}

/// Edits the description, stored as text in the metadata.
fn describe(m: &mut Mutator, header: &mut Value) {
    const NAMES: [&str; 16] = [
        "adam",
        "sgd",
        "muon",
        "mse",
        "cross_entropy",
        "huber",
        "relu",
        "softmax",
        "identity",
        "cosine",
        "warp",
        "bpr",
        "logistic",
        "version",
        "embedding",
        "seed",
    ];
    let metadata = header.get_mut("__metadata__").and_then(Value::as_object_mut);
    let Some(Value::String(text)) = metadata.and_then(|metadata| metadata.values_mut().next())
    else {
        return;
    };
    if m.chance(0.1) {
        let mut edited = std::mem::take(text).into_bytes();
        m.text(&mut edited, &[b"{}[]:,\"".to_vec()]);
        *text = String::from_utf8_lossy(&edited).into_owned();
    } else if let Ok(mut description) = serde_json::from_str(text) {
        m.json(&mut description, &NAMES);
        *text = description.to_string();
    }
}

/// A case with other names, shapes and numbers; occasionally text that is not JSON.
fn eval_cases(m: &mut Mutator, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    const NAMES: [&str; 22] = [
        "mse",
        "cross_entropy",
        "huber",
        "ctc",
        "dpo",
        "triplet_margin",
        "lambda_rank",
        "linear_cross_entropy",
        "sparsemax",
        "predictions",
        "targets",
        "weight",
        "mask",
        "class_weight",
        "reduction",
        "none",
        "sum",
        "divisor",
        "upstream",
        "ignore_index",
        "class_mask",
        "NaN",
    ];
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut case) if m.chance(0.95) => {
            for _ in 0..=m.below(3) {
                m.json(&mut case, &NAMES);
            }
            *bytes = case.to_string().into_bytes();
        }
        _ => m.text(bytes, corpus),
    }
}
