//! Tables read in blocks: the same rows and the same encoding as in memory.
#![cfg(feature = "data")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use gradus::data::{
    Blocks, Dataset, Encoding, EncodingOptions, LargeSplit, LargeTable, Table, TableOptions,
    Target, TargetKind, shuffled_rows,
};
use tempfile::TempDir;

const SEED: u64 = 7;
const SHARE: f64 = 0.1;

/// A table of some megabytes, so that it is read in several blocks: numbers, words, two kinds of
/// blanks, quoted line ends, comments, and columns whose kind only shows in the last block.
fn written(folder: &TempDir, rows: usize, wide: usize) -> PathBuf {
    let path = folder.path().join("table.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let names: Vec<String> = (0..wide).map(|column| format!("x{column}")).collect();
    writeln!(file, "id,{},word,late,price,y,class", names.join(",")).unwrap();
    for row in 0..rows {
        if row % 1000 == 999 {
            writeln!(file, "# a comment\n").unwrap();
        }
        let numbers: Vec<String> = (0..wide)
            .map(|column| match (row * 31 + column * 17) % 97 {
                0 => String::new(),
                1 => "?".into(),
                n => format!("{}", (n as f64 - 40.0) * 1.234_567 + (row % 13) as f64),
            })
            .collect();
        let word = ["red", "\"two\nlines\"", "\"a, b\"", "", "blue"][row % 5];
        let late = if row + 3 > rows { "x".into() } else { format!("{:03}", row % 4) };
        let price = if row % 7 == 0 { "NA".into() } else { format!("${}", row % 50) };
        let y = if row % 11 == 3 { "-".into() } else { format!("{}", row % 50) };
        let class = ["yes", "no", "maybe"][row * row % 3];
        writeln!(file, "{row},{},{word},{late},{price},{y},{class}", numbers.join(",")).unwrap();
    }
    path
}

fn options(target: &str, kind: TargetKind) -> EncodingOptions {
    EncodingOptions::default().target(target).kind(kind)
}

/// The training and the held-out rows, as split in memory; both in the order of the file.
fn split(table: &Table, target: &str) -> [Vec<usize>; 2] {
    let column = table.column(target).unwrap();
    let known: Vec<usize> = (0..table.rows()).filter(|&row| !column.is_blank(row)).collect();
    let held = (known.len() as f64 * SHARE).round() as usize;
    let order: Vec<usize> =
        shuffled_rows(known.len(), SEED).unwrap().into_iter().map(|place| known[place]).collect();
    let mut parts = [order[..known.len() - held].to_vec(), order[known.len() - held..].to_vec()];
    parts.iter_mut().for_each(|rows| rows.sort_unstable());
    parts
}

fn large(path: &Path, target: &str) -> LargeSplit {
    let table = LargeTable::open(path, &TableOptions::default(), &[target.into()]).unwrap();
    LargeSplit::new(table, SEED, SHARE).unwrap()
}

fn all(blocks: &mut dyn Blocks, epoch: u32) -> Vec<Dataset> {
    blocks.epoch(epoch).unwrap().collect::<gradus::Result<_>>().unwrap()
}

/// Each row's numbers and target, as bits.
fn rows_of(datasets: &[Dataset]) -> Vec<Vec<u32>> {
    let mut rows = Vec::new();
    for dataset in datasets {
        for (row, features) in dataset.features.rows().into_iter().enumerate() {
            let mut bits: Vec<u32> = features.iter().map(|x| x.to_bits()).collect();
            match &dataset.target {
                Target::Labels { labels, .. } => bits.push(labels[row] as u32),
                Target::Values(values) => bits.extend(values.row(row).iter().map(|y| y.to_bits())),
                Target::None => {}
            }
            rows.push(bits);
        }
    }
    rows
}

#[test]
fn pieces_and_memory_give_the_same_encoding_and_hold_out_the_same_rows() {
    let folder = TempDir::new().unwrap();
    // Few rows of many columns: medians are exact, and the file takes several blocks.
    let path = written(&folder, 4000, 150);
    let table = Table::read(&path, &TableOptions::default()).unwrap();
    for (target, kind) in [("y", TargetKind::MedianStandardized), ("class", TargetKind::Classes)] {
        let [training, held] = split(&table, target);
        let split = large(&path, target);
        assert_eq!(split.table().notes(), table.notes());
        assert_eq!(split.table().rows(), table.rows());
        assert!(split.table().pieces().unwrap().count() > 3);
        let expected = Encoding::fit(&table, &training, &options(target, kind)).unwrap();
        let found = split.fit(&options(target, kind)).unwrap();
        assert_eq!(found, expected);
        let validation = all(&mut split.validation(&found).unwrap().unwrap(), 0);
        assert_eq!(
            rows_of(&validation),
            rows_of(&[expected.apply_rows(&table, &held).unwrap()]),
            "{target}"
        );
        // An epoch visits each training row once, in its own order.
        let mut blocks = split.training(&found);
        let [first, again, second] = [0, 0, 1].map(|epoch| rows_of(&all(&mut blocks, epoch)));
        assert_eq!(first, again);
        assert_ne!(first, second);
        let mut expected = rows_of(&[expected.apply_rows(&table, &training).unwrap()]);
        assert_eq!(blocks.rows(), expected.len());
        expected.sort_unstable();
        for mut found in [first, second] {
            found.sort_unstable();
            assert_eq!(found, expected, "{target}");
        }
    }
}

#[test]
fn lines_of_a_piece_are_those_of_the_file() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, 3000, 100);
    let table = Table::read(&path, &TableOptions::default()).unwrap();
    let large = LargeTable::open(&path, &TableOptions::default(), &["y".into()]).unwrap();
    let blank = table.column("y").unwrap();
    let first = (0..table.rows()).find(|&row| blank.is_blank(row)).unwrap();
    assert_eq!(large.first_blank().unwrap(), Some(table.line_of(first)));
    for piece in large.pieces().unwrap() {
        let (first, piece) = piece.unwrap();
        for row in [0, piece.rows() / 2, piece.rows() - 1] {
            assert_eq!(piece.line_of(row), table.line_of(first + row));
        }
    }
}

