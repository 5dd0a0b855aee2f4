//! Tests that need a GPU or a browser, on a machine without one: the harness cannot mark a running test as
//! ignored, so the line bypasses its capture.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// The tests of this program ignored so far.
static IGNORED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// True if a test that needs a GPU fails without one.
pub fn requires_gpu() -> bool {
    std::env::var_os("GRADUS_REQUIRE_GPU").is_some()
}

/// Prints once per test, with a count, that it is ignored and why; with `GRADUS_REQUIRE_GPU` it
/// fails instead.
pub fn ignored(test: &str, why: &str) {
    assert!(!requires_gpu(), "GRADUS_REQUIRE_GPU is set, and {test} {why}");
    note(test, why);
}

/// Prints once per test, with a count, that it is ignored and why.
pub fn note(test: &str, why: &str) {
    let mut ignored = IGNORED.lock().unwrap_or_else(PoisonError::into_inner);
    if ignored.insert(test.into()) {
        let count = ignored.len();
        let line = format!("ignored: {test}: {why} ({count} ignored so far in this program)\n");
        // One write, so that lines of parallel tests do not mix. A closed stderr is ignored.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Name of the running test, from its thread.
pub fn running() -> String {
    match std::thread::current().name() {
        Some(name) if name != "main" => name.into(),
        _ => "a test".into(),
    }
}
