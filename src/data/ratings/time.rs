//! Times of interactions: Unix times of any unit, or ISO 8601 dates.

use crate::data::ratings::columns::{TimeColumn, shown};

/// Expected content of a time cell, for messages.
pub(super) const EXPECTED: &str = "a time: a number, or a date such as 2016-10-17 12:30:00";

/// State of reading the column of times.
pub(super) struct Times {
    column: Option<TimeColumn>,
    times: Vec<f64>,
    /// True if the first cell was a date: numbers and dates must not mix.
    are_dates: Option<bool>,
    /// Line and cell that show that the column holds no times despite its name.
    given_up: Option<(u64, String)>,
}

impl Times {
    pub fn new(column: Option<TimeColumn>) -> Self {
        Times { column, times: Vec::new(), are_dates: None, given_up: None }
    }

    /// Reads the time of a line; false on error. A column not named by the caller is dropped at the
    /// first invalid cell.
    pub fn add(&mut self, cells: &[String], line: u64) -> bool {
        let Some(column) = self.column.filter(|_| self.given_up.is_none()) else { return true };
        let cell = &cells[column.place];
        let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
        let is_date = number.is_none();
        match number
            .or_else(|| unix_time(cell))
            .filter(|_| self.are_dates.is_none_or(|dates| dates == is_date))
        {
            Some(time) => {
                self.are_dates = Some(is_date);
                self.times.push(time);
                true
            }
            None if column.is_named => false,
            None => {
                self.given_up = Some((line, shown(cell)));
                true
            }
        }
    }

    pub fn drop_last(&mut self) {
        self.times.pop();
    }

    /// The index and the text of the invalid cell.
    pub fn wrong_cell(&self, cells: &[String]) -> (usize, String) {
        let place = self.column.map_or(0, |column| column.place);
        (place, shown(&cells[place]))
    }

    /// Note that a column with a name for times holds none.
    pub fn note(&self, names: &[String]) -> Option<String> {
        let ((line, cell), column) =
            (self.given_up.as_ref()?, self.column.filter(|column| column.is_known)?);
        let name = &names[column.place];
        Some(format!("column `{name}` is not read as times: line {line} holds {cell}"))
    }

    pub fn finish(self) -> Option<Vec<f64>> {
        self.column.filter(|_| self.given_up.is_none()).map(|_| self.times)
    }
}

/// Parses `2016-10-17`, `2016/10/17 12:30`, `2016-10-17T12:30:00.5Z`, `2016-10-17 12:30:00+02:00`
/// to seconds since 1970.
fn unix_time(text: &str) -> Option<f64> {
    let (date, rest) = text.split_at_checked(10)?;
    let day = days(date)?;
    let rest = rest.strip_prefix(['T', ' ']).or_else(|| rest.is_empty().then_some(""))?;
    let rest = rest.trim_end_matches("UTC").trim_end();
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (&rest[..at], offset(&rest[at..])?),
        None => (rest, 0.0),
    };
    Some(day as f64 * 86400.0 + seconds(clock)? - offset)
}

/// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that a leap day is the
/// last day.
fn days(date: &str) -> Option<i64> {
    let mark = date.as_bytes().get(4).filter(|mark| matches!(mark, b'-' | b'/' | b'.'))?;
    let parts: Vec<i64> = date.split(char::from(*mark)).map(whole).collect::<Option<_>>()?;
    let [year, month, day] = parts[..] else { return None };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || !(1..=length[month as usize - 1]).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(
        365 * year + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (153 * month + 2) / 5
            + day
            - 719_469,
    )
}

fn whole(digits: &str) -> Option<i64> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Seconds of `12:30`, `12:30:15.5`; 0 if empty.
fn seconds(clock: &str) -> Option<f64> {
    if clock.is_empty() {
        return Some(0.0);
    }
    let mut parts = clock.split(':');
    let (hours, minutes) = (whole(parts.next()?)?, whole(parts.next()?)?);
    let seconds: f64 = parts.next().map_or(Some(0.0), |part| {
        part.parse().ok().filter(|_| part.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    let is_clock =
        hours < 25 && minutes < 60 && (0.0..61.0).contains(&seconds) && parts.next().is_none();
    is_clock.then(|| (hours * 3600 + minutes * 60) as f64 + seconds)
}

/// Seconds of `Z`, `+02:00`, `-0530`, `+02`.
fn offset(text: &str) -> Option<f64> {
    let (sign, digits) = text.split_at_checked(1)?;
    if sign.eq_ignore_ascii_case("z") {
        return digits.is_empty().then_some(0.0);
    }
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) =
        (digits.get(..2)?, digits.get(2..).filter(|rest| !rest.is_empty()).unwrap_or("00"));
    let seconds = (whole(hours)? * 3600 + whole(minutes)? * 60) as f64;
    Some(if sign == "-" { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::unix_time;

    #[test]
    fn dates_are_seconds_since_1970() {
        for (text, time) in [
            ("1970-01-01", 0.0),
            ("2000-02-29", 951_782_400.0),
            ("2016/10/17", 1_476_662_400.0),
            ("2016-10-17 12:30", 1_476_707_400.0),
            ("2016-10-17T12:30:00.5Z", 1_476_707_400.5),
            ("2016-10-17 14:30:00+02:00", 1_476_707_400.0),
            ("2016-10-17T07:00:00-0530", 1_476_707_400.0),
            ("2016-10-17 12:30:00 UTC", 1_476_707_400.0),
            ("1969-12-31", -86400.0),
        ] {
            assert_eq!(unix_time(text), Some(time), "{text}");
        }
        for text in [
            "",
            "x",
            "17.10.2016",
            "2016-13-01",
            "2015-02-29",
            "2016-10-17x",
            "2016-10-17 12",
            "2016-10-17 12:61",
            "2016-10-+7",
        ] {
            assert_eq!(unix_time(text), None, "{text}");
        }
    }
}
