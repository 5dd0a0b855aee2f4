//! Headline cases measured on other machines, for comparison with this machine's results.

use gradus::bench::{Measurement, Report};
use serde::Deserialize;

use crate::bench::quantities;

/// Written by `benches/card/report.py` from the results of `gradus bench --json`.
const KEPT: &str = include_str!("../../../../benches/results/machines.json");

/// The most informative cases of a machine.
const HEADLINES: [(&str, &[usize], &str); 6] = [
    ("copy", &[1 << 24], "copy"),
    ("mse", &[1 << 24], "mse"),
    ("cross_entropy", &[4096, 1000], "cross-e."),
    ("matmul", &[1024, 1024, 1024], "matmul"),
    ("train_step", &[64, 784, 128, 10], "step"),
    ("epoch", &[10_000, 64, 784, 10, 10], "epoch"),
];

/// Widths of the name column and of a figure's column: 80 in all.
const NAME: usize = 26;
const WIDTH: usize = 9;

/// A device of a machine, with the seconds of the headline cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    name: String,
    #[expect(dead_code, reason = "for who reads the file")]
    date: String,
    seconds: Vec<Option<f64>>,
}

/// Table of the headline cases on this machine's devices and on the recorded ones; empty if none of
/// them was measured here.
pub fn table(report: &Report) -> String {
    let own: Vec<(String, Vec<Option<f64>>)> = report
        .devices
        .iter()
        .map(|device| (format!("here: {}", device.device), of(&report.rows, device.device)))
        .collect();
    if own.iter().all(|(_, seconds)| seconds.iter().flatten().count() < 2) {
        return String::new();
    }
    // A test reads the file; a user need not know if it cannot be read.
    let kept: Vec<Machine> = serde_json::from_str(KEPT).unwrap_or_default();
    let kept = kept.into_iter().map(|machine| (machine.name, machine.seconds));
    let headings = HEADLINES.map(|(.., heading)| format!("{heading:>WIDTH$}"));
    let mut text = format!("\n{:NAME$}{}\n", "beside other machines", headings.concat());
    for (name, seconds) in own.into_iter().chain(kept) {
        let cells = seconds
            .iter()
            .map(|found| format!("{:>WIDTH$}", found.map_or("-".into(), quantities::time)));
        text += &format!("{name:NAME$}{}\n", cells.collect::<String>());
    }
    text
}

fn of(rows: &[Measurement], device: &str) -> Vec<Option<f64>> {
    let found = |name: &str, shape: &[usize]| {
        rows.iter()
            .find(|row| row.name == name && row.shape == shape && row.device == device)
            .map(|row| row.seconds)
    };
    HEADLINES.iter().map(|(name, shape, _)| found(name, shape)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_machines_are_read_and_have_a_number_for_each_headline() {
        let kept: Vec<Machine> = serde_json::from_str(KEPT).unwrap();
        assert!(!kept.is_empty());
        for machine in kept {
            assert_eq!(machine.seconds.len(), HEADLINES.len(), "{}", machine.name);
            assert!(
                machine.seconds.iter().flatten().all(|seconds| *seconds > 0.0),
                "{}",
                machine.name
            );
            assert!(
                machine.name.chars().count() < NAME,
                "{} is too long for its column",
                machine.name
            );
        }
    }
}
