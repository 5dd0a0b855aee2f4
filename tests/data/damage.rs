//! Damaged files are rejected with name and position; no reader panics or allocates memory for
//! sizes that are only claimed.
#![cfg(feature = "data")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use gradus::Error;
use gradus::data::{self, ReadOptions};
use proptest::prelude::*;

fn content(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Selects the reader by the file extension.
fn read(path: &Path) -> Result<(), Error> {
    if path.extension().is_some_and(|extension| extension == "idx") {
        let idx = data::read_idx(path)?;
        idx.features()?;
        return if idx.shape().len() == 1 { idx.labels().map(drop) } else { Ok(()) };
    }
    data::read(path, &ReadOptions::default()).map(drop)
}

/// Writes `bytes` to a file of that name and reads it.
fn outcome(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// Asserts that the file reads completely, and is rejected with its name and a position when
/// truncated at many offsets.
fn refused_when_cut_off(name: &str, bytes: &[u8], step: usize) {
    let folder = tempfile::tempdir().unwrap();
    outcome(folder.path(), name, bytes).unwrap();
    for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        match outcome(folder.path(), name, &bytes[..length]) {
            Err(Error::Data { path, position, .. }) => {
                assert!(path.ends_with(name), "{path:?}");
                assert!(
                    position.starts_with("byte ") || position.starts_with("line "),
                    "{length}: {position}"
                );
            }
            other => panic!("{name} cut off at {length}: {other:?}"),
        }
    }
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let labels = content("data/fashion-mnist-12k/t10k-labels-idx1-ubyte.gz");
    refused_when_cut_off("labels.idx", &labels, 7);
    refused_when_cut_off("labels.idx", &decompressed(&labels), 3);
    let images = content("data/fashion-mnist-12k/t10k-images-idx3-ubyte.gz");
    refused_when_cut_off("images.idx", &images, 30_011);
    refused_when_cut_off("images.idx", &decompressed(&images), 50_021);
    refused_when_cut_off("digits.csv", &content("data/digits/digits.csv.gz"), 997);
    for name in
        ["column_f8.npy", "big_endian_f64.npy", "fortran_i16.npy", "stored.npz", "deflated.npz"]
    {
        refused_when_cut_off(name, &content(&format!("tests/numpy/{name}")), 1);
    }
}

#[test]
fn a_file_that_goes_on_is_refused_where_it_should_end() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, end) in [
        ("labels.idx", vec![0, 0, 8, 1, 0, 0, 0, 2, 1, 0], 10),
        ("column_f8.npy", content("tests/numpy/column_f8.npy"), 152),
    ] {
        let longer = [&bytes[..], &[0]].concat();
        let found = outcome(folder.path(), name, &longer).unwrap_err().to_string();
        assert!(
            found.ends_with(&format!("at byte {end}: more data; expected the end of the file")),
            "{found}"
        );
        let found = outcome(folder.path(), name, &compressed(&longer)).unwrap_err().to_string();
        assert!(
            found.contains(&format!("at byte {end} of the decompressed data: more data")),
            "{found}"
        );
    }
}

/// The claimed sizes are 2⁹⁶, 4·10¹⁸ or 4·10⁹ bytes; the last would be possible after decompression
/// of a larger file.
#[test]
fn sizes_that_cannot_be_there_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let idx = [&[0, 0, 8, 3][..], &[255; 12], &[0; 100]].concat();
    let all = [&[0, 0, 8, 255][..], &[255; 4 * 255]].concat();
    let array = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        [
            b"\x93NUMPY\x01\x00",
            &(header.len() as u16).to_le_bytes()[..],
            header.as_bytes(),
            &[0; 64],
        ]
        .concat()
    };
    let header = [&b"\x93NUMPY\x02\x00"[..], &[255; 4], b"{}"].concat();
    for (name, bytes) in [
        ("a.idx", idx),
        ("b.idx", all),
        ("c.npy", array("(1000000000000000000,)")),
        ("d.npy", array("(1000, 1000, 1000)")),
        ("e.npy", array("(99999999999999999999, 99999999999999999999)")),
        ("f.npy", array(&format!("({}2)", "4294967295, ".repeat(100)))),
        ("g.npy", header),
    ] {
        for bytes in [compressed(&bytes), bytes] {
            let found = outcome(folder.path(), name, &bytes).unwrap_err();
            assert!(
                matches!(&found, Error::Data { position, .. } if position.starts_with("byte ")),
                "{name}: {found}"
            );
        }
    }
    // No rows, no columns, and a number without an axis.
    for shape in ["(0,)", "(0, 3)", "(3, 0)", "()"] {
        let found = outcome(folder.path(), "n.npy", &array(shape)).unwrap_err().to_string();
        assert!(found.contains("at least one row and one column"), "{shape}: {found}");
    }
    let nested = array(&"(".repeat(60_000));
    assert!(
        outcome(folder.path(), "h.npy", &nested)
            .unwrap_err()
            .to_string()
            .contains("expected a size")
    );
}

