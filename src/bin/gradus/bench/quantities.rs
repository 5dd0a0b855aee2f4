//! Quantities as the tables show them.

use gradus::bench::Measurement;

/// A shape in readable notation: 2²⁴, 1024×32000, 64×784-128-10 (a batch through layers), 10000
/// rows of an epoch.
pub fn shape(name: &str, shape: &[usize]) -> String {
    let joined = |axes: &[usize], between: &str| {
        axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
    };
    match (name, shape) {
        ("fma", _) => String::new(),
        ("train_step", [batch, layers @ ..]) => format!("{batch}×{}", joined(layers, "-")),
        ("epoch", [rows, batch, layers @ ..]) => format!("{rows}/{batch}×{}", joined(layers, "-")),
        (_, [n]) if n.is_power_of_two() && *n >= 1024 => format!("2{}", raised(n.ilog2())),
        _ => joined(shape, "×"),
    }
}

pub(super) fn raised(number: u32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    number
        .to_string()
        .chars()
        .filter_map(|digit| DIGITS.get(digit.to_digit(10)? as usize))
        .collect()
}

/// Four significant digits, with a unit that keeps them before the decimal point: 36.34 ms, 412 µs.
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

/// Three significant digits: 5.54, 101, 47000.
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

/// Fraction of its ceiling that a case reaches, and the name of that ceiling.
pub fn of_ceiling(row: &Measurement) -> String {
    let of = |fraction: Option<f64>, ceiling| {
        fraction.map(|share| format!("{:.0} % of {ceiling}", 100.0 * share))
    };
    of(row.copy_fraction, "copy").or_else(|| of(row.fma_fraction, "fma")).unwrap_or_default()
}

/// Fraction of its ceiling that a row reaches: of the copy bandwidth if memory-bound, of the
/// multiply-add rate if compute-bound.
pub(super) fn fraction(row: &Measurement) -> Option<f64> {
    row.copy_fraction.or(row.fma_fraction)
}
