//! Shared by all subcommands: stdout that survives a closed pipe, tables, opening and announcing
//! the device, and exit codes: 2 for errors visible from the command line alone, 1 for errors found
//! in files, data or devices.

use std::io;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use gradus::text::{printable, printable_json, printable_lines};
use gradus::{Device, Error, Gpu, GpuOptions};
use serde_json::Value;

use crate::names;

/// Table width if stdout is not a terminal and `COLUMNS` is not set.
const WIDTH: u16 = 100;

/// A rule under the headings and none between the rows.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Result of a subcommand.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Reason for the failure of a subcommand.
#[derive(Debug)]
pub enum Failure {
    /// The command line is invalid.
    Usage(String),
    /// The operation failed.
    Failed(String),
    /// The user interrupted it; completed work is saved.
    Interrupted(String),
    /// Errors that were already printed.
    Printed,
    /// Stdout was closed by its reader.
    Closed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(names::explain(&error))
    }
}

impl Failure {
    /// An error in the command line.
    pub fn usage(error: Error) -> Self {
        Failure::Usage(names::explain(&error))
    }

    /// Appends advice to the message.
    pub fn and(self, advice: &str) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{message}; {advice}")),
            Failure::Failed(message) => Failure::Failed(format!("{message}; {advice}")),
            other => other,
        }
    }

    /// Prefixes the message with a flag, in the place of another one that reads in the same way.
    pub fn instead_of(self, other: &str, flag: &str) -> Self {
        let named = |message: String| {
            let rest = message.strip_prefix(&format!("{other}: ")).unwrap_or(&message);
            format!("{flag}: {rest}")
        };
        match self {
            Failure::Usage(message) => Failure::Usage(named(message)),
            Failure::Failed(message) => Failure::Failed(named(message)),
            other => other,
        }
    }

    /// Prefixes the message with the flag at fault.
    pub fn of(self, flag: &str) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{flag}: {message}")),
            Failure::Failed(message) => Failure::Failed(format!("{flag}: {message}")),
            other => other,
        }
    }
}

/// Prints the error on one line and returns the exit code.
pub fn exit_code(outcome: Outcome) -> ExitCode {
    let (code, message) = match outcome {
        // A reader like `head` that closes the pipe early is not an error.
        Ok(()) | Err(Failure::Closed) => return ExitCode::SUCCESS,
        Err(Failure::Printed) => return ExitCode::from(1),
        Err(Failure::Interrupted(message)) => {
            note(&format!("interrupted: {message}"));
            return ExitCode::from(EXIT_CODE);
        }
        Err(Failure::Usage(message)) => (2, message),
        Err(Failure::Failed(message)) => (1, message),
    };
    error(&message);
    ExitCode::from(code)
}

/// The number of this process among those of `mpirun`: all but the first, which is 0, print their
/// errors alone.
static RANK: AtomicUsize = AtomicUsize::new(0);

/// From here on this process prints its errors alone, with its number.
pub fn be_quiet(rank: usize) {
    RANK.store(rank, Ordering::Relaxed);
}

fn is_quiet() -> bool {
    RANK.load(Ordering::Relaxed) > 0
}

/// Prints an error on stderr in one line, whatever the message contains.
pub fn error(message: &str) {
    let rank = match RANK.load(Ordering::Relaxed) {
        0 => String::new(),
        rank => format!("rank {rank}: "),
    };
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "{}", printable(&format!("error: {rank}{message}")));
}

/// Prints a line on stderr. A closed stderr is ignored.
pub fn note(line: &str) {
    if !is_quiet() {
        let _ = writeln!(io::stderr(), "{}", printable(line));
    }
}

/// Starts the log on stderr, at the level of `RUST_LOG`, by default this crate's warnings only.
pub fn begin_log() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("gradus=warn"))
        .format(|buffer, record| {
            let (level, message) =
                (record.level().as_str().to_lowercase(), record.args().to_string());
            writeln!(buffer, "{level}: {}", printable(&message))
        })
        .init();
}

/// Prints text on stdout.
pub fn print(text: &str) -> Outcome {
    write(&printable_lines(text))
}

/// Prints a text of a user's own: as it is into a file or a pipe, without control characters on a
/// terminal, which would obey them.
pub fn print_text(text: &str) -> Outcome {
    if io::stdout().is_terminal() { print(text) } else { write(text) }
}

