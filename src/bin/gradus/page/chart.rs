//! Charts: lines, dots and columns over an axis, with a marked band and marked values.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::output::Outcome;
use crate::page::axis::{Axis, Scale};
use crate::page::svg::{Area, Colour, INK, LETTER, TEXT, WIDTH, cut, failed, put, style, svg};

const HEIGHT: i32 = 700;
const LEFT: i32 = 150;
const RIGHT: i32 = 30;
const BOTTOM: i32 = 110;

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// A line through the points, in their order; a point without a place breaks it.
    Line,
    /// A dashed line, for a limit or a model beside the data.
    Dashed,
    /// A line with a dot at each point.
    Points,
    /// Dots alone.
    Dots,
    /// A column from 0 to each point, as wide as the distance to the next: a histogram.
    Columns,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub colour: Colour,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
}

/// A picture of series over two axes.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What the picture shows, for whoever does not see it.
    pub description: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// A range of x to shade, and its name.
    pub band: Option<(f64, f64, String)>,
    /// Values of x to mark by a vertical line, and their names.
    pub marks: Vec<(f64, String, Colour)>,
}

impl Chart {
    /// A chart of no series yet.
    pub fn new(description: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { description: description.into(), x, y, ..Self::default() }
    }

    /// Adds a series.
    pub fn series(
        mut self,
        name: &str,
        colour: Colour,
        mark: Mark,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let points = points.into_iter().collect();
        self.series.push(Series { name: name.into(), colour, mark, points });
        self
    }

    /// Shades a range of x.
    pub fn band(mut self, from: f64, to: f64, name: &str) -> Self {
        self.band = Some((from, to, name.into()));
        self
    }

    /// Marks a value of x.
    pub fn mark(mut self, at: f64, name: &str, colour: Colour) -> Self {
        self.marks.push((at, name.into(), colour));
        self
    }

    /// The SVG; none if no point has a place on both axes.
    pub fn svg(&self) -> Outcome<Option<String>> {
        let points = || {
            let all = self.series.iter().flat_map(|series| &series.points);
            all.filter(|(x, y)| self.x.holds(*x) && self.y.holds(*y))
        };
        let marked = self.marks.iter().map(|(at, ..)| *at);
        let columns = self.series.iter().any(|series| series.mark == Mark::Columns);
        let floor = (columns && !self.y.log).then_some(0.0);
        let (Some(x), Some(y)) = (
            self.x.scale(points().map(|(x, _)| *x).chain(marked)),
            self.y.scale(points().map(|(_, y)| *y).chain(floor)),
        ) else {
            return Ok(None);
        };
        if points().next().is_none() {
            return Ok(None);
        }
        let legend = self.legend();
        let top = 20 + legend.iter().map(|(line, ..)| line + 1).max().unwrap_or(0) * 42;
        let frame = Frame { x, y, top };
        svg((WIDTH, HEIGHT + top), &self.description, |area| {
            self.draw_band(area, &frame)?;
            self.draw_axes(area, &frame)?;
            for series in &self.series {
                self.draw_series(area, &frame, series)?;
            }
            for (at, _, colour) in self.marks.iter().filter(|(at, ..)| self.x.holds(*at)) {
                let line = [(frame.x(*at), top), (frame.x(*at), frame.bottom())];
                let line = PathElement::new(line, colour.rgb().stroke_width(4));
                area.draw(&line).map_err(failed)?;
            }
            for (line, left, name, colour) in &legend {
                let y = 24 + line * 42;
                let square =
                    Rectangle::new([(*left, y - 11), (left + 22, y + 11)], colour.filled());
                area.draw(&square).map_err(failed)?;
                put(area, name, TEXT, (left + 34, y), HPos::Left)?;
            }
            Ok(())
        })
        .map(Some)
    }

    /// Names of series, band and marks: line, place from the left, text and colour of each.
    fn legend(&self) -> Vec<(i32, i32, String, RGBAColor)> {
        let series = self.series.iter().map(|series| (&series.name, series.colour.rgb().mix(1.0)));
        let band = self.band.iter().map(|(.., name)| (name, band_colour()));
        let marks = self.marks.iter().map(|(_, name, colour)| (name, colour.rgb().mix(1.0)));
        let (mut line, mut left) = (0, LEFT);
        let mut placed = Vec::new();
        for (name, colour) in series.chain(band).chain(marks).filter(|(name, _)| !name.is_empty()) {
            let name = cut(name, 56);
            let width = 34 + LETTER * name.chars().count() as i32 + 36;
            if left > LEFT && left + width > WIDTH {
                (line, left) = (line + 1, LEFT);
            }
            placed.push((line, left, name, colour));
            left += width;
        }
        placed
    }

    fn draw_band(&self, area: &Area, frame: &Frame) -> Outcome {
        let Some((from, to, _)) = &self.band else { return Ok(()) };
        if !self.x.holds(*from) || !self.x.holds(*to) {
            return Ok(());
        }
        // A band of one value is still seen.
        let (left, right) = (frame.x(*from) - 4, frame.x(*to) + 4);
        let corners = [(left, frame.top), (right, frame.bottom())];
        area.draw(&Rectangle::new(corners, band_colour().filled())).map_err(failed)
    }

