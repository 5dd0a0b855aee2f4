//! What all pictures share: colours, text, and an SVG that names itself to a screen reader.
//!
//! Text and axes are drawn in one colour that is replaced by the page's own (`currentColor`), so
//! that they are legible on light and dark backgrounds. The other colours are of medium brightness
//! and part for colour-blind readers too (after Okabe and Ito).

use std::fmt::Display;

use gradus::text::printable;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::output::{Failure, Outcome};
use crate::page::text::escaped;

/// Placeholder for the page's text colour; nothing else is drawn in it.
pub const INK: RGBColor = RGBColor(1, 2, 3);
const INK_IN_SVG: &str = "#010203";

/// Width of a picture in its own units: twice the pixels at which it is shown, since the backend
/// rounds places to whole units.
pub const WIDTH: i32 = 1120;

/// Height of ordinary text in a picture: 15 pixels in a wide window, 10 in one of 400 pixels.
pub const TEXT: i32 = 30;

/// Width of a letter of ordinary text, on average.
pub const LETTER: i32 = 16;

/// Where a picture is drawn.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours of a picture's parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Colour {
    Blue,
    Orange,
    Green,
    Purple,
    Red,
    Grey,
}

impl Colour {
    pub fn rgb(self) -> RGBColor {
        match self {
            Colour::Blue => RGBColor(45, 125, 220),
            Colour::Orange => RGBColor(222, 120, 20),
            Colour::Green => RGBColor(20, 150, 110),
            Colour::Purple => RGBColor(175, 95, 175),
            Colour::Red => RGBColor(214, 69, 65),
            Colour::Grey => RGBColor(130, 130, 130),
        }
    }

    /// Name of its class in the page's style.
    pub fn class(self) -> &'static str {
        match self {
            Colour::Blue => "blue",
            Colour::Orange => "orange",
            Colour::Green => "green",
            Colour::Purple => "purple",
            Colour::Red => "red",
            Colour::Grey => "grey",
        }
    }
}

/// Text of the given size, anchored at its position.
pub fn style(size: i32, horizontal: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

pub fn failed(error: impl Display) -> Failure {
    Failure::Failed(format!("drawing the page: {error}"))
}

/// Puts text onto a picture.
pub fn put(area: &Area, text: &str, size: i32, at: (i32, i32), horizontal: HPos) -> Outcome {
    area.draw(&Text::new(text.to_string(), at, style(size, horizontal))).map_err(failed)
}

/// An SVG of the given size, drawn by `draw`. `description` says what it shows to whoever does not
/// see it.
pub fn svg(
    (width, height): (i32, i32),
    description: &str,
    draw: impl FnOnce(&Area) -> Outcome,
) -> Outcome<String> {
    let mut text = String::new();
    {
        let size = (width.max(1) as u32, height.max(1) as u32);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    let text = text.replace(INK_IN_SVG, "currentColor");
    let description = escaped(description);
    let named = format!("<svg role=\"img\" aria-label=\"{description}\" ");
    let text = text.replacen("<svg ", &named, 1);
    Ok(text.replacen(">\n", &format!(">\n<title>{description}</title>\n"), 1))
}

/// A text cut to a number of letters, with an ellipsis where something is missing, and with control
/// characters visible.
pub fn cut(text: &str, letters: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= letters {
        return text.into_owned();
    }
    let kept: String = text.chars().take(letters.saturating_sub(1)).collect();
    format!("{kept}…")
}
