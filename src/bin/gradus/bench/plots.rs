//! SVG plots of the page: bars of the fraction of its ceiling that each case reaches, and a
//! roofline for each device.

use gradus::bench::{DeviceReport, Measurement};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::bench::quantities;
use crate::output::Outcome;
use crate::page::svg::{self, Area, Colour, INK, failed, style};

const WIDTH: i32 = 1000;

/// Pixels of a bar with the space below it, of the names left of the bars, and of the title above
/// them.
const BAR: i32 = 16;
const NAMES: i32 = 250;
const TITLE: i32 = 40;

/// Colour of a device.
pub fn colour(device: &str) -> Colour {
    match device {
        "gpu" => Colour::Blue,
        "cpu" => Colour::Orange,
        _ => Colour::Grey,
    }
}

/// Fraction of its ceiling that a row reaches.
pub fn fraction(row: &Measurement) -> Option<f64> {
    row.copy_fraction.or(row.fma_fraction)
}

/// Bars of the rows compared with one ceiling, grouped by case; none if there are no rows.
pub fn bars(title: &str, rows: &[&Measurement]) -> Outcome<Option<String>> {
    let most = rows.iter().filter_map(|row| fraction(row)).fold(f64::NAN, f64::max);
    if most.is_nan() {
        return Ok(None);
    }
    // The axis always includes 100 %; bars beyond 200 % are cut and labelled with their number.
    let end = (1.1 * most).clamp(1.05, 2.0);
    let height = TITLE + BAR * rows.len() as i32 + 6 * cases(rows) as i32 + 50;
    let place = |share: f64| NAMES + (share.min(end) / end * f64::from(WIDTH - NAMES - 130)) as i32;
    svg::svg((WIDTH, height), title, |area| {
        let put = |text: String, size, at, horizontal| {
            area.draw(&Text::new(text, at, style(size, horizontal))).map_err(failed)
        };
        put(title.into(), 16, (NAMES, 14), HPos::Left)?;
        let bottom = height - 45;
        for tick in 0..=(end * 5.0) as i32 {
            let x = place(f64::from(tick) / 5.0);
            let line = if tick == 5 { INK.stroke_width(2) } else { INK.mix(0.2).stroke_width(1) };
            area.draw(&PathElement::new([(x, TITLE - 8), (x, bottom)], line)).map_err(failed)?;
            put(format!("{} %", 20 * tick), 12, (x, bottom + 12), HPos::Center)?;
        }
        put(
            "fraction of the ceiling in the same run".into(),
            13,
            (place(end / 2.0), bottom + 32),
            HPos::Center,
        )?;
        let mut y = TITLE;
        for (index, row) in rows.iter().enumerate() {
            let is_new = index == 0 || case(rows[index - 1]) != case(row);
            if is_new {
                y += if index == 0 { 0 } else { 6 };
                put(case(row), 13, (NAMES - 10, y + BAR / 2), HPos::Right)?;
            }
            let Some(share) = fraction(row) else { continue };
            let bar = Rectangle::new(
                [(place(0.0), y + 1), (place(share), y + BAR - 1)],
                colour(row.device).rgb().filled(),
            );
            area.draw(&bar).map_err(failed)?;
            // In a separate column, where no line crosses the text.
            let label = format!("{:.0} % · {}", 100.0 * share, quantities::time(row.seconds));
            put(label, 12, (place(end) + 10, y + BAR / 2), HPos::Left)?;
            y += BAR;
        }
        Ok(())
    })
    .map(Some)
}

fn case(row: &Measurement) -> String {
    format!("{} {}", row.name, quantities::shape(row.name, &row.shape))
}

fn cases(rows: &[&Measurement]) -> usize {
    1 + rows.windows(2).filter(|pair| case(pair[0]) != case(pair[1])).count()
}

/// A case in the roofline plot: operations per byte, and 10⁹ operations per second.
struct Point {
    name: String,
    x: f64,
    y: f64,
}

