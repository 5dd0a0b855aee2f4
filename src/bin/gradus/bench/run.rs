//! Benchmark run: measures one case after another within the time limit and reports each at once.

use std::time::{Duration, Instant};

use gradus::bench::{Case, Effort, Report, Size};
use gradus::{Device, bench};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::quantities;
use crate::interrupt::Interrupt;
use crate::output;
use crate::output::Outcome;

/// Fraction of a case's time for its samples; the rest goes to inputs, pipelines and first calls.
const SAMPLING: f64 = 0.3;

/// Minimum sampling time of a case in seconds, however little time remains.
const LEAST_SECONDS: f64 = 0.05;

/// Receives the measurements of a run.
pub trait Listener {
    /// Called after each case; the last `new` rows of the report are new.
    fn measured(&mut self, report: &Report, new: usize) -> Outcome;
    /// Called once after the last row.
    fn ended(&mut self, report: &Report) -> Outcome;
}

/// Reason for the end of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// All cases that the time allowed were measured.
    Whole,
    /// The user interrupted the run.
    Interrupted,
}

/// Measures each case on a device and on the CPU, alternating. With a time limit, the remaining
/// time is divided evenly among the remaining cases.
pub fn measure(
    cases: &[Case],
    device: &Device,
    size: Size,
    time: Option<Duration>,
    interrupt: &Interrupt,
    listener: &mut dyn Listener,
) -> Outcome<(Report, Ended)> {
    let start = Instant::now();
    let bar = bar(cases.len());
    let mut devices = vec![device.clone()];
    if !matches!(device, Device::Cpu) {
        devices.push(Device::cpu());
    }
    let mut report = Report::new(&devices, size);
    let mut ended = Ended::Whole;
    for (index, case) in cases.iter().enumerate() {
        let left = time.map(|time| time.saturating_sub(start.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            report_left_out(&cases[index..], time);
            break;
        }
        bar.set_message(format!("{} {}", case.name, quantities::shape(case.name, &case.shape)));
        let measured = bench::measure(case, &devices, effort(device, left, cases.len() - index))?;
        for skipped in &measured.skipped {
            let shape = quantities::shape(skipped.name, &skipped.shape);
            let message = format!(
                "skipped: {} {shape} on {}: {}",
                skipped.name, skipped.device, skipped.reason
            );
            bar.suspend(|| output::note(&message));
        }
        let new = measured.rows.len();
        report.add(measured);
        bar.suspend(|| listener.measured(&report, new))?;
        bar.inc(1);
        if interrupt.is_asked() {
            ended = Ended::Interrupted;
            break;
        }
    }
    bar.finish_and_clear();
    listener.ended(&report)?;
    Ok((report, ended))
}

fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    // Invalid templates keep the bar's default style.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Sampling effort of the next case, with `cases` left to measure. The reference device gets 3
/// samples: it is meant for accuracy, and a rough time suffices.
fn effort(device: &Device, left: Option<Duration>, cases: usize) -> Effort {
    let whole = Effort::default();
    let samples = if matches!(device, Device::Reference) { 3 } else { whole.samples };
    let share = left.map_or(whole.seconds, |left| SAMPLING * left.as_secs_f64() / cases as f64);
    Effort { samples, seconds: share.clamp(LEAST_SECONDS, whole.seconds) }
}

fn report_left_out(cases: &[Case], time: Option<Duration>) {
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.dedup();
    let (seconds, count) = (time.unwrap_or_default().as_secs_f64(), cases.len());
    let names = names.join(", ");
    output::note(&format!(
        "left out, since the {seconds} s were over (--seconds gives more): {count} cases of {names}"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_gets_a_share_of_the_time_that_is_left() {
        let cpu = Device::cpu();
        let seconds = |left, cases| effort(&cpu, Some(Duration::from_secs(left)), cases).seconds;
        assert!((seconds(100, 50) - 0.6).abs() < 1e-9);
        assert_eq!((seconds(0, 50), seconds(10_000, 1)), (LEAST_SECONDS, 40.0));
        assert_eq!(effort(&cpu, None, 50), Effort::default());
        assert_eq!(effort(&Device::reference(), None, 50).samples, 3);
    }
}
