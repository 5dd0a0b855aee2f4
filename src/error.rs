//! The one error type: what was asked, what was found, what is allowed.

use std::path::PathBuf;

/// What [`Result`] carries when something cannot be done.
///
/// Each message is one line and says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes that do not fit each other.
    #[error("{operation}: {found}; {allowed}")]
    Shape {
        /// The loss, layer or function that was called.
        operation: String,
        /// The shapes that were given, by name: `predictions are [32, 10] but targets are [32]`.
        found: String,
        /// The shapes that fit: `targets must be [32, 10]`.
        allowed: String,
    },
    /// An option outside its domain.
    #[error("{owner}: {name} is {found}; it must be {allowed}")]
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
    #[error("unknown {kind} `{found}`; known: {known}")]
    Unknown {
        /// What was looked for: `loss`, `option of huber`, `input of mse`.
        kind: String,
        /// The name that was given.
        found: String,
        /// The names there are.
        known: String,
    },
    /// An input that is missing, of the wrong kind or of a wrong value.
    #[error("{operation}: {name} {found}; {allowed}")]
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
    #[error("{operation}: row {row} has label {label}; labels must be 0 to {} ({classes} classes){ignored}", *classes as i64 - 1)]
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
    #[error(
        "{operation}: {name} holds {found} at {position} ({count} value(s) not finite in all); clean or drop such rows"
    )]
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
    #[error("{operation}: {name} hold no rows; at least one is needed")]
    Empty {
        /// What was asked for.
        operation: String,
        /// The input that is empty.
        name: String,
    },
    /// No GPU adapter that fits the request.
    #[error("no GPU adapter: asked for {asked}, found {found}; {advice}")]
    NoAdapter {
        /// Backends and name that were asked for.
        asked: String,
        /// The adapters that there are.
        found: String,
        /// What to install or set.
        advice: String,
    },
    /// The driver gave the device up.
    #[error(
        "the GPU {adapter} was lost: {reason}; lower the batch size, close other programs on it, or take device `cpu`; training can go on from the last checkpoint"
    )]
    DeviceLost {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device has no room for a buffer.
    #[error(
        "the GPU is out of memory: {asked} bytes were asked for {purpose}; lower the batch size or take device `cpu`"
    )]
    OutOfMemory {
        /// What the memory was for.
        purpose: String,
        /// How many bytes.
        asked: u64,
    },
    /// A tensor that the device cannot hold or bind even in parts.
    #[error("{name} takes {bytes} bytes; this device allows {limit}; {advice}")]
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
    #[error("the GPU refused {kernel}: {message}; please report it with the output of `gradus devices`")]
    Gpu {
        /// The kernel's label.
        kernel: String,
        /// wgpu's words, on one line.
        message: String,
    },
    /// A file whose content is not what its format says.
    #[error("{}: at {position}: {found}; expected {expected}", path.display())]
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
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A result with gradus's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Option`], the shape in which every options check ends.
    pub(crate) fn option(owner: &str, name: &str, found: impl ToString, allowed: &str) -> Self {
        Error::Option { owner: owner.into(), name: name.into(), found: found.to_string(), allowed: allowed.into() }
    }

    /// An [`Error::Unknown`] that lists the names there are.
    pub(crate) fn unknown<'a>(kind: &str, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        Error::Unknown {
            kind: kind.into(),
            found: found.into(),
            known: if known.is_empty() { "none".into() } else { known.join(", ") },
        }
    }
}
