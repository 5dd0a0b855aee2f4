//! Horizontal bars: one value for each name.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::output::Outcome;
use crate::page::svg::{Colour, INK, LETTER, TEXT, WIDTH, cut, failed, put, svg};

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
}

/// The SVG of bars from 0 on, to the left for values below; none without a finite value.
pub fn bars(description: &str, bars: &[Bar]) -> Outcome<Option<String>> {
    let finite = || bars.iter().map(|bar| bar.value).filter(|value| value.is_finite());
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
                let bar = Rectangle::new(corners, bar.colour.rgb().filled());
                area.draw(&bar).map_err(failed)?;
            }
        }
        let zero = [(place(0.0), TOP), (place(0.0), height - TOP)];
        area.draw(&PathElement::new(zero, INK.mix(0.6).stroke_width(2))).map_err(failed)
    })
    .map(Some)
}
