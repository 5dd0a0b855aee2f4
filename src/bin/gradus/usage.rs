//! Bad usage, told in one line: what was given and what is allowed.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output::{self, Failure, Outcome};

/// Help and version go to stdout; an error becomes one line.
pub fn report(error: &clap::Error) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print(&error.render().to_string()),
        _ => Err(Failure::Usage(of_value(error).unwrap_or_else(|| one_line(&error.render().to_string())))),
    }
}

/// A value that its flag does not take, as all such errors are told: `--epochs is 0; it must be …`.
fn of_value(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let (argument, value) = (word(ContextKind::InvalidArg)?, word(ContextKind::InvalidValue)?);
    let flag = argument.split_whitespace().next()?;
    (error.kind() == ErrorKind::ValueValidation).then_some(())?;
    Some(format!("{flag} is {value}; {}", error.source()?))
}

/// The help, and an error that names the commands: `gradus` alone asks for nothing.
pub fn which_command(command: &clap::Command) -> Outcome {
    output::print(&command.clone().render_help().to_string())?;
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    Err(Failure::Usage(format!("a command is needed: {}", names.join(", "))))
}

/// clap's message without its usage and its hint to the help, on one line.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines = message.lines().map(str::trim);
    let told = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    told.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line_that_keeps_what_is_allowed() {
        let message = "error: invalid value 'tpu' for '--device <D>'\n  [possible values: auto, gpu]\n\nFor more information, try '--help'.\n";
        assert_eq!(one_line(message), "invalid value 'tpu' for '--device <D>' [possible values: auto, gpu]");
        let message = "error: unexpected argument '--quik' found\n\n  tip: a similar argument exists: '--quick'\n\nUsage: gradus bench\n";
        assert_eq!(one_line(message), "unexpected argument '--quik' found tip: a similar argument exists: '--quick'");
    }
}