/// Roofline of a device: the limits of memory bandwidth and arithmetic at each intensity, and the
/// cases as points. None without both ceilings or without a case.
pub fn roofline(device: &DeviceReport, rows: &[Measurement]) -> Outcome<Option<String>> {
    let (Some(copy), Some(fma)) = (device.ceilings.copy_gb_per_s, device.ceilings.fma_gflop_per_s)
    else {
        return Ok(None);
    };
    let own = rows
        .iter()
        .filter(|row| row.device == device.device && !["copy", "read", "fma"].contains(&row.name));
    let points: Vec<Point> = own
        .filter_map(|row| {
            Some(Point {
                name: case(row),
                x: row.flops? as f64 / row.bytes? as f64,
                y: row.gflop_per_s?,
            })
        })
        .collect();
    if points.is_empty() {
        return Ok(None);
    }
    let least = |of: fn(&Point) -> f64| points.iter().map(of).fold(f64::MAX, f64::min);
    let most = |of: fn(&Point) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (left, right) =
        ((least(|p| p.x) / 2.0).min(0.2), (8.0 * most(|p| p.x)).max(2.0 * fma / copy));
    let (low, high) = ((least(|p| p.y) / 2.0).min(left * copy / 2.0), 2.5 * most(|p| p.y).max(fma));
    let caption = format!("Roofline of {}", device.device);
    svg::svg((WIDTH, 560), &caption, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(15)
            .margin_right(30)
            .caption(&caption, style(16, HPos::Center))
            .x_label_area_size(50)
            .y_label_area_size(70)
            .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(INK.mix(0.2))
            .light_line_style(INK.mix(0.06))
            .label_style(style(12, HPos::Left))
            .axis_desc_style(style(13, HPos::Center))
            .x_desc("arithmetic intensity, FLOP/byte (bytes that must move)")
            .y_desc("GFLOP/s")
            .x_label_formatter(&|x| quantities::rate(*x))
            .y_label_formatter(&|y| quantities::rate(*y))
            .draw()
            .map_err(failed)?;
        let roof = |rate: f64| [(left, left * rate), (fma / rate, fma), (right, fma)];
        chart.draw_series(LineSeries::new(roof(copy), INK.stroke_width(2))).map_err(failed)?;
        if let Some(read) = device.ceilings.read_gb_per_s {
            chart
                .draw_series(DashedLineSeries::new(
                    roof(read).into_iter().take(2),
                    6,
                    4,
                    INK.mix(0.6).stroke_width(1),
                ))
                .map_err(failed)?;
        }
        let dots = points
            .iter()
            .map(|point| Circle::new((point.x, point.y), 4, colour(device.device).rgb().filled()));
        chart.draw_series(dots).map_err(failed)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let (x, y) = at(right, fma);
        let label = format!("FMA kernel: {} GFLOP/s", quantities::rate(fma));
        area.draw(&Text::new(label, (x - 4, y - 10), style(12, HPos::Right))).map_err(failed)?;
        let label = match device.ceilings.read_gb_per_s {
            Some(read) => format!(
                "copy: {} GB/s, read (dashed): {} GB/s",
                quantities::rate(copy),
                quantities::rate(read)
            ),
            None => format!("copy: {} GB/s", quantities::rate(copy)),
        };
        // In the corner that lies above every roof.
        let (x, y) = at(left, high);
        area.draw(&Text::new(label, (x + 8, y + 10), style(12, HPos::Left))).map_err(failed)?;
        let places: Vec<(i32, i32)> = points.iter().map(|point| at(point.x, point.y)).collect();
        labels(area, &points, &places)
    })
    .map(Some)
}

/// Height of a line of labels and width of a letter, in pixels.
const LINE: i32 = 13;
const LETTER: f64 = 6.2;

/// A name right of each point, moved down until it overlaps neither a name nor a point, with a line
/// to its point if it was moved.
fn labels(area: &Area, points: &[Point], places: &[(i32, i32)]) -> Outcome {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&index| places[index].1);
    let mut taken: Vec<(i32, i32, i32)> = places.iter().map(|&(x, y)| (x - 5, x + 5, y)).collect();
    for index in order {
        let (x, y) = places[index];
        let (start, end) =
            (x + 9, x + 9 + (points[index].name.chars().count() as f64 * LETTER) as i32);
        let covers = |line: i32| {
            taken.iter().any(|&(a, b, other)| a < end && start < b && (other - line).abs() < LINE)
        };
        let line = (0..).map(|step| y + step).find(|&line| !covers(line)).unwrap_or(y);
        taken.push((start, end, line));
        if line - y > LINE / 2 {
            area.draw(&PathElement::new([(x, y), (start - 1, line)], INK.mix(0.4)))
                .map_err(failed)?;
        }
        let text = Text::new(points[index].name.as_str(), (start, line), style(11, HPos::Left));
        area.draw(&text).map_err(failed)?;
    }
    Ok(())
}