    fn draw_axes(&self, area: &Area, frame: &Frame) -> Outcome {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, frame.bottom());
        let line = |from: (i32, i32), to: (i32, i32), strength: f64| {
            let line = PathElement::new([from, to], INK.mix(strength).stroke_width(2));
            area.draw(&line).map_err(failed)
        };
        for (value, text) in frame.y.ticks() {
            line((left, frame.y(value)), (right, frame.y(value)), 0.15)?;
            put(area, &text, TEXT, (left - 12, frame.y(value)), HPos::Right)?;
        }
        for (value, text) in frame.x.ticks() {
            line((frame.x(value), frame.top), (frame.x(value), bottom), 0.15)?;
            put(area, &text, TEXT, (frame.x(value), bottom + 24), HPos::Center)?;
        }
        line((left, bottom), (right, bottom), 1.0)?;
        line((left, frame.top), (left, bottom), 1.0)?;
        let middle = (left + right) / 2;
        put(area, &cut(&self.x.label, 56), TEXT, (middle, bottom + 72), HPos::Center)?;
        let turned = style(TEXT, HPos::Center).transform(FontTransform::Rotate270);
        let place = (26, (frame.top + bottom) / 2);
        area.draw(&Text::new(cut(&self.y.label, 36), place, turned)).map_err(failed)
    }

    fn draw_series(&self, area: &Area, frame: &Frame, series: &Series) -> Outcome {
        let colour = series.colour.rgb();
        let has_place = |point: &(f64, f64)| self.x.holds(point.0) && self.y.holds(point.1);
        let place = |point: &(f64, f64)| (frame.x(point.0), frame.y(point.1));
        if matches!(series.mark, Mark::Line | Mark::Points | Mark::Dashed) {
            for piece in series.points.split(|point| !has_place(point)) {
                let places: Vec<(i32, i32)> = piece.iter().map(place).collect();
                let pieces =
                    if series.mark == Mark::Dashed { dashes(&places) } else { vec![places] };
                for places in pieces {
                    let line = PathElement::new(places, colour.stroke_width(4));
                    area.draw(&line).map_err(failed)?;
                }
            }
        }
        let mut points = series.points.iter().filter(|point| has_place(point));
        match series.mark {
            Mark::Points => {
                points.try_for_each(|point| dot(area, place(point), 8, colour.mix(1.0)))
            }
            Mark::Dots => points.try_for_each(|point| dot(area, place(point), 6, colour.mix(0.6))),
            Mark::Columns => self.columns(area, frame, series),
            Mark::Line | Mark::Dashed => Ok(()),
        }
    }

    /// The last column is as wide as the one before it.
    fn columns(&self, area: &Area, frame: &Frame, series: &Series) -> Outcome {
        let points = &series.points;
        let floor = if self.y.log { frame.bottom() } else { frame.y(0.0) };
        for (index, (x, y)) in points.iter().enumerate() {
            if !self.x.holds(*x) || !self.y.holds(*y) {
                continue;
            }
            let left = frame.x(*x);
            let right = match (points.get(index + 1), index.checked_sub(1)) {
                (Some((next, _)), _) if self.x.holds(*next) => frame.x(*next),
                (_, Some(before)) if self.x.holds(points[before].0) => {
                    2 * left - frame.x(points[before].0)
                }
                _ => left + 40,
            };
            let right = right.clamp(left + 1, (WIDTH - RIGHT).max(left + 1));
            let (high, low) = (frame.y(*y).min(floor), frame.y(*y).max(floor));
            let corners = [(left, high), ((right - 2).max(left + 1), low)];
            let column = Rectangle::new(corners, series.colour.rgb().mix(0.7).filled());
            area.draw(&column).map_err(failed)?;
        }
        Ok(())
    }
}

fn band_colour() -> RGBAColor {
    Colour::Green.rgb().mix(0.22)
}

fn dot(area: &Area, at: (i32, i32), size: i32, colour: RGBAColor) -> Outcome {
    area.draw(&Circle::new(at, size, colour.filled())).map_err(failed)
}

/// Dashes along a line.
fn dashes(places: &[(i32, i32)]) -> Vec<Vec<(i32, i32)>> {
    const LENGTHS: [f64; 2] = [14.0, 10.0];
    let (mut dashes, mut dash) = (Vec::new(), places.first().map_or(Vec::new(), |at| vec![*at]));
    let (mut is_drawn, mut left) = (true, LENGTHS[0]);
    for ends in places.windows(2) {
        let [(x, y), (u, v)] = [ends[0], ends[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = (u - x).hypot(v - y);
        let mut at = 0.0;
        while length - at > left {
            at += left;
            let share = at / length;
            let place =
                ((x + share * (u - x)).round() as i32, (y + share * (v - y)).round() as i32);
            dash.push(place);
            if is_drawn {
                dashes.push(std::mem::take(&mut dash));
            }
            dash = vec![place];
            is_drawn = !is_drawn;
            left = LENGTHS[usize::from(!is_drawn)];
        }
        left -= length - at;
        dash.push(ends[1]);
    }
    if is_drawn {
        dashes.push(dash);
    }
    dashes
}

/// Where the values of a chart lie in its picture.
struct Frame {
    x: Scale,
    y: Scale,
    top: i32,
}

impl Frame {
    fn bottom(&self) -> i32 {
        self.top + HEIGHT - BOTTOM
    }

    fn x(&self, value: f64) -> i32 {
        LEFT + (self.x.share(value) * f64::from(WIDTH - RIGHT - LEFT)).round() as i32
    }

    fn y(&self, value: f64) -> i32 {
        self.bottom() - (self.y.share(value) * f64::from(self.bottom() - self.top)).round() as i32
    }
}
