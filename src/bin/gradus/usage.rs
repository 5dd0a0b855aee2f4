//! One-line usage errors: the given value and the allowed ones.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::names;
use crate::output::{self, Failure, Outcome};

/// Help and version go to stdout; an error becomes one line.
pub fn report(error: &clap::Error) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::print(&error.render().to_string())
        }
        _ => Err(Failure::Usage(
            in_one_line(error).unwrap_or_else(|| one_line(&error.render().to_string())),
        )),
    }
}

/// Device names used by other frameworks.
const DEVICES: [(&str, &str); 12] = [
    ("cuda", "gpu"),
    ("rocm", "gpu"),
    ("hip", "gpu"),
    ("mps", "gpu"),
    ("metal", "gpu"),
    ("vulkan", "gpu"),
    ("dx12", "gpu"),
    ("wgpu", "gpu"),
    ("nvidia", "gpu"),
    ("amd", "gpu"),
    ("xpu", "gpu"),
    ("host", "cpu"),
];

/// Errors about a value, a flag or a command, in the style of gradus's own: `--epochs is 0; it must
/// be …`.
fn in_one_line(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let list = |kind| match error.get(kind) {
        Some(ContextValue::Strings(words)) => words.iter().map(String::as_str).collect(),
        Some(ContextValue::String(word)) => vec![word.as_str()],
        _ => Vec::new(),
    };
    let argument =
        word(ContextKind::InvalidArg).and_then(|argument| argument.split_whitespace().next());
    match error.kind() {
        ErrorKind::ValueValidation => Some(format!(
            "{} is {}; {}",
            argument?,
            word(ContextKind::InvalidValue)?,
            error.source()?
        )),
        ErrorKind::InvalidValue => {
            let (flag, value, known) =
                (argument?, word(ContextKind::InvalidValue)?, list(ContextKind::ValidValue));
            if value.is_empty() && known.is_empty() {
                return Some(format!("{flag} is empty; name a file or a value"));
            }
            if value.is_empty() {
                return Some(format!("{flag} has no value; it must be {}", known.join(", ")));
            }
            let hint = names::did_you_mean(meant(flag, value, &known));
            Some(format!("{flag} is {value}; {hint}it must be one of {}", known.join(", ")))
        }
        ErrorKind::UnknownArgument => {
            let hint = list(ContextKind::SuggestedArg);
            let hint = names::did_you_mean(hint.first().copied());
            Some(format!("unknown argument `{}`; {hint}`--help` shows those there are", argument?))
        }
        ErrorKind::InvalidSubcommand => {
            let (found, known) =
                (word(ContextKind::InvalidSubcommand)?, list(ContextKind::SuggestedSubcommand));
            // clap sorts its suggestions with the best one last.
            let near = names::nearest(found, known.iter().copied()).or(known.last().copied());
            let hint = names::did_you_mean(near);
            Some(format!("unknown command `{found}`; {hint}`gradus --help` shows those there are"))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = list(ContextKind::InvalidArg);
            let is_data = missing.iter().any(|argument| argument.starts_with("--data "));
            is_data.then(|| {
                let (is, others) = match missing.len() {
                    1 => ("is", String::new()),
                    _ => ("are", format!("{} and ", others(&missing, "--data "))),
                };
                format!("{others}--data PATH {is} missing: a table or arrays; a model of text takes --text FILE")
            })
        }
        _ => None,
    }
}

/// The arguments that do not begin so, in one line.
fn others(arguments: &[&str], begin: &str) -> String {
    let others = arguments.iter().copied().filter(|argument| !argument.starts_with(begin));
    others.collect::<Vec<_>>().join(", ")
}

/// The value that was probably meant.
fn meant<'a>(flag: &str, value: &str, known: &[&'a str]) -> Option<&'a str> {
    // Accept `cuda:0` as a device too.
    let name = value.to_lowercase();
    let name = name.split(':').next().unwrap_or_default();
    let elsewhere = DEVICES.iter().find(|(other, _)| flag == "--device" && *other == name);
    match elsewhere {
        Some((_, own)) => known.iter().copied().find(|known| known == own),
        None => names::nearest(value, known.iter().copied()),
    }
}

/// Prints the help and returns an error that names the commands: `gradus` alone is not a valid
/// call.
pub fn which_command(command: &clap::Command) -> Outcome {
    output::print(&command.clone().render_help().to_string())?;
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    Err(Failure::Usage(format!("a command is needed: {}", names.join(", "))))
}

/// clap's message on one line, without usage and the hint to the help.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines = message.lines().map(str::trim);
    let kept = lines.take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    kept.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line_that_keeps_what_is_allowed() {
        let message = "error: invalid value 'tpu' for '--device <D>'\n  [possible values: auto, gpu]\n\nFor more information, try '--help'.\n";
        assert_eq!(
            one_line(message),
            "invalid value 'tpu' for '--device <D>' [possible values: auto, gpu]"
        );
        let message = "error: unexpected argument '--quik' found\n\n  tip: a similar argument exists: '--quick'\n\nUsage: gradus bench\n";
        assert_eq!(
            one_line(message),
            "unexpected argument '--quik' found tip: a similar argument exists: '--quick'"
        );
    }
}
