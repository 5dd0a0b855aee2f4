//! The one error type: what was asked, what was found, what is allowed.

#[doc(hidden)]
pub mod text;

use std::fmt::{self, Write};
use std::path::PathBuf;

use crate::error::text::{OneLine, exact, printable_lines};

/// What [`Result`] carries when something cannot be done.
///
/// Each message is one line and says what to do next; control characters in it, from a file or a command line, stand as escapes. `Debug`
/// prints the message too: it is what a `main` that returns an error shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes that do not fit each other.
    Shape {
        /// The loss, layer or function that was called.
        operation: String,
        /// The shapes that were given, by name: `predictions are [32, 10] but targets are [32]`.
        found: String,
        /// The shapes that fit: `targets must be [32, 10]`.
        allowed: String,
    },
    /// An option outside its domain.
    Option {
        /// Whose option it is: `huber`, `adam`, `fit`.
        owner: String,
        /// The option's name.
        name: String,
        /// The value that was given.
        found: String,
        /// The domain: `> 0`, `in [0, 1)`, `one of sum, mean`.
        allowed: String,
    },
    /// A name that is in none of the lists.
    Unknown {
        /// What was looked for: `loss`, `option of huber`, `input of mse`.
        kind: String,
        /// The name that was given.
        found: String,
        /// The names there are.
        known: String,
    },
    /// An input that is missing, of the wrong kind or of a wrong value.
    Input {
        /// The loss, layer or function that was called.
        operation: String,
        /// The input's name: `targets`, `weight`.
        name: String,
        /// What was found: `are labels`, `is missing`.
        found: String,
        /// What fits: `mse takes dense targets`.
        allowed: String,
    },
    /// A class label that names no class.
    Label {
        /// The loss that was called.
        operation: String,
        /// The first row with such a label, counted from 0.
        row: usize,
        /// The label found there.
        label: i64,
        /// How many classes there are.
        classes: usize,
        /// The labels that are left out, as a clause: ` or an ignored one (-100)`; empty if none.
        ignored: String,
    },
    /// NaN or an infinity where a number is needed.
    NonFinite {
        /// What was asked for.
        operation: String,
        /// Whose values they are.
        name: String,
        /// The value: `NaN` or `inf`.
        found: String,
        /// Where the first one stands: `row 3, column 17`.
        position: String,
        /// How many there are.
        count: usize,
    },
    /// Nothing to work on.
    Empty {
        /// What was asked for.
        operation: String,
        /// The input that is empty.
        name: String,
    },
    /// No GPU adapter that fits the request.
    NoAdapter {
        /// Backends and name that were asked for.
        asked: String,
        /// The adapters that there are.
        found: String,
        /// What to install or set.
        advice: String,
    },
    /// The driver gave the device up.
    DeviceLost {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device has no room for a buffer.
    OutOfMemory {
        /// What the memory was for.
        purpose: String,
        /// How many bytes.
        asked: u64,
    },
    /// A tensor that the device cannot hold or bind even in parts.
    TooLarge {
        /// The tensor.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
        /// What to do instead.
        advice: String,
    },
    /// wgpu refused a shader, a pipeline or a dispatch.
    Gpu {
        /// The kernel's label.
        kernel: String,
        /// wgpu's words, on one line.
        message: String,
    },
    /// WGSL of the user's own that is refused: [`crate::losses::custom`].
    Wgsl {
        /// Whose text it is: the loss's name.
        name: String,
        /// The line in that text, from 1; none where the text as a whole lacks something.
        line: Option<u32>,
        /// What is wrong with it.
        message: String,
    },
    /// The device did not end some work within the time that it may take ([`crate::GpuOptions::timeout`]).
    Timeout {
        /// The adapter's name.
        adapter: String,
        /// The kernel that was running.
        running: String,
        /// How long it was waited for.
        seconds: f64,
    },
    /// A loss of the user's own that does not do what it says: [`crate::testing::check`].
    Check {
        /// The loss's name.
        name: String,
        /// How many checks failed.
        failed: usize,
        /// The checks as a table, one a line.
        table: String,
    },
    /// A file whose content is not what its format says.
    Data {
        /// The file.
        path: PathBuf,
        /// Where: `byte 16`, `line 3, column age`.
        position: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A file that cannot be opened, read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Error::Check { name, failed, table } = self {
            write!(OneLine(f), "{name}: {failed} check(s) failed")?;
            return write!(f, "\n{}", printable_lines(table));
        }
        self.message(&mut OneLine(f))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A result with gradus's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Writes the message; `f` keeps it on one line.
    fn message(&self, f: &mut OneLine) -> fmt::Result {
        match self {
            Error::Shape { operation, found, allowed } => {
                write!(f, "{operation}: {found}; {allowed}")
            }
            Error::Option { owner, name, found, allowed } => {
                write!(f, "{owner}: {name} is {found}; it must be {allowed}")
            }
            Error::Unknown { kind, found, known } => {
                write!(f, "unknown {kind} `{found}`; known: {known}")
            }
            Error::Input { operation, name, found, allowed } => {
                write!(f, "{operation}: {name} {found}; {allowed}")
            }
            Error::Label { operation, row, label, classes, ignored } => write!(
                f,
                "{operation}: row {row} has label {label}; labels must be 0 to {} ({classes} classes){ignored}",
                *classes as i64 - 1
            ),
            Error::NonFinite { operation, name, found, position, count } => write!(
                f,
                "{operation}: {name} holds {found} at {position} ({count} value(s) not finite in all); clean or drop such rows"
            ),
            Error::Empty { operation, name } => {
                write!(f, "{operation}: {name} hold no rows; at least one is needed")
            }
            Error::NoAdapter { asked, found, advice } => {
                write!(f, "no GPU adapter: asked for {asked}, found {found}; {advice}")
            }
            Error::DeviceLost { adapter, reason } => write!(
                f,
                "the GPU {adapter} was lost: {reason}; lower the batch size, close other programs on it, or take device `cpu`; \
                 training can go on from the last checkpoint"
            ),
            Error::OutOfMemory { purpose, asked } => write!(
                f,
                "the GPU is out of memory: {asked} bytes were asked for {purpose}; lower the batch size or take device `cpu`"
            ),
            Error::TooLarge { name, bytes, limit, advice } => {
                write!(f, "{name} takes {bytes} bytes; this device allows {limit}; {advice}")
            }
            Error::Gpu { kernel, message } => {
                write!(
                    f,
                    "the GPU refused {kernel}: {message}; please report it with the output of `gradus devices`"
                )
            }
            Error::Wgsl { name, line, message } => {
                let line = line.map_or(String::new(), |line| format!(", line {line}"));
                write!(f, "the WGSL of `{name}`{line}: {message}")
            }
            Error::Timeout { adapter, running, seconds } => write!(
                f,
                "the GPU {adapter} did not end {running} within {seconds} s; lower the batch size or take device `cpu`; a slow device \
                 may take longer with GRADUS_GPU_TIMEOUT=SECONDS (`off` waits for ever)"
            ),
            Error::Check { name, failed, .. } => write!(f, "{name}: {failed} check(s) failed"),
            Error::Data { path, position, found, expected } => {
                write!(f, "{}: at {position}: {found}; expected {expected}", path.display())
            }
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }

    /// An [`Error::Option`], the shape in which every options check ends.
    pub(crate) fn option(owner: &str, name: &str, found: impl ToString, allowed: &str) -> Self {
        let mut found = found.to_string();
        // A float of 1e300 comes with all its zeros.
        if found.len() > 20
            && let Ok(number) = found.parse::<f64>()
        {
            found = exact(number);
        }
        Error::Option { owner: owner.into(), name: name.into(), found, allowed: allowed.into() }
    }

    /// An [`Error::Unknown`] that lists the names there are.
    pub(crate) fn unknown<'a>(
        kind: &str,
        found: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        Error::Unknown {
            kind: kind.into(),
            found: found.into(),
            known: if known.is_empty() { "none".into() } else { known.join(", ") },
        }
    }
}
