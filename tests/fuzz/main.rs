//! Damaged files for every reader: none may cause a panic, take ten seconds, allocate memory out of
//! proportion to the file, or be rejected without a message.
//!
//! The same seed draws the same files. `GRADUS_FUZZ=600000 cargo test --release --test fuzz` sets
//! their number, and `GRADUS_FUZZ_SEED` draws others. A failing file is stored in the target folder
//! for tests.
#![cfg(feature = "data")]

mod corpus;
mod formats;
mod mutate;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use formats::Format;
use mutate::Mutator;
use support::counting::{Counting, peak_of};

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time: memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Default total number of files.
const FILES: u64 = 30_000;

const LONGEST: Duration = Duration::from_secs(10);

/// Limit of the memory held while reading a file of the given size, in bytes.
fn most_held(file: usize) -> usize {
    16 * file + (64 << 20)
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`; it must be a whole number"))
}

/// Ends the process if one file takes too long, since a thread cannot be stopped. The file remains
/// for inspection.
fn watch(started: &'static AtomicU64, path: PathBuf) {
    std::thread::spawn(move || {
        let (mut file, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = started.load(Relaxed);
            if now != file {
                (file, since) = (now, Instant::now());
            } else if since.elapsed() > LONGEST && now != u64::MAX {
                eprintln!("file {now} took more than {LONGEST:?}: {}", path.display());
                std::process::exit(1);
            }
        }
    });
}

/// Failures by kind, with the first file of each kind.
#[derive(Default)]
struct Findings(BTreeMap<String, PathBuf>);

impl Findings {
    fn add(&mut self, kind: String, format: &Format, bytes: &[u8], kept: &Path) {
        let place = kept.join(format!("{}-{}", self.0.len(), format.file));
        self.0.entry(format!("{}: {kind}", format.file)).or_insert_with(|| {
            std::fs::write(&place, bytes).expect("the target's folder can be written");
            place
        });
    }
}

/// Location of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Reads a file: true if it was accepted, and a description of any failure.
fn check(format: &Format, path: &Path, size: usize, iteration: usize) -> (bool, Option<String>) {
    let start = Instant::now();
    let (outcome, held) =
        peak_of(|| panic::catch_unwind(AssertUnwindSafe(|| (format.read)(path, iteration))));
    let Ok(said) = outcome else {
        return (false, Some(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()));
    };
    let message = said.as_ref().err().cloned().unwrap_or("read".into());
    let fault = if held > most_held(size) {
        // Reported in powers of two, so that each kind is reported once.
        Some(format!(
            "holds up to 2^{} bytes for a file of up to 2^{}",
            held.ilog2() + 1,
            size.max(1).ilog2() + 1
        ))
    } else if start.elapsed() > LONGEST {
        Some(format!("takes more than {LONGEST:?}"))
    } else if message.is_empty() {
        Some("there is no message".into())
    } else {
        None
    };
    (said.is_ok(), fault)
}

fn fuzz(file: &str) {
    let _alone = ALONE.lock();
    static STARTED: AtomicU64 = AtomicU64::new(u64::MAX);
    let (seed, files) = (number("GRADUS_FUZZ_SEED", 1), number("GRADUS_FUZZ", FILES) as usize);
    let formats = formats::all();
    let (stream, format) =
        formats.iter().enumerate().find(|(_, format)| format.file == file).expect("a format");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&kept).expect("the target's folder can be written");
    let path = kept.join(file);
    watch(&STARTED, path.clone());
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) =
            text.split_whitespace().collect::<Vec<_>>().join(" ");
    }));
    let (mut m, mut findings, mut read, start) =
        (Mutator::new(seed, stream as u64), Findings::default(), 0, Instant::now());
    let files = files / formats.len();
    for iteration in 0..files {
        // The corpus itself first.
        let mut bytes =
            format.corpus.get(iteration).cloned().unwrap_or_else(|| m.pick(&format.corpus).clone());
        if iteration >= format.corpus.len() {
            (format.edit)(&mut m, &mut bytes, &format.corpus);
        }
        std::fs::write(&path, &bytes).expect("the target's folder can be written");
        STARTED.store(iteration as u64, Relaxed);
        let (is_read, fault) = check(format, &path, bytes.len(), iteration);
        read += usize::from(is_read);
        if let Some(kind) = fault {
            findings.add(kind, format, &bytes, &kept);
        }
    }
    STARTED.store(u64::MAX, Relaxed);
    panic::set_hook(usual);
    println!("{file}: {files} files, {read} of them read, {:.1} s", start.elapsed().as_secs_f64());
    let report: Vec<String> =
        findings.0.iter().map(|(kind, file)| format!("{kind}\n    {}", file.display())).collect();
    assert!(report.is_empty(), "\n{}", report.join("\n"));
    // If all were rejected early, the edits would reach nothing.
    assert!(read * 50 > files && read < files, "{read} of {files} are read");
}

#[test]
fn idx() {
    fuzz("f.idx");
}

#[test]
fn csv() {
    fuzz("f.csv");
}

#[test]
fn npy() {
    fuzz("f.npy");
}

#[test]
fn npz() {
    fuzz("f.npz");
}

#[test]
fn svmlight() {
    fuzz("f.svm");
}

#[test]
fn ratings() {
    fuzz("f.ratings");
}

#[test]
fn models() {
    fuzz("f.model");
}

#[test]
fn recommenders() {
    fuzz("f.recommender");
}

#[test]
fn cases_of_eval() {
    fuzz("f.json");
}
