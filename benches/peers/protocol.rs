//! Protocol shared by all Rust workers: one request per line on stdin, one answer per line on
//! stdout. README.md describes it.
//!
//! Each worker includes this file as a module. It depends neither on gradus nor on a peer, so that
//! all are timed alike.
#![allow(dead_code, reason = "not every worker needs every method")]

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

/// A worker answers with an error instead of exiting.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One line of stdin.
#[derive(Deserialize)]
pub struct Request {
    /// `hello`, `inputs` (only gradus), `prepare`, `run`, `drop` or `quit`.
    #[serde(rename = "do")]
    pub what: String,
    /// The name of the case.
    #[serde(default)]
    pub case: String,
    /// The case's sizes, described in README.md.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// Training steps per call.
    #[serde(default)]
    pub steps: usize,
    /// The folder of the inputs.
    #[serde(default)]
    pub inputs: PathBuf,
    /// Indices of the entries to report, by result.
    #[serde(default)]
    pub at: BTreeMap<String, Vec<usize>>,
    /// Calls per sample.
    #[serde(default)]
    pub times: usize,
}

/// Results of a call: a value, if any, and tensors by name.
#[derive(Default)]
pub struct Found {
    pub value: Option<f64>,
    pub tensors: Vec<(&'static str, Vec<f32>)>,
}

/// A prepared case: inputs on the device.
pub trait Prepared {
    /// Makes the given number of calls and waits until the device has finished them.
    fn run(&mut self, times: usize) -> Result<()>;

    /// Results of the last call.
    fn found(&mut self) -> Result<Found>;

    /// Milliseconds for the given number of calls. Only overridden by a worker whose library has
    /// its own clock.
    fn clock(&mut self, times: usize) -> Result<f64> {
        let start = Instant::now();
        self.run(times)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

impl Request {
    /// An input of 32-bit floats, little-endian.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let bytes = read(&self.inputs.join(format!("{name}.f32")))?;
        Ok(bytes
            .chunks_exact(4)
            .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect())
    }

    /// An input of 32-bit integers, little-endian.
    pub fn integers(&self, name: &str) -> Result<Vec<i32>> {
        let bytes = read(&self.inputs.join(format!("{name}.i32")))?;
        Ok(bytes
            .chunks_exact(4)
            .map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect())
    }

    /// The sizes, exactly `N` of them.
    pub fn sizes<const N: usize>(&self) -> Result<[usize; N]> {
        let sizes = self.shape.as_slice().try_into();
        sizes.map_err(|_| format!("{}: {:?} must have {N} sizes", self.case, self.shape).into())
    }

    /// Rows of the training data: `epoch` has 10,000 and a short last batch, `train_step` only full
    /// batches.
    pub fn rows(&self, batch: usize, steps: usize) -> usize {
        if self.case == "epoch" { 10_000.min(batch * steps) } else { batch * steps }
    }

    /// Batch size, widths of the layers and number of batches of a training case.
    pub fn network(&self) -> Result<(usize, &[usize], usize)> {
        match self.shape.split_first() {
            Some((&batch, widths)) if widths.len() > 1 && batch > 0 && self.steps > 0 => {
                Ok((batch, widths, self.steps))
            }
            _ => Err(format!(
                "{}: {:?} must be a batch and widths, with steps",
                self.case, self.shape
            )
            .into()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The norm of a tensor and its requested entries.
fn summary(values: &[f32], at: Option<&Vec<usize>>) -> Result<Value> {
    let norm = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let places = at.map(Vec::as_slice).unwrap_or_default();
    let entries: Option<Vec<f32>> =
        places.iter().map(|&place| values.get(place).copied()).collect();
    let entries = entries.ok_or_else(|| format!("only {} entries", values.len()))?;
    // JSON has no NaN: as text a wrong number is still transmitted, and rejected.
    let text: Vec<String> = entries.iter().map(f32::to_string).collect();
    Ok(json!({ "length": values.len(), "norm": norm.to_string(), "entries": text }))
}

/// The complete answer to `prepare`: the time and the results of the first call.
fn prepared(request: &Request, work: &mut dyn Prepared) -> Result<Value> {
    let start = Instant::now();
    work.run(1)?;
    let first = start.elapsed().as_secs_f64() * 1e3;
    let found = work.found()?;
    let mut tensors = serde_json::Map::new();
    for (name, values) in &found.tensors {
        tensors.insert((*name).into(), summary(values, request.at.get(*name))?);
    }
    Ok(
        json!({ "value": found.value.map(|value| value.to_string()), "tensors": tensors, "first_milliseconds": first }),
    )
}

type Made = Result<Option<Box<dyn Prepared>>>;

/// Answers requests until `quit` or the end of stdin.
pub fn serve(device: &str, version: &str, mut make: impl FnMut(&Request) -> Made) {
    let mut work = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let mut answer = match answer(&line, version, &mut work, &mut make) {
            Ok(None) => return,
            Ok(Some(answer)) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        answer["device"] = device.into();
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// The answer to one line; `None` for `quit`.
fn answer(
    line: &str,
    version: &str,
    work: &mut Option<Box<dyn Prepared>>,
    make: &mut impl FnMut(&Request) -> Made,
) -> Result<Option<Value>> {
    let request: Request = serde_json::from_str(line)?;
    Ok(Some(match request.what.as_str() {
        "quit" => return Ok(None),
        "hello" => json!({ "version": version }),
        "drop" => {
            *work = None;
            json!({})
        }
        "inputs" => {
            make(&request)?;
            json!({})
        }
        "prepare" => {
            *work = None;
            let made = make(&request)?.ok_or_else(|| format!("no case {}", request.case))?;
            prepared(&request, &mut **work.insert(made))?
        }
        "run" => {
            let times = request.times.max(1);
            let work = work.as_mut().ok_or("nothing is prepared")?;
            json!({ "milliseconds": work.clock(times)? / times as f64 })
        }
        other => return Err(format!("what is `{other}`?").into()),
    }))
}
