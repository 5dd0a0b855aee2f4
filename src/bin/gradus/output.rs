//! What the commands share: stdout that survives a closed pipe, tables, the device and how it is announced, exit codes: 2 for what the
//! command line alone shows to be wrong, 1 for what shows once files, data or a device are looked at.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use gradus::{Device, Error, Gpu, GpuOptions};
use serde_json::Value;

use crate::{interrupt, names};

/// Columns of a table where stdout is no terminal.
const WIDTH: u16 = 160;

/// A line under the headings and none between the rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

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
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text on stdout.
pub fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Text about a training that may be saved to a file. That nobody reads stdout any more ends it only where nothing else would be left of
/// it, and then not as if all were well.
pub fn print_beside(out: Option<&Path>, text: &str) -> Outcome {
    match (print(text), out) {
        (Err(Failure::Closed), Some(_)) => Ok(()),
        (Err(Failure::Closed), None) => {
            Err(Failure::Failed("stdout is closed, and without --out nothing is left of the training".into()))
        }
        (other, _) => other,
    }
}

/// A JSON document on stdout.
pub fn print_json(document: &Value) -> Outcome {
    print(&format!("{document:#}\n"))
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
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
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
        let device = match self.device {
            DeviceName::Auto => Device::auto(),
            DeviceName::Gpu => Device::gpu()?,
            DeviceName::Cpu => Device::cpu(),
            DeviceName::Reference => Device::reference(),
        };
        match device {
            Device::Gpu(_) if checked => Ok(Device::Gpu(Gpu::open_with(GpuOptions::from_env()?.checked(true))?)),
            device => Ok(device),
        }
    }

    /// Opens the device and says on stderr which it is.
    pub fn open_and_tell(self) -> Outcome<Device> {
        let device = self.open(false)?;
        let why = match (&device, self.device) {
            (Device::Cpu, DeviceName::Auto) => " (auto: no hardware GPU was found)",
            _ => "",
        };
        note(&format!("device: {}{why}", device.describe()));
        if matches!(&device, Device::Gpu(gpu) if gpu.is_software()) {
            note("warning: this adapter is software and runs on the CPU's own cores; `--device cpu` is faster");
        }
        Ok(device)
    }
}
