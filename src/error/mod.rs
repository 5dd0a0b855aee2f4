//! The library's error type: the operation, the value found, the values allowed.

#[doc(hidden)]
pub mod text;

use std::fmt::{self, Write};
use std::path::PathBuf;

use crate::error::text::{OneLine, exact, printable_lines};

/// Error type of the crate's [`Result`].
///
/// Each message is one line and suggests a fix; control characters in it, from a file or a command
/// line, are escaped. `Debug` prints the message too: it is shown when `main` returns an error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Incompatible shapes.
    Shape {
        /// The loss, layer or function called.
        operation: String,
        /// The given shapes, by name: `predictions are [32, 10] but targets are [32]`.
        found: String,
        /// The expected shapes: `targets must be [32, 10]`.
        allowed: String,
    },
    /// An option outside its domain.
    Option {
        /// The option's owner: `huber`, `adam`, `fit`.
        owner: String,
        /// The option's name.
        name: String,
        /// The given value.
        found: String,
        /// The domain: `> 0`, `in [0, 1)`, `one of sum, mean`.
        allowed: String,
    },
    /// An unknown name.
    Unknown {
        /// The kind of name: `loss`, `option of huber`, `input of mse`.
        kind: String,
        /// The given name.
        found: String,
        /// The known names.
        known: String,
    },
    /// An input that is missing, of the wrong kind or with an invalid value.
    Input {
        /// The loss, layer or function called.
        operation: String,
        /// The input's name: `targets`, `weight`.
        name: String,
        /// The problem: `are labels`, `is missing`.
        found: String,
        /// The accepted input: `mse takes dense targets`.
        allowed: String,
    },
    /// A class label out of range.
    Label {
        /// The loss called.
        operation: String,
        /// The first row with an invalid label, counted from 0.
        row: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        classes: usize,
        /// The ignored labels, as a clause: ` or an ignored one (-100)`; empty if none.
        ignored: String,
    },
    /// NaN or an infinity where a finite number is required.
    NonFinite {
        /// The operation.
        operation: String,
        /// Name of the values.
        name: String,
        /// The value: `NaN` or `inf`.
        found: String,
        /// Position of the first one: `row 3, column 17`.
        position: String,
        /// Number of values that are not finite.
        count: usize,
    },
    /// Empty input.
    Empty {
        /// The operation.
        operation: String,
        /// The empty input.
        name: String,
    },
    /// No GPU adapter matches the request.
    NoAdapter {
        /// The requested backends and name.
        asked: String,
        /// The adapters found.
        found: String,
        /// A suggestion: software to install or a variable to set.
        advice: String,
    },
    /// The device was lost.
    DeviceLost {
        /// The adapter's name.
        adapter: String,
        /// The driver's message.
        reason: String,
    },
    /// The device has no memory for a buffer.
    OutOfMemory {
        /// Purpose of the memory.
        purpose: String,
        /// Requested bytes.
        asked: u64,
    },
    /// A tensor that the device cannot hold, or bind even in chunks.
    TooLarge {
        /// The tensor.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
        /// A suggested alternative.
        advice: String,
    },
    /// wgpu rejected a shader, a pipeline or a dispatch.
    Gpu {
        /// The kernel's label.
        kernel: String,
        /// wgpu's message, on one line.
        message: String,
    },
    /// Rejected WGSL from the user: [`crate::losses::custom`].
    Wgsl {
        /// The loss's name.
        name: String,
        /// The line in that text, from 1; `None` if something is missing from the text.
        line: Option<u32>,
        /// The problem.
        message: String,
    },
    /// The device did not complete some work within the time limit
    /// ([`crate::GpuOptions::timeout`]).
    Timeout {
        /// The adapter's name.
        adapter: String,
        /// The kernel that was running.
        running: String,
        /// Time waited.
        seconds: f64,
    },
    /// The exchange between the processes of a training failed, or one of them did:
    /// [`crate::Fit::reduce`], [`crate::Fit::shard`].
    Exchange {
        /// The problem.
        message: String,
    },
    /// A custom loss that fails its checks: [`crate::testing::check`].
    Check {
        /// The loss's name.
        name: String,
        /// Number of failed checks.
        failed: usize,
        /// The checks as a table, one per line.
        table: String,
    },
    /// A file whose content does not match its format.
    Data {
        /// The file.
        path: PathBuf,
        /// Position: `byte 16`, `line 3, column age`.
        position: String,
        /// Content found there.
        found: String,
        /// Content expected.
        expected: String,
    },
    /// A file that cannot be opened, read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
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
            Error::Exchange { message } => write!(
                f,
                "the exchange between processes: {message}; training can go on from the last checkpoint"
            ),
            Error::Check { name, failed, .. } => write!(f, "{name}: {failed} check(s) failed"),
            Error::Data { path, position, found, expected } => {
                write!(f, "{}: at {position}: {found}; expected {expected}", text::path(path))
            }
            Error::Io { path, source } => write!(f, "{}: {source}", text::path(path)),
        }
    }

    /// An [`Error::Option`], used by every check of options.
    pub(crate) fn option(owner: &str, name: &str, found: impl ToString, allowed: &str) -> Self {
        let mut found = found.to_string();
        // A float of 1e300 is formatted with all its zeros.
        if found.len() > 20
            && let Ok(number) = found.parse::<f64>()
        {
            found = exact(number);
        }
        Error::Option { owner: owner.into(), name: name.into(), found, allowed: allowed.into() }
    }

    /// An [`Error::Unknown`] that lists the known names.
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
