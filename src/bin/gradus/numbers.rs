//! Parsers for numbers on the command line, each with its own bounds. An error names the flag, the
//! value and the allowed range, before anything is read.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Number of epochs, rows of a batch or items of a list.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, 1..=u64::from(u32::MAX)).and_then(to_size)
}

/// Length of an embedding.
pub fn components(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, 1..=4096).and_then(to_size)
}

/// Maximum number of draws per interaction.
pub fn draws(text: &str) -> Result<u32, String> {
    whole(text, 1..=65_536).map(|found| found as u32)
}

/// Number of repetitions; may be 0.
pub fn times(text: &str) -> Result<usize, String> {
    whole(text, 0..=u64::from(u32::MAX)).map(|found| found as usize)
}

/// Seed of the random numbers.
pub fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// Fraction of the rows, less than 1.
pub fn share(text: &str) -> Result<f64, String> {
    real(text, |share: f64| (0.0..1.0).contains(&share), "in [0, 1)")
}

/// A sum of probabilities to draw from, more than 0.
pub fn probability(text: &str) -> Result<f64, String> {
    real(text, |share: f64| share > 0.0 && share <= 1.0, "in (0, 1]")
}

/// A positive limit or rate.
pub fn positive(text: &str) -> Result<f64, String> {
    real(text, |value: f64| value > 0.0 && value.is_finite(), "finite and > 0")
}

/// Longest time in seconds, some thirty years: much larger values overflow a duration.
const LONGEST: f64 = 1e9;

/// A time in seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    real(text, |seconds: f64| seconds > 0.0 && seconds <= LONGEST, "> 0 and at most 1e9")
}

/// A penalty or a rate, ≥ 0.
pub fn not_negative(text: &str) -> Result<f64, String> {
    real(text, |value: f64| value >= 0.0 && value.is_finite(), "finite and >= 0")
}

/// A rating in stars.
pub fn rating(text: &str) -> Result<f32, String> {
    real(text, |value: f32| value.is_finite(), "a finite number")
}

fn to_size(found: u64) -> Result<NonZeroUsize, String> {
    usize::try_from(found)
        .ok()
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| "it must be a whole number from 1 on".into())
}

fn whole(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let found = text.parse().ok().filter(|found| allowed.contains(found));
    found.ok_or_else(|| {
        format!("it must be a whole number from {} to {}", allowed.start(), allowed.end())
    })
}

fn real<T: FromStr + Copy>(
    text: &str,
    allowed: impl Fn(T) -> bool,
    domain: &str,
) -> Result<T, String> {
    text.parse().ok().filter(|&value| allowed(value)).ok_or_else(|| format!("it must be {domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_or_out_of_its_bounds_is_answered_with_what_is_allowed() {
        for text in ["0", "-3", "1.5", "many", "", "4294967296", "99999999999999999999999"] {
            assert_eq!(
                count(text).unwrap_err(),
                "it must be a whole number from 1 to 4294967295",
                "{text}"
            );
        }
        for text in ["1", "2", "-0.1", "NaN", "x"] {
            assert_eq!(share(text).unwrap_err(), "it must be in [0, 1)", "{text}");
        }
        assert!(
            positive("0").is_err() && positive("inf").is_err() && not_negative("-1e-9").is_err()
        );
        for text in ["0", "-1", "1e20", "1e10", "inf", "NaN"] {
            assert_eq!(seconds(text).unwrap_err(), "it must be > 0 and at most 1e9", "{text}");
        }
        assert_eq!(
            std::time::Duration::from_secs_f64(seconds("1e9").unwrap()).as_secs(),
            1_000_000_000
        );
        assert!(components("4097").is_err() && draws("65537").is_err());
        assert!(rating("NaN").is_err() && rating("-inf").is_err() && seed("-1").is_err());
        assert_eq!(
            (count("20").unwrap().get(), share("0").unwrap(), rating("-1.5").unwrap()),
            (20, 0.0, -1.5)
        );
        assert_eq!((seed("18446744073709551615").unwrap(), times("0").unwrap()), (u64::MAX, 0));
    }
}
