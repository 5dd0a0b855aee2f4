//! Pages that are written from the lists and the sources.

use std::path::Path;

/// Fails unless a page has the text; with `GRADUS_WRITE_DOCS` it is written first.
pub fn holds(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("GRADUS_WRITE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let place = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let place = place.unwrap_or(found.lines().count().min(expected.lines().count())) + 1;
    assert!(
        found == expected,
        "{file} differs from the lists from line {place} on; GRADUS_WRITE_DOCS=1 cargo test --test conventions writes it"
    );
}
