//! Horizontal bars: one value for each name.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::output::Outcome;
use crate::page::svg::{Area, Colour, INK, LETTER, TEXT, WIDTH, cut, failed, put, svg};

/// Height of a bar with the space around it, and where the first one begins.
const BAR: i32 = 46;
const TOP: i32 = 12;

/// A bar: its name, its value, and the text behind it.
#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub text: String,
    pub colour: Colour,
    /// Half the length of the line over its end: the value's standard error or deviation.
    pub error: Option<f64>,
}

impl Bar {
    /// The value, and both ends of the line of its error.
    fn ends(&self) -> [f64; 3] {
        let error = self.error.filter(|error| error.is_finite()).unwrap_or(0.0).abs();
        [self.value, self.value - error, self.value + error]
    }
}

/// The SVG of bars from 0 on, to the left for values below; none without a finite value.
pub fn bars(description: &str, bars: &[Bar]) -> Outcome<Option<String>> {
    let finite = || bars.iter().flat_map(Bar::ends).filter(|value| value.is_finite());
    if finite().next().is_none() {
        return Ok(None);
    }
    let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
    let span = if high > low { high - low } else { 1.0 };
    let widest = |of: fn(&Bar) -> &str, most: usize| {
        let letters = bars.iter().map(|bar| of(bar).chars().count()).max().unwrap_or(0);
        (letters.min(most), LETTER * letters.min(most) as i32)
    };
    let (letters, names) = widest(|bar| &bar.name, 26);
    let (_, texts) = widest(|bar| &bar.text, 22);
    let (left, right) = (names + 24, WIDTH - texts - 24);
    let place = |value: f64| left + ((value - low) / span * f64::from(right - left)) as i32;
    let height = 2 * TOP + BAR * bars.len() as i32;
    svg((WIDTH, height), description, |area| {
        for (index, bar) in bars.iter().enumerate() {
            let y = TOP + BAR * index as i32;
            put(area, &cut(&bar.name, letters), TEXT, (left - 12, y + BAR / 2), HPos::Right)?;
            put(area, &cut(&bar.text, 22), TEXT, (right + 14, y + BAR / 2), HPos::Left)?;
            if bar.value.is_finite() {
                let (from, to) = (place(bar.value.min(0.0)), place(bar.value.max(0.0)));
                // A value of 0 is seen as a line.
                let corners = [(from, y + 5), (to.max(from + 2), y + BAR - 5)];
                let shape = Rectangle::new(corners, bar.colour.rgb().filled());
                area.draw(&shape).map_err(failed)?;
                let [_, least, most] = bar.ends();
                if most > least {
                    draw_error(area, place(least), place(most), y + BAR / 2)?;
                }
            }
        }
        let zero = [(place(0.0), TOP), (place(0.0), height - TOP)];
        area.draw(&PathElement::new(zero, INK.mix(0.6).stroke_width(2))).map_err(failed)
    })
    .map(Some)
}

/// A line with an upright at each end.
fn draw_error(area: &Area, from: i32, to: i32, y: i32) -> Outcome {
    for line in [[(from, y), (to, y)], [(from, y - 9), (from, y + 9)], [(to, y - 9), (to, y + 9)]] {
        let line = PathElement::new(line, INK.mix(0.8).stroke_width(3));
        area.draw(&line).map_err(failed)?;
    }
    Ok(())
}
