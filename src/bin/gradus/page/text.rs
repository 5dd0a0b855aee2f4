//! Text in HTML.

use gradus::text::printable;

/// A text as HTML: markup becomes text, and control characters visible.
pub fn escaped(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
