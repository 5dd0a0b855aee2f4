//! Compiles the library's shaders with AMD's production compiler, without a card, and prints its
//! statistics.
//!
//! ```text
//! cargo run --release --example isa -- gfx1100 [NAME…] [--fast] [--json] [--baseline FILE] [--against FILE] [--exceptions] [--bound]
//! ```
//!
//! FAMILY is gfx1100, navi21, navi10, vega10 or polaris10; a NAME is a substring of a program's
//! label, for example `cross_entropy` or `matmul`. The table has one line per label: registers, spills,
//! scratch memory, occupancy and instructions of its worst variant, and its broken limits. It needs
//! Linux with Mesa's RADV driver (Debian: apt-get install mesa-vulkan-drivers libvulkan1).
//!
//! * `--fast`: one program per label, as in the test without `GRADUS_ISA=all`
//! * `--json`: every program with all its numbers, as one JSON document on stdout instead of the
//!   table
//! * `--baseline FILE`: writes only the groups, in the format of `benches/results/isa-FAMILY.json`
//! * `--against FILE`: prints the changes since a baseline, for the selected labels
//! * `--exceptions`: prints the lines for `examples/isa/exceptions.txt`
//! * `--bound`: for each loss of elements and of rows the instructions per four elements, and
//!   whether the memory of a card bounds it or the arithmetic (gfx1100, navi21, vega10)

mod bound;
mod compile;
mod compiler;
mod inner;
mod limits;
mod statistics;

use std::io::Write;
use std::process::ExitCode;

use statistics::{Baseline, Group, Row};

const USAGE: &str = "isa FAMILY [NAME…] [--fast] [--json] [--baseline FILE] [--against FILE] [--exceptions] [--bound]";

/// The command line.
#[derive(Debug, Default)]
struct Arguments {
    family: String,
    names: Vec<String>,
    fast: bool,
    json: bool,
    baseline: Option<String>,
    against: Option<String>,
    exceptions: bool,
    bound: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut file = || words.next().map(Some).ok_or(format!("{word} asks for a file: {USAGE}"));
        match word.as_str() {
            "--fast" => found.fast = true,
            "--exceptions" => found.exceptions = true,
            "--bound" => found.bound = true,
            "--json" => found.json = true,
            "--baseline" => found.baseline = file()?,
            "--against" => found.against = file()?,
            flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}: {USAGE}")),
            _ if found.family.is_empty() => found.family = word,
            _ => found.names.push(word),
        }
    }
    if compiler::FAMILIES.contains(&found.family.as_str()) {
        return Ok(found);
    }
    let given = if found.family.is_empty() {
        "no family was given".into()
    } else {
        format!("unknown family `{}`", found.family)
    };
    Err(format!("{given}; known: {}; {USAGE}", compiler::FAMILIES.join(", ")))
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if compiler::family_of_this_process().is_none_or(|family| family != arguments.family) {
        let manifest = compiler::manifest()
            .ok_or("Mesa's RADV driver is not installed (Debian: apt-get install mesa-vulkan-drivers libvulkan1)")?;
        let mut again = compiler::command_for(&arguments.family, &manifest)
            .map_err(|error| error.to_string())?;
        let status =
            again.args(std::env::args_os().skip(1)).status().map_err(|error| error.to_string())?;
        return Ok(ExitCode::from(
            status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        ));
    }
    let compiler = compiler::Compiler::open()?;
    if arguments.bound {
        say(&bound::table(&compiler, &arguments.family, &arguments.names)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut programs = compile::programs(&arguments.names, arguments.fast)?;
    if compiler.has_units {
        programs.extend(compile::unit_programs(&arguments.names));
    }
    if programs.is_empty() {
        return Err(format!("no program has {} in its label", arguments.names.join(" or ")));
    }
    eprintln!("{} ({}): {} programs", compiler.name, compiler.driver, programs.len());
    let (rows, refused) = compile::all(&compiler, &programs);
    for line in &refused {
        eprintln!("refused: {line}");
    }
    report(arguments, &compiler, &rows)?;
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(
    arguments: &Arguments,
    compiler: &compiler::Compiler,
    rows: &[Row],
) -> Result<(), String> {
    let groups = statistics::groups(rows);
    let write = |path: &str, text: String| {
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
    };
    let date = gradus::bench::now();
    if arguments.json {
        let document = serde_json::json!({
            "family": arguments.family, "device": compiler.name, "driver": compiler.driver, "date": date, "programs": rows,
        });
        say(&format!("{document:#}\n"));
    }
    if let Some(path) = &arguments.baseline {
        let (device, driver) = (compiler.name.clone(), compiler.driver.clone());
        let baseline = Baseline {
            family: arguments.family.clone(),
            device,
            driver,
            date,
            groups: groups.clone(),
        };
        write(path, baseline.to_json().map_err(|error| error.to_string())?)?;
    }
    if arguments.json {
        return Ok(());
    }
    if let Some(path) = &arguments.against {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let before: Baseline =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        let lines = statistics::differences(&before.groups, &groups);
        let lines = if lines.is_empty() { "nothing changed".into() } else { lines.join("\n") };
        say(&format!("since {} ({}):\n{lines}\n", before.date, before.driver));
        return Ok(());
    }
    if arguments.exceptions {
        say(&limits::to_text(&limits::broken(&arguments.family, rows)));
        return Ok(());
    }
    say(&format!("{}{}", table(&groups, &arguments.family, rows), complaints(arguments, rows)?));
    Ok(())
}

/// Writes text to stdout. A closed pipe, as from `head`, is not an error.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn table(groups: &[Group], family: &str, rows: &[Row]) -> String {
    let broken = limits::broken(family, rows);
    let mut lines = String::from(
        " VGPRs  spills  scratch    LDS  waves  instructions  programs  label: limits that it breaks\n",
    );
    for group in groups {
        let own = broken.iter().filter(|one| one.label == group.label);
        let own: Vec<String> =
            own.map(|one| format!("{} in {}", one.limit.name(), one.programs)).collect();
        let report = if own.is_empty() { String::new() } else { format!(": {}", own.join(", ")) };
        lines += &format!(
            "{:6}  {:6}  {:7}  {:5}  {:5}  {:12}  {:8}  {}{report}\n",
            group.vgprs,
            group.spills,
            group.scratch,
            group.lds,
            group.waves,
            group.instructions,
            group.programs,
            group.label
        );
    }
    let programs: usize = broken.iter().map(|one| one.programs).sum();
    lines
        + &format!(
            "{} programs in {} groups; a limit is broken {programs} times\n",
            rows.len(),
            groups.len()
        )
}

/// Differences from the list of exceptions, in the test's wording.
fn complaints(arguments: &Arguments, rows: &[Row]) -> Result<String, String> {
    let list = limits::parse(include_str!("exceptions.txt"))?;
    let whole = arguments.names.is_empty() && !arguments.fast;
    let lines = limits::complaints(&arguments.family, rows, &list, whole);
    let report = if lines.is_empty() { "nothing".into() } else { lines.join("\n") };
    Ok(format!("\nwhat the list of exceptions does not cover:\n{report}\n"))
}
