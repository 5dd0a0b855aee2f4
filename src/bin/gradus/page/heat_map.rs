//! Heat maps: a table of values as shades, as of a confusion matrix.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::output::Outcome;
use crate::page::axis::number;
use crate::page::svg::{Colour, INK, LETTER, TEXT, WIDTH, cut, failed, put, style, svg};

/// Most columns whose cells have room for their numbers.
const WITH_NUMBERS: usize = 12;

/// A table of values with the names of its rows and columns. Values below 0 are drawn in a colour
/// of their own; those that are not finite stay blank.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// What the picture shows, for whoever does not see it.
    pub description: String,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    /// What the rows and the columns are.
    pub row_label: String,
    pub column_label: String,
    /// Row after row.
    pub values: Vec<f64>,
}

impl HeatMap {
    /// The SVG; none without a finite value.
    pub fn svg(&self) -> Outcome<Option<String>> {
        let most = self.values.iter().filter(|value| value.is_finite());
        let Some(most) = most.map(|value| value.abs()).reduce(f64::max) else { return Ok(None) };
        let letters = self.rows.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(18);
        let left = 60 + LETTER * letters as i32;
        let columns = self.columns.len().max(1);
        let cell = ((WIDTH - left - 20) / columns as i32).clamp(2, 160);
        let high = cell.min(80).max(if self.rows.len() > 40 { 2 } else { 34 });
        let name = self.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(14);
        let names = if cell >= TEXT { LETTER * name as i32 + 30 } else { 0 };
        let bottom = 10 + high * self.rows.len() as i32;
        let height = bottom + names + 60;
        svg((WIDTH, height), &self.description, |area| {
            for (row, name) in self.rows.iter().enumerate() {
                let y = 10 + high * row as i32;
                if high >= TEXT {
                    put(area, &cut(name, 18), TEXT, (left - 12, y + high / 2), HPos::Right)?;
                }
                for column in 0..self.columns.len() {
                    let value = self.values.get(row * columns + column).copied();
                    let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                    let x = left + cell * column as i32;
                    let share = if most > 0.0 { value.abs() / most } else { 0.0 };
                    let colour = if value < 0.0 { Colour::Orange } else { Colour::Blue };
                    let corners = [(x, y), (x + cell - 1, y + high - 1)];
                    let shade = Rectangle::new(corners, colour.rgb().mix(0.85 * share).filled());
                    area.draw(&shade).map_err(failed)?;
                    if columns <= WITH_NUMBERS && high >= TEXT {
                        let at = (x + cell / 2, y + high / 2);
                        put(area, &number(value), 24, at, HPos::Center)?;
                    }
                }
            }
            if names > 0 {
                for (column, name) in self.columns.iter().enumerate() {
                    let turned = style(TEXT, HPos::Right).transform(FontTransform::Rotate270);
                    let at = (left + cell * column as i32 + cell / 2, bottom + 10);
                    area.draw(&Text::new(cut(name, 14), at, turned)).map_err(failed)?;
                }
            }
            let corners = [(left, 10), (left + cell * self.columns.len() as i32, bottom)];
            let frame = Rectangle::new(corners, INK.mix(0.3).stroke_width(2));
            area.draw(&frame).map_err(failed)?;
            let middle = left + cell * self.columns.len() as i32 / 2;
            put(area, &cut(&self.column_label, 40), TEXT, (middle, height - 24), HPos::Center)?;
            let turned = style(TEXT, HPos::Center).transform(FontTransform::Rotate270);
            let at = (22, (10 + bottom) / 2);
            area.draw(&Text::new(cut(&self.row_label, 30), at, turned)).map_err(failed)
        })
        .map(Some)
    }
}
