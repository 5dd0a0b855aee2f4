//! Speed and peak memory of reading a table: `cargo bench --bench reading`, or with the path of a
//! CSV after `--`.
//!
//! Without a path it first writes one of 1 million rows of 20 numbers to a temporary folder. Peak
//! memory is Linux' `VmHWM`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use gradus::data::{Table, TableOptions};
use gradus::random::Random;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 20;

/// Number of reads; the first may come from the disk.
const TIMES: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let given =
        std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let path = given.unwrap_or_else(|| written(folder.path()));
    let bytes = std::fs::metadata(&path).expect("the file is there").len();
    let before = peak();
    for time in 0..TIMES {
        let start = Instant::now();
        let table = Table::read(&path, &TableOptions::default()).expect("a table");
        let seconds = start.elapsed().as_secs_f64();
        let numbers = 4 * table.rows() * table.columns().len();
        let used = peak()
            .zip(before)
            .map_or("?".into(), |(now, before)| format!("{:.0}", (now - before) as f64 / 1e6));
        println!(
            "{time}: {:.0} MB of text in {seconds:.2} s, {:.0} MB/s; peak memory {used} MB, {:.0} MB as f32",
            bytes as f64 / 1e6,
            bytes as f64 / 1e6 / seconds,
            numbers as f64 / 1e6
        );
    }
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("numbers.csv");
    let mut file = BufWriter::new(std::fs::File::create(&path).expect("a file"));
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("x{column}")).collect();
    writeln!(file, "{}", names.join(",")).expect("room on the disk");
    let mut random = Random::new(7, 0);
    for _ in 0..ROWS {
        let row: Vec<String> = (0..COLUMNS).map(|_| format!("{:.6}", random.normal())).collect();
        writeln!(file, "{}", row.join(",")).expect("room on the disk");
    }
    path
}

/// Peak memory of the process in bytes; `None` where the system does not report it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}
