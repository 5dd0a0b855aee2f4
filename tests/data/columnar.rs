//! Parquet and Arrow IPC: files from pyarrow (`columnar/make.py`) give the same columns for every
//! encoding and compression; a build without the feature names the missing one.
#![cfg(feature = "data")]

use std::path::{Path, PathBuf};

use gradus::data::{self, Table, TableOptions};

const FILES: [&str; 6] =
    ["snappy.parquet", "zstd.pq", "gzip.parquet", "lz4.feather", "zstd.feather", "plain.arrow"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/columnar").join(name)
}

fn read(path: &Path) -> gradus::Result<Table> {
    Table::read(path, &TableOptions::default())
}

#[test]
fn columnar_files_are_tables_by_name_and_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("no-ending");
    for name in FILES {
        assert!(data::is_table(fixture(name)) && data::is_columnar(fixture(name)), "{name}");
        std::fs::copy(fixture(name), &copy).unwrap();
        assert!(data::is_table(&copy), "{name}");
    }
    std::fs::write(&copy, "a,b\n1,2\n").unwrap();
    assert!(!data::is_columnar(&copy));
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_the_feature_says_which_one_it_lacks() {
    for name in FILES {
        for error in [
            read(&fixture(name)).unwrap_err(),
            data::read(fixture(name), &data::ReadOptions::default().target("price")).unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(
                message.contains("`parquet`") && message.contains(name) && !message.contains('\n'),
                "{message}"
            );
        }
    }
    assert!(
        read(Path::new("nowhere.parquet")).unwrap_err().to_string().contains("nowhere.parquet")
    );
}

#[cfg(feature = "parquet")]
mod with_the_feature {
    use gradus::data::{
        Blocks, Cells, Encoding, EncodingOptions, LargeSplit, LargeTable, TargetKind, table_bytes,
    };

    use super::*;

    fn texts(table: &Table, column: &str) -> Vec<String> {
        let column = table.column(column).unwrap();
        (0..table.rows())
            .map(|row| column.text(row).map_or("(blank)".into(), |text| text.into_owned()))
            .collect()
    }

    #[test]
    fn each_type_becomes_numbers_or_words() {
        for name in FILES {
            let table = read(&fixture(name)).unwrap();
            assert_eq!(
                (table.rows(), table.columns().len(), table.has_header()),
                (12, 10, true),
                "{name}"
            );
            assert_eq!(texts(&table, "rooms")[..4], ["3", "(blank)", "5", "4"], "{name}");
            assert_eq!(texts(&table, "area")[3..6], ["4.5", "(blank)", "7.5"]);
            assert_eq!(texts(&table, "half")[3], "0.375");
            assert_eq!(texts(&table, "id")[2], "1234567890123456791");
            assert_eq!(texts(&table, "ocean")[..4], ["near", "far", "(blank)", "near"]);
            assert_eq!(texts(&table, "town")[..4], ["Bonn", "Ulm", "Kiel", "(blank)"]);
            assert_eq!(texts(&table, "new")[..4], ["True", "False", "(blank)", "True"]);
            // Seconds since 1970: 2026-01-02.
            assert_eq!(texts(&table, "sold")[1], "1767312000");
            assert_eq!(texts(&table, "at")[1], "1600000001.5");
            assert_eq!(texts(&table, "price")[11], "1107");
            let is_words =
                |column: &str| matches!(table.column(column).unwrap().cells(), Cells::Words { .. });
            assert!(is_words("ocean") && is_words("new") && !is_words("id"));
            assert!(table.notes()[0].contains("`tags` is left out"), "{:?}", table.notes());
        }
    }

    #[test]
    fn columnar_files_are_encoded_as_tables_of_text_are() {
        let table = read(&fixture("snappy.parquet")).unwrap();
        let options = EncodingOptions::default().target("price").kind(TargetKind::Standardized);
        let encoding = Encoding::fit(&table, &(0..10).collect::<Vec<_>>(), &options).unwrap();
        let names = encoding.names();
        for name in
            ["rooms", "rooms is blank", "ocean=far", "ocean=near", "new", "new is blank", "at"]
        {
            assert!(names.iter().any(|found| found == name), "{names:?}");
        }
        assert!(encoding.apply(&table).unwrap().features.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn pieces_are_encoded_as_the_whole_is() {
        for name in FILES {
            let whole = read(&fixture(name)).unwrap();
            let options = EncodingOptions::default().target("area").kind(TargetKind::Standardized);
            // The area in row 4 is blank.
            let rows: Vec<usize> = (0..12).filter(|row| *row != 4).collect();
            let large = LargeTable::open(fixture(name), &TableOptions::default(), &["area".into()])
                .unwrap();
            assert_eq!(
                (large.rows(), large.rows_with_targets(), large.is_seekable()),
                (12, 11, true),
                "{name}"
            );
            assert_eq!(large.notes(), whole.notes());
            let split = LargeSplit::new(large, 7, 0.0).unwrap();
            let pieces = split.table().pieces().unwrap().count();
            assert_eq!(
                pieces,
                if ["snappy.parquet", "plain.arrow"].contains(&name) { 3 } else { 1 },
                "{name}"
            );
            let encoding = split.fit(&options).unwrap();
            assert_eq!(encoding, Encoding::fit(&whole, &rows, &options).unwrap(), "{name}");
            let found: Vec<_> = split
                .all(&encoding)
                .epoch(0)
                .unwrap()
                .map(|block| block.unwrap().features)
                .collect();
            assert_eq!(found, [encoding.features(&whole, &rows).unwrap()], "{name}");
            assert_eq!(
                table_bytes(fixture(name), &TableOptions::default()).unwrap(),
                Some(12 * 10 * 16)
            );
        }
    }

    #[test]
    fn damaged_files_give_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        for name in FILES {
            let bytes = std::fs::read(fixture(name)).unwrap();
            for length in [4, 7, 20, bytes.len() / 2, bytes.len() - 1] {
                let path = folder.path().join(name);
                std::fs::write(&path, &bytes[..length]).unwrap();
                let message = read(&path).unwrap_err().to_string();
                assert!(message.contains(name) && !message.contains('\n'), "{message}");
            }
        }
    }
}
