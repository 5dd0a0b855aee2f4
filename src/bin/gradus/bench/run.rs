//! The run: case after case in the time that there is, each told as it is measured.

use std::time::{Duration, Instant};

use gradus::Device;
use gradus::bench::{self, Case, Effort, Report, Size};
use indicatif::{ProgressBar, ProgressStyle};

use super::table;
use crate::interrupt::Interrupt;
use crate::output::{self, Outcome};

/// Share of a case's time that its samples may take: the rest goes to inputs, pipelines and first calls.
const SAMPLING: f64 = 0.3;

/// Samples of a case may take at least so long, however little time is left.
const LEAST_SECONDS: f64 = 0.05;

/// Hears of each case as it is measured.
pub trait Listener {
    /// The last `new` rows of the report are new.
    fn measured(&mut self, report: &Report, new: usize) -> Outcome;
    /// No more rows will come.
    fn ended(&mut self, report: &Report) -> Outcome;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// With all cases that there was time for.
    Whole,
    /// Somebody asked for it.
    Interrupted,
}

/// Measures each case on a device and on the CPU, in turns. With a time, each case gets a share of what is left of it.
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
        bar.set_message(format!("{} {}", case.name, table::shape(case.name, &case.shape)));
        let measured = bench::measure(case, &devices, effort(device, left, cases.len() - index))?;
        for skipped in &measured.skipped {
            let shape = table::shape(skipped.name, &skipped.shape);
            let report = format!(
                "skipped: {} {shape} on {}: {}",
                skipped.name, skipped.device, skipped.reason
            );
            bar.suspend(|| output::note(&report));
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
    // A template that cannot be read leaves the bar as it is.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// How thoroughly the next of so many cases is measured. The reference is for its digits: a few samples tell its order of magnitude.
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
