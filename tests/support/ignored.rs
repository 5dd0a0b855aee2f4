//! A test that needs a GPU, on a machine without one: the harness knows no test that is ignored while it runs, so the line
//! is written past its capture.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// The tests of this program that were ignored so far.
static IGNORED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether a test that needs a GPU fails where there is none.
pub fn requires_gpu() -> bool {
    std::env::var_os("GRADUS_REQUIRE_GPU").is_some()
}

/// Says once for each test, with a count, that it is ignored and why; `GRADUS_REQUIRE_GPU` makes it a failure.
pub fn ignored(test: &str, why: &str) {
    assert!(!requires_gpu(), "GRADUS_REQUIRE_GPU is set, and {test} {why}");
    let mut ignored = IGNORED.lock().unwrap_or_else(PoisonError::into_inner);
    if ignored.insert(test.into()) {
        let count = ignored.len();
        let line = format!("ignored: {test}: {why} ({count} ignored so far in this program)\n");
        // One write, so that lines of parallel tests do not mix. Where stderr is closed nobody reads.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// The running test, which its thread is named after.
pub fn running() -> String {
    match std::thread::current().name() {
        Some(name) if name != "main" => name.into(),
        _ => "a test".into(),
    }
}
