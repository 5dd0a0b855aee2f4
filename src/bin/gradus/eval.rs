//! `gradus eval`: answers cases in JSON one by one.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use gradus::{Device, Error, cases};
use serde_json::{Value, json};

use crate::names;
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::strict_json::Strict;

/// Answers cases in JSON: a loss with its inputs in, value and gradients out
#[derive(Args)]
pub struct Eval {
    /// A JSON array of cases; `-` reads stdin
    file: PathBuf,
    #[command(flatten)]
    device: DeviceChoice,
    /// Compile gradus's shaders with wgpu's bounds checks
    #[arg(long, hide = true)]
    checked: bool,
}

impl Eval {
    pub fn run(&self) -> Outcome {
        let cases = read(&self.file)?;
        let device = self.device.open(self.checked)?;
        let answers: Vec<Value> = cases.iter().map(|case| answer(case, &device)).collect();
        output::print_document(&as_array(&answers))?;
        let mut failed = false;
        for (index, answer) in answers.iter().enumerate() {
            if let Some(message) = answer["error"].as_str() {
                failed = true;
                output::error(&format!("case {index} {}: {message}", answer["name"]));
            }
        }
        if failed { Err(Failure::Printed) } else { Ok(()) }
    }
}

/// As [`cases::answer`]; the error for an unknown name suggests the nearest one instead of listing
/// all eighty.
fn answer(case: &Value, device: &Device) -> Value {
    let name = case.get("name").cloned().unwrap_or(Value::Null);
    match cases::evaluate(case, device) {
        Ok(mut found) => {
            found.shift_insert(0, "name".into(), name);
            Value::Object(found)
        }
        Err(error) => json!({ "name": name, "error": names::explain(&error) }),
    }
}

/// A JSON array with one answer per line.
fn as_array(answers: &[Value]) -> String {
    let lines: Vec<String> = answers.iter().map(Value::to_string).collect();
    format!("[{}]\n", lines.join(",\n"))
}

fn read(file: &Path) -> Outcome<Vec<Value>> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { PathBuf::from("standard input") } else { file.to_path_buf() };
    let mut bytes = Vec::new();
    let outcome = if is_stdin {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|content| bytes = content)
    };
    outcome.map_err(|source| Failure::from(Error::Io { path: name.clone(), source }).of("FILE"))?;
    parse(&name, &bytes)
}

fn parse(name: &Path, bytes: &[u8]) -> Outcome<Vec<Value>> {
    let refused = |line: usize, column: usize, found: String| {
        Failure::from(Error::Data {
            path: name.into(),
            position: format!("line {line}, column {column}"),
            found,
            expected: "a JSON array of cases".into(),
        })
    };
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Array(cases))) => Ok(cases),
        Ok(Strict(other)) => {
            let before =
                &bytes[..bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0)];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            Err(refused(line, column, kind(&other).into()))
        }
        Err(error) => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_string();
            Err(refused(error.line(), error.column(), message))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
