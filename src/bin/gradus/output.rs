//! What the commands share: stdout that survives a closed pipe, tables, the device and how it is announced, exit codes: 2 for what the
//! command line alone shows to be wrong, 1 for what shows once files, data or a device are looked at.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use gradus::text::{printable, printable_json, printable_lines};
use gradus::{Device, Error, Gpu, GpuOptions};
use serde_json::Value;

use crate::{interrupt, names};

/// Columns of a table where stdout is no terminal and `COLUMNS` says nothing.
const WIDTH: u16 = 100;

/// A line under the headings and none between the rows.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How a command ends.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command does not end well.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for what there is not.
    Usage(String),
    /// It could not be done.
    Failed(String),
    /// The user ended it, and what was done is saved.
    Interrupted(String),
    /// Errors that were told already.
    Told,
    /// Nobody reads stdout any more.
    Closed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(names::explain(&error))
    }
}

impl Failure {
    /// An error about what stands on the command line.
    pub fn usage(error: Error) -> Self {
        Failure::Usage(names::explain(&error))
    }

    /// The same with what else can be done.
    pub fn and(self, advice: &str) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{message}; {advice}")),
            Failure::Failed(message) => Failure::Failed(format!("{message}; {advice}")),
            other => other,
        }
    }

    /// The same with the flag that it is about.
    pub fn of(self, flag: &str) -> Self {
        match self {
            Failure::Usage(message) => Failure::Usage(format!("{flag}: {message}")),
            Failure::Failed(message) => Failure::Failed(format!("{flag}: {message}")),
            other => other,
        }
    }
}

/// Tells what went wrong, on one line.
pub fn exit_code(outcome: Outcome) -> ExitCode {
    let (code, message) = match outcome {
        // As `head` has read enough, all is well.
        Ok(()) | Err(Failure::Closed) => return ExitCode::SUCCESS,
        Err(Failure::Told) => return ExitCode::from(1),
        Err(Failure::Interrupted(message)) => {
            note(&format!("interrupted: {message}"));
            return ExitCode::from(interrupt::EXIT_CODE);
        }
        Err(Failure::Usage(message)) => (2, message),
        Err(Failure::Failed(message)) => (1, message),
    };
    error(&message);
    ExitCode::from(code)
}

/// An error on stderr: one line, whatever the message holds.
pub fn error(message: &str) {
    note(&format!("error: {}", message.split_whitespace().collect::<Vec<_>>().join(" ")));
}

/// A line on stderr. That stderr is closed is nobody's concern.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// The log on stderr, at the level that `RUST_LOG` names, else warnings of this crate alone.
pub fn begin_log() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("gradus=warn"))
        .format(|buffer, record| {
            let (level, message) =
                (record.level().as_str().to_lowercase(), record.args().to_string());
            writeln!(buffer, "{level}: {}", printable(&message))
        })
        .init();
}

/// Text on stdout.
pub fn print(text: &str) -> Outcome {
    write(&printable_lines(text))
}

fn write(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Text about a training that may be saved to a file. That nobody reads stdout any more ends it only where nothing else would be left of
/// it, and then not as if all were well.
pub fn print_beside(out: Option<&Path>, text: &str) -> Outcome {
    match (print(text), out) {
        (Err(Failure::Closed), Some(_)) => Ok(()),
        (Err(Failure::Closed), None) => Err(Failure::Failed(
            "stdout is closed, and without --out nothing is left of the training".into(),
        )),
        (other, _) => other,
    }
}

/// A JSON document on stdout.
pub fn print_json(document: &Value) -> Outcome {
    write(&self::document(document))
}

/// A JSON document as it is printed.
pub fn document(document: &Value) -> String {
    printable_json(&format!("{document:#}\n")).into_owned()
}

/// The text of a JSON document on stdout.
pub fn print_document(text: &str) -> Outcome {
    write(&printable_json(text))
}

/// A path in a JSON document: one that is no UTF-8 with U+FFFD where it is none, as it is shown elsewhere.
pub fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// How many columns a line on stdout may have: those of the terminal, or `COLUMNS`; none where nobody says.
fn text_width() -> Option<usize> {
    let columns =
        || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns: &u16| columns >= 40);
    // A terminal without a size says 0.
    Table::new().width().filter(|&columns| columns >= 20).or_else(columns).map(usize::from)
}

/// How many columns a table may have.
pub fn width() -> usize {
    text_width().unwrap_or(WIDTH.into())
}

/// Lines folded between words to the width of a terminal, what is folded two columns in. Where there is none they stay whole, so that a
/// program finds its words in one line.
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

/// Where the work runs.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceChoice {
    /// auto: a hardware GPU, else the CPU; gpu: any adapter; cpu: f32 on all cores; reference: plain f64
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceName,
}

/// The names of the devices.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum DeviceName {
    /// A hardware GPU if there is one, else the CPU.
    Auto,
    /// Any adapter, a software one too.
    Gpu,
    /// f32 on all cores.
    Cpu,
    /// Plain f64.
    Reference,
}

impl DeviceChoice {
    /// Opens the device; `checked` compiles our shaders with bounds checks.
    pub fn open(self, checked: bool) -> Outcome<Device> {
        self.open_with_reason(checked).map(|(device, _)| device)
    }

    /// The same with the reason why `auto` took it.
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
        Ok(match device {
            Device::Gpu(_) if checked => {
                (Device::Gpu(Gpu::open_with(GpuOptions::from_env()?.checked(true))?), reason)
            }
            device => (device, reason),
        })
    }

    /// Opens the device and says on stderr which it is.
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