/// A `.npy` file of numbers in two columns.
fn array_of(numbers: &[f32]) -> Vec<u8> {
    let shape = format!("({}, 2)", numbers.len() / 2);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let values: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &values]
        .concat()
}

#[test]
fn a_number_that_is_not_finite_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (bad, report) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let numbers = [0.0, 1.0, 2.0, bad];
        let big: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let idx = [&[0, 0, 0x0d, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &big].concat();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&array_of(&numbers)).unwrap();
        let npz = zip.finish().unwrap().into_inner();
        for (name, bytes) in [("a.npy", array_of(&numbers)), ("b.npz", npz), ("c.idx", idx)] {
            let found = outcome(folder.path(), name, &bytes).unwrap_err().to_string();
            assert!(found.contains(name) && found.contains("row 1, column 1"), "{found}");
            assert!(found.contains(&format!(": {report};")) && found.contains("finite"), "{found}");
        }
        // The same for targets.
        std::fs::write(folder.path().join("x.npy"), array_of(&[0.0, 1.0, 2.0, 3.0])).unwrap();
        std::fs::write(folder.path().join("y.npy"), array_of(&numbers)).unwrap();
        let found = read(&folder.path().join("x.npy")).unwrap_err().to_string();
        assert!(found.contains("y.npy") && found.contains(report), "{found}");
    }
}

#[test]
fn a_damaged_gzip_stream_is_reported_by_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    for (name, plain) in [("a.csv", &b"1,2\n3,4\n"[..]), ("b.idx", &[0, 0, 8, 1, 0, 0, 0, 2, 1, 0])]
    {
        let mut bytes = compressed(plain);
        outcome(folder.path(), name, &bytes).unwrap();
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        let found = outcome(folder.path(), name, &bytes).unwrap_err().to_string();
        assert!(
            found.contains(&format!(
                "at byte {} of the decompressed data: a damaged gzip",
                plain.len()
            )),
            "{found}"
        );
    }
}

/// File prefixes that get deeper into a reader than random bytes.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let npy =
        b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', 'fortran_order': True, 'shape': (".to_vec();
    let idx = vec![0, 0, 8, 1, 0, 0, 0];
    prop::sample::select(vec![
        vec![],
        npy,
        idx,
        vec![0x1f, 0x8b, 8, 0],
        b"a,b\n1,".to_vec(),
        b"PK\x03\x04".to_vec(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(start in beginnings(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [start, rest].concat();
        for name in ["x.idx", "x.csv", "x.npy", "x.npz"] {
            // Rejected or, by chance, read: both are fine; a message must be one line.
            if let Err(error) = outcome(folder.path(), name, &bytes) {
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn no_changed_byte_makes_a_reader_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["big_endian_f64.npy", "fortran_i16.npy", "structured.npy", "stored.npz", "deflated.npz"] {
            let mut bytes = content(&format!("tests/numpy/{name}"));
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let _ = outcome(folder.path(), name, &bytes);
        }
    }
}

#[test]
fn what_expands_without_measure_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    // 64 MiB of one letter are 64 KiB of gzip; 1 MiB passes.
    let mut table = b"x,y\n".to_vec();
    table.extend(b"1,2\n".repeat(1 << 18));
    outcome(folder.path(), "modest.csv.gz", &compressed(&table)).unwrap();
    table.extend(b"1,2\n".repeat(1 << 24));
    let bomb = compressed(&table);
    let error = outcome(folder.path(), "bomb.csv.gz", &bomb).unwrap_err().to_string();
    assert!(
        error.contains("expands to more than 100 times the file's size") && error.contains("line "),
        "{error}"
    );
    let zeros = vec![0; 80 << 20];
    let archive = |claim: Option<u32>| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&zeros).unwrap();
        let mut bytes = writer.finish().unwrap().into_inner();
        if let Some(claim) = claim {
            // The uncompressed size, after the signatures of the entry and of its directory record.
            for (signature, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
                let place = bytes.windows(4).position(|found| found == signature).unwrap() + offset;
                bytes[place..place + 4].copy_from_slice(&claim.to_le_bytes());
            }
        }
        bytes
    };
    let error = outcome(folder.path(), "bomb.npz", &archive(None)).unwrap_err().to_string();
    assert!(error.contains("a claim of 83886080 bytes"), "{error}");
    let error = outcome(folder.path(), "liar.npz", &archive(Some(1000))).unwrap_err().to_string();
    assert!(error.contains("more bytes than the 1000 that the archive claims"), "{error}");
}

#[test]
fn numbers_beyond_f32_are_named_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 1), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    [1.0_f64, -1e300, 2.0].iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    let error = outcome(folder.path(), "x.npy", &bytes).unwrap_err().to_string();
    assert!(error.contains("at element 1: -1e300; expected a number within f32"), "{error}");
}
