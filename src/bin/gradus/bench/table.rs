//! What was measured, for people at a terminal.

use comfy_table::CellAlignment;
use gradus::bench::{Measurement, Report};

use crate::output;

/// A shape as it is spoken: 2²⁴, 1024×32000, 64×784-128-10 (a batch through layers), 10000 rows of an epoch.
pub fn shape(name: &str, shape: &[usize]) -> String {
    let joined = |axes: &[usize], between: &str| axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between);
    match (name, shape) {
        ("fma", _) => String::new(),
        ("train_step", [batch, layers @ ..]) => format!("{batch}×{}", joined(layers, "-")),
        ("epoch", [rows, batch, layers @ ..]) => format!("{rows}/{batch}×{}", joined(layers, "-")),
        (_, [n]) if n.is_power_of_two() && *n >= 1024 => format!("2{}", raised(n.ilog2())),
        _ => joined(shape, "×"),
    }
}

fn raised(number: u32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    number.to_string().chars().filter_map(|digit| DIGITS.get(digit.to_digit(10)? as usize)).collect()
}

/// Four digits that matter, and a unit that keeps them before the point: 36.34 ms, 412 µs.
pub fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (1e3 * s, "ms"),
        s => (1e6 * s, "µs"),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// 5.54, 101, 47000: three digits that matter.
pub fn rate(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

/// How far the samples lie apart: the 10th and 90th percentile as a distance from the median.
pub fn spread(row: &Measurement) -> String {
    let percent = |seconds: f64| 100.0 * (seconds / row.seconds - 1.0);
    format!("{:+.0} {:+.0} %", percent(row.seconds_p10), percent(row.seconds_p90))
}

/// What of its ceiling a case reaches, and which that is.
pub fn of_ceiling(row: &Measurement) -> String {
    let told = |fraction: Option<f64>, ceiling| fraction.map(|share| format!("{:.0} % of {ceiling}", 100.0 * share));
    told(row.copy_fraction, "copy").or_else(|| told(row.fma_fraction, "fma")).unwrap_or_default()
}

/// The ceilings of each device, a line each.
pub fn ceilings(report: &Report) -> String {
    let told = |value: Option<f64>, unit: &str| value.map_or("?".into(), |value| format!("{} {unit}", rate(value)));
    let lines = report.devices.iter().map(|device| {
        let found = device.ceilings;
        format!(
            "{}: {}\n     copy {}, read {}, fma {}\n",
            device.device,
            device.description,
            told(found.copy_gb_per_s, "GB/s"),
            told(found.read_gb_per_s, "GB/s"),
            told(found.fma_gflop_per_s, "GFLOP/s")
        )
    });
    lines.collect()
}

/// The measures.
pub fn as_table(rows: &[Measurement]) -> String {
    let headings = [
        "what",
        "device",
        "shape",
        "median",
        "p10 p90",
        "first call",
        "GB/s",
        "GFLOP/s",
        "of its ceiling",
        "CPU ÷",
        "n",
        "clock",
    ];
    let mut table = output::table(&headings);
    for row in rows {
        // Operations of losses are nominal: what they are told for is the roofline plot.
        let gflop_per_s = row.gflop_per_s.filter(|_| row.bound == "arithmetic");
        let gb_per_s = row.gb_per_s.filter(|_| row.bound == "memory");
        table.add_row(vec![
            row.name.into(),
            row.device.into(),
            shape(row.name, &row.shape),
            time(row.seconds),
            spread(row),
            time(row.first_call_seconds),
            gb_per_s.map_or(String::new(), rate),
            gflop_per_s.map_or(String::new(), rate),
            of_ceiling(row),
            row.cpu_ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            row.samples.to_string(),
            if row.clock == "timestamps" { "device".into() } else { row.clock.into() },
        ]);
        if let (Some(seconds), Some(fraction)) = (row.fused_seconds, row.fused_fraction) {
            let mut by_hand = vec![String::new(); headings.len()];
            by_hand[0] = "└ by hand".into();
            by_hand[1] = row.device.into();
            by_hand[3] = time(seconds);
            by_hand[8] = format!("{} is {:.0} % of it", row.name, 100.0 * fraction);
            table.add_row(by_hand);
        }
    }
    for column in [3, 4, 5, 6, 7, 9, 10] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_written_as_they_are_spoken() {
        assert_eq!(shape("mse", &[1 << 24]), "2²⁴");
        assert_eq!(shape("mse", &[1000]), "1000");
        assert_eq!(shape("cross_entropy", &[4096, 1000]), "4096×1000");
        assert_eq!(shape("train_step", &[64, 784, 128, 10]), "64×784-128-10");
        assert_eq!(shape("epoch", &[10_000, 64, 784, 10, 10]), "10000/64×784-10-10");
    }

    #[test]
    fn times_keep_three_digits_and_a_unit() {
        for (seconds, text) in [(2.5, "2.50 s"), (0.036_34, "36.3 ms"), (0.000_412, "412 µs"), (1e-6, "1.00 µs")] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!([5.543, 27.88, 47_000.4].map(rate), ["5.54", "27.9", "47000"]);
    }
}