fn write(text: &str) -> Outcome {
    if is_quiet() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints text about a training run that may also be saved to a file. A closed stdout is an error
/// only if the result would be lost, that is, without `--out`.
pub fn print_beside(out: Option<&Path>, text: &str) -> Outcome {
    match (print(text), out) {
        (Err(Failure::Closed), Some(_)) => Ok(()),
        (Err(Failure::Closed), None) => Err(Failure::Failed(
            "stdout is closed, and without --out nothing is left of the training".into(),
        )),
        (other, _) => other,
    }
}

/// Prints a JSON document on stdout.
pub fn print_json(document: &Value) -> Outcome {
    write(&self::document(document))
}

/// A JSON document as it is printed.
pub fn document(document: &Value) -> String {
    printable_json(&format!("{document:#}\n")).into_owned()
}

/// Prints the text of a JSON document on stdout.
pub fn print_document(text: &str) -> Outcome {
    write(&printable_json(text))
}

/// A path in a JSON document; invalid UTF-8 becomes U+FFFD, as elsewhere in the output.
pub fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// Maximum line width on stdout, from the terminal or `COLUMNS`; none if neither is known.
fn text_width() -> Option<usize> {
    let columns =
        || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns: &u16| columns >= 40);
    // A terminal without a size reports 0.
    Table::new().width().filter(|&columns| columns >= 20).or_else(columns).map(usize::from)
}

/// Maximum width of a table.
pub fn width() -> usize {
    text_width().unwrap_or(WIDTH.into())
}

/// Wraps lines between words to the terminal width; continuation lines are indented by two columns.
/// Without a terminal lines stay whole, so that programs can search them.
pub fn folded(text: &str) -> String {
    let Some(width) = text_width() else { return text.into() };
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.lines() {
        let mut length = 0;
        for word in line.split(' ') {
            let letters = word.chars().count();
            if length > 0 && length + 1 + letters > width {
                out.push_str("\n  ");
                length = 2;
            } else if length > 0 {
                out.push(' ');
                length += 1;
            }
            out.push_str(word);
            length += letters;
        }
        out.push('\n');
    }
    out.truncate(out.len() - usize::from(!text.ends_with('\n') && !text.is_empty()));
    out
}

fn written(outcome: io::Result<()>) -> Outcome {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Closed),
        Err(error) => Err(Failure::Failed(format!("writing to stdout: {error}"))),
    }
}

/// A table with these headings.
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width()).unwrap_or(WIDTH));
    table.set_header(headings);
    table
}

/// The device to run on.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceChoice {
    /// auto: a hardware GPU, else the CPU; gpu: any adapter; cpu: f32 on all cores; reference:
    /// plain f64
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceName,
    /// A GPU is opened with its matrix units.
    #[arg(skip)]
    matrix_units: bool,
}

/// Device names.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum DeviceName {
    /// A hardware GPU if present, else the CPU.
    Auto,
    /// Any adapter, including a software one.
    Gpu,
    /// f32 on all cores.
    Cpu,
    /// Plain f64.
    Reference,
}

impl DeviceChoice {
    /// The same device with its matrix units, if they are asked for.
    pub fn with_matrix_units(self, matrix_units: bool) -> Self {
        DeviceChoice { matrix_units, ..self }
    }

    /// Opens the device; `checked` compiles gradus's shaders with bounds checks.
    pub fn open(self, checked: bool) -> Outcome<Device> {
        self.open_with_reason(checked).map(|(device, _)| device)
    }

    /// Also returns why `auto` selected it.
    fn open_with_reason(self, checked: bool) -> Outcome<(Device, String)> {
        let mut reason = String::new();
        let device = match self.device {
            DeviceName::Auto => {
                let (device, why) = Device::auto_with_reason();
                reason = why;
                device
            }
            DeviceName::Gpu => Device::gpu()?,
            DeviceName::Cpu => Device::cpu(),
            DeviceName::Reference => Device::reference(),
        };
        let is_special = checked || self.matrix_units;
        let Device::Gpu(gpu) = device else { return Ok((device, reason)) };
        let gpu = match is_special {
            true => {
                let options = GpuOptions::from_env()?;
                let checked = options.checked || checked;
                let units = options.matrix_units || self.matrix_units;
                Gpu::open_with(options.checked(checked).matrix_units(units))?
            }
            false => gpu,
        };
        Ok((Device::Gpu(gpu), reason))
    }

    /// Opens the device and prints its name on stderr.
    pub fn open_and_report(self) -> Outcome<Device> {
        let (device, reason) = self.open_with_reason(false)?;
        let why = match (&device, self.device) {
            (Device::Cpu, DeviceName::Auto) => format!(" (auto: {reason})"),
            _ => String::new(),
        };
        note(&format!("device: {}{why}", device.describe()));
        if matches!(&device, Device::Gpu(gpu) if gpu.is_software()) {
            note(
                "warning: this adapter is software and runs on the CPU's own cores; `--device cpu` is faster",
            );
        }
        Ok(device)
    }
}

/// Exit code of an interrupted command, as shells report SIGINT.
pub const EXIT_CODE: u8 = 130;
