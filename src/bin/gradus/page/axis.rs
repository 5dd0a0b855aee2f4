//! Axes of charts: ranges, ticks, and where a value lies.

/// An axis: what it shows, and whether it is logarithmic.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    pub label: String,
    pub log: bool,
}

impl Axis {
    pub fn linear(label: &str) -> Self {
        Self { label: label.into(), log: false }
    }

    pub fn log(label: &str) -> Self {
        Self { label: label.into(), log: true }
    }

    /// Whether the axis has a place for a value.
    pub fn holds(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    /// The scale that shows all of the values that the axis has a place for, or none without one.
    pub fn scale(&self, values: impl Iterator<Item = f64>) -> Option<Scale> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|&value| self.holds(value)) {
            (low, high) = (low.min(value), high.max(value));
        }
        (low <= high).then(|| Scale::around(low, high, self.log))
    }
}

/// A range of values along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// A range with a small margin; one value alone gets a range around it.
    fn around(low: f64, high: f64, log: bool) -> Self {
        if log {
            let margin = if high > low { (high / low).powf(0.03) } else { 2.0 };
            let (low, high) =
                ((low / margin).max(f64::MIN_POSITIVE), (high * margin).min(f64::MAX));
            return Self { low, high, log };
        }
        let margin = match high - low {
            span if span > 0.0 && span.is_finite() => 0.04 * span,
            _ => (0.1 * high.abs()).clamp(1e-9, 1e300),
        };
        // An axis of values from 0 on begins at 0.
        let start = if low >= 0.0 && low - margin < 0.0 { 0.0 } else { low - margin };
        Self { low: start, high: high + margin, log }
    }

    /// Place of a value from 0 at the low end to 1 at the high one; beyond the ends, the end.
    pub fn share(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            // Halves first: the range of two large values of opposite sign overflows otherwise.
            (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// Round values within the range, some five to eight of them, with their texts.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values = if self.log { self.log_ticks() } else { self.linear_ticks() };
        values.into_iter().map(|value| (value, number(value))).collect()
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let span = self.high - self.low;
        if !span.is_finite() || span <= 0.0 {
            return vec![self.low];
        }
        let raw = span / 5.0;
        let decade = 10_f64.powf(raw.log10().floor());
        let step = decade
            * [1.0, 2.0, 5.0, 10.0].into_iter().find(|of| of * decade >= raw).unwrap_or(10.0);
        let first = (self.low / step).ceil();
        (0..12)
            .map(|index| (first + f64::from(index)) * step)
            .filter(|value| *value <= self.high)
            // −0 and the remains of a subtraction are 0.
            .map(|value| if value.abs() < 1e-9 * step { 0.0 } else { value })
            .collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
        let decades = (self.high / self.low).log10();
        let within = |value: &f64| (self.low..=self.high).contains(value);
        if decades < 1.0 {
            let linear = Self { log: false, ..*self }.linear_ticks();
            return linear.into_iter().filter(|value| *value > 0.0).collect();
        }
        let every = ((last - first) / 8 + 1).max(1);
        let factors: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        (first - 1..=last)
            .filter(|exponent| every == 1 || (exponent - first) % every == 0)
            .flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)))
            .filter(within)
            .collect()
    }
}

/// A value of an axis or a table in few letters: 0.03, 1e-5, 25, 1.5e6.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let digits = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Axis::linear("").scale([0.0, 1.0].into_iter()).unwrap();
        assert_eq!(texts(&scale), ["0", "0.5", "1"].map(String::from).as_slice());
        let scale = Axis::log("").scale([1e-5, 10.0].into_iter()).unwrap();
        assert_eq!(texts(&scale), ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10"]);
        let scale = Axis::log("").scale([0.3, 5.0].into_iter()).unwrap();
        assert_eq!(texts(&scale), ["0.5", "1", "2", "5"]);
        let scale = Axis::log("").scale([0.31, 0.9].into_iter()).unwrap();
        assert_eq!(texts(&scale), ["0.4", "0.6", "0.8"]);
    }

    #[test]
    fn odd_ranges_have_a_scale_and_none_has_none() {
        assert!(Axis::linear("").scale([f64::NAN, f64::INFINITY].into_iter()).is_none());
        assert!(Axis::log("").scale([0.0, -1.0].into_iter()).is_none());
        for values in [[0.0, 0.0], [-1e308, 1e308], [5.0, 5.0], [1e-300, 1e300]] {
            for axis in [Axis::linear(""), Axis::log("")] {
                let Some(scale) = axis.scale(values.into_iter()) else { continue };
                assert!(!scale.ticks().is_empty() && scale.ticks().len() < 13, "{values:?}");
                for value in values {
                    assert!((0.0..=1.0).contains(&scale.share(value)), "{values:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.03, 0.00001, 25.0, 1_500_000.0, 1234.5, 0.12345].map(number);
        assert_eq!(texts, ["0", "0.03", "1e-5", "25", "1.5e6", "1234", "0.123"]);
    }
}