#[test]
fn a_compressed_file_is_read_in_pieces_as_well() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, 3000, 100);
    let packed = folder.path().join("table.csv.gz");
    let mut to = flate2::write::GzEncoder::new(
        std::fs::File::create(&packed).unwrap(),
        flate2::Compression::fast(),
    );
    to.write_all(&std::fs::read(&path).unwrap()).unwrap();
    to.finish().unwrap();
    let [plain, packed] = [path, packed].map(|path| large(&path, "y"));
    assert!(plain.table().is_seekable() && !packed.table().is_seekable());
    let [one, other] =
        [&plain, &packed].map(|split| split.fit(&options("y", TargetKind::Standardized)).unwrap());
    assert_eq!(one, other);
    let sorted = |split: &LargeSplit| {
        rows_of(&all(&mut split.training(&one), 3)).into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(sorted(&plain), sorted(&packed));
}

#[test]
fn faults_of_large_tables_are_those_of_tables() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, 3000, 100);
    let text = std::fs::read_to_string(&path).unwrap();
    let broken = folder.path().join("broken.csv");
    std::fs::write(&broken, text.replace("\n2500,", "\n2500,1,")).unwrap();
    let message = |outcome: gradus::Error| outcome.to_string();
    let whole = message(Table::read(&broken, &TableOptions::default()).unwrap_err());
    let pieces = message(LargeTable::open(&broken, &TableOptions::default(), &[]).unwrap_err());
    assert_eq!(whole, pieces);
    assert!(whole.contains("fields") && whole.contains("line "), "{whole}");
    // A file that grows between two readings counts as changed.
    let large = LargeTable::open(&path, &TableOptions::default(), &[]).unwrap();
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"# more\n").unwrap();
    let error = message(large.pieces().map(|_| ()).unwrap_err());
    assert!(error.contains("stays as it is"), "{error}");
    for nothing in ["", "a,b\n"] {
        std::fs::write(&path, nothing).unwrap();
        let [whole, pieces] = [
            message(Table::read(&path, &TableOptions::default()).unwrap_err()),
            message(LargeTable::open(&path, &TableOptions::default(), &[]).unwrap_err()),
        ];
        assert_eq!(whole, pieces);
    }
}

#[test]
fn nothing_is_read_behind_a_fault() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, 3000, 100);
    let large = LargeTable::open(&path, &TableOptions::default(), &[]).unwrap();
    // As long as before, of the same time, with a field less in a line.
    let time = path.metadata().unwrap().modified().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\n1500,", "\n15001")).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let read: Vec<_> = large.pieces().unwrap().take(100).collect();
    let faults = read.iter().filter(|piece| piece.is_err()).count();
    assert!(faults == 1 && read.last().unwrap().is_err(), "{faults} of {}", read.len());
}

#[test]
fn large_files_are_read_alike_whatever_the_threads() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, 3000, 100);
    let read = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Table::read(&path, &TableOptions::default()).unwrap())
    };
    let one = format!("{:?}", read(1));
    assert_eq!(one, format!("{:?}", read(5)));
    assert!(one.contains("two lines"));
}
