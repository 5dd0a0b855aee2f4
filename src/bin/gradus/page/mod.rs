//! Pages of results: one HTML file with text, tables and pictures, without script and without
//! anything to fetch. It is legible in narrow and wide windows, on light and dark screens, and on
//! paper.
//!
//! Sections stand in the order in which they are added: first what can be acted on. All text is
//! escaped, whatever file it came from.

pub mod axis;
pub mod bars;
pub mod chart;
pub mod heat_map;
pub mod photo;
pub mod svg;
mod text;

use std::fmt::Write as _;
use std::ops::RangeFrom;
use std::path::Path;

use gradus::files;

use crate::output::{self, Failure, Outcome};
use crate::page::bars::Bar;
use crate::page::chart::Chart;
use crate::page::heat_map::HeatMap;
use crate::page::photo::Pixels;
use crate::page::svg::Colour;
use crate::page::text::escaped;

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1f24; --line: #d5d9e0; --shade: #f3f5f8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e2e5ea; --line: #3a404a; --shade: #1d2128; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; overflow-wrap: anywhere; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2.2em; }
p, li { max-width: 50em; }
figure { margin: 1em 0; max-width: 720px; } figure.wide { max-width: 100%; }
svg { max-width: 100%; width: 100%; height: auto; display: block; }
figcaption { font-size: 14px; }
pre { background: var(--shade); padding: .6em .8em; overflow-x: auto; font-size: 13px; }
pre.marked { white-space: pre-wrap; overflow-wrap: anywhere; print-color-adjust: exact; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--line); padding: 2px 9px; text-align: left; vertical-align: top; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5em, 1fr)); gap: 1em; list-style: none; padding: 0; font-size: 13px; }
.photos li { break-inside: avoid; } .photos img { width: 72px; height: auto; image-rendering: pixelated; vertical-align: top; margin: 0 4px 4px 0; }
td.wide { white-space: normal; min-width: 18em; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.blue { color: #2d7ddc; } .orange { color: #de7814; } .green { color: #14966e; } .purple { color: #af5faf; } .red { color: #d64541; } .grey { color: #828282; }
@media print { body { margin: 0; max-width: none; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll, pre { overflow: visible; } table, pre { white-space: normal; overflow-wrap: anywhere; } }
";

/// The opacity of the strongest mark behind a text: more of it would hide the letters.
const STRONGEST: f64 = 0.55;

/// A photograph, what is drawn beside it, and their texts.
#[derive(Clone, Debug)]
pub struct Photo {
    pub pixels: Pixels,
    /// What it shows, for whoever does not see it.
    pub what: String,
    /// A picture beside it, and what that shows.
    pub beside: Option<(Pixels, String)>,
    /// The text below.
    pub text: String,
}

/// A page under construction.
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with its title and a line of where it comes from: data, model, versions, date.
    pub fn new(title: &str, origin: &str) -> Self {
        let mut page = Self { title: title.into(), body: format!("<h1>{}</h1>\n", escaped(title)) };
        page.paragraph(origin);
        page
    }

    /// Begins a section.
    pub fn section(&mut self, heading: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escaped(heading));
    }

    /// A paragraph; nothing for an empty text.
    pub fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = writeln!(self.body, "<p>{}</p>", escaped(text));
        }
    }

    /// A list of points.
    pub fn list<T: AsRef<str>>(&mut self, points: impl IntoIterator<Item = T>) {
        let points: String = points
            .into_iter()
            .map(|point| format!("<li>{}</li>\n", escaped(point.as_ref())))
            .collect();
        if !points.is_empty() {
            let _ = write!(self.body, "<ul>\n{points}</ul>\n");
        }
    }

    /// A command line or other text to copy, line by line.
    pub fn code(&mut self, text: &str) {
        let lines: Vec<String> = text.lines().map(escaped).collect();
        let _ = writeln!(self.body, "<pre><code>{}</code></pre>", lines.join("\n"));
    }

    /// A text whose pieces are marked by their numbers: orange where they are above 0, blue where they
    /// are below, the stronger the larger; `what` says it in words.
    pub fn marked(&mut self, pieces: &[(String, f64)], what: &str) {
        let finite = pieces.iter().map(|(_, value)| value.abs()).filter(|value| value.is_finite());
        let most = finite.fold(0.0, f64::max);
        let piece = |(text, value): &(String, f64)| {
            let share = if most > 0.0 { value.abs() / most } else { 0.0 };
            let share = if share.is_finite() { STRONGEST * share } else { 0.0 };
            let colour = if *value > 0.0 { "222,120,20" } else { "45,125,220" };
            format!("<span style=\"background:rgba({colour},{share:.2})\">{}</span>", escaped(text))
        };
        let pieces: String = pieces.iter().map(piece).collect();
        let _ = writeln!(
            self.body,
            "<figure class=\"wide\"><pre class=\"marked\">{pieces}</pre><figcaption>{}</figcaption></figure>",
            escaped(what)
        );
    }

    /// Names in their colours, as above a picture.
    pub fn legend(&mut self, names: &[(&str, Colour)]) {
        let names = names
            .iter()
            .map(|(name, colour)| {
                // The colours part from each other, not from the paper: text has the page's.
                let class = colour.class();
                format!("<span class=\"{class}\" aria-hidden=\"true\">■</span> {}", escaped(name))
            })
            .collect::<Vec<_>>();
        let _ = writeln!(self.body, "<p>{}</p>", names.join(" · "));
    }

    /// A table; the columns from `numeric` on are numbers. It scrolls in its own box where the
    /// window is narrower.
    pub fn table<R: AsRef<[String]>>(
        &mut self,
        headings: &[&str],
        numeric: RangeFrom<usize>,
        rows: impl IntoIterator<Item = R>,
    ) {
        let cell = |tag: &str, column: usize, text: &str| {
            let class = match text.len() {
                _ if numeric.contains(&column) => " class=\"number\"",
                60.. => " class=\"wide\"",
                _ => "",
            };
            format!("<{tag}{class}>{}</{tag}>", escaped(text))
        };
        let line = |tag: &str, cells: &[String]| {
            let cells: String =
                cells.iter().enumerate().map(|(column, text)| cell(tag, column, text)).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = rows.into_iter().map(|row| line("td", row.as_ref())).collect();
        let headings: Vec<String> = headings.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            self.body,
            "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>",
            line("th", &headings)
        );
    }

    /// A chart with a caption below it.
    pub fn chart(&mut self, chart: &Chart, caption: &str) -> Outcome {
        let svg = chart.svg()?;
        self.picture(svg, caption);
        Ok(())
    }

    /// Bars with a caption below them; `description` is for whoever does not see them.
    pub fn bars(&mut self, bars: &[Bar], description: &str, caption: &str) -> Outcome {
        let svg = bars::bars(description, bars)?;
        self.picture(svg, caption);
        Ok(())
    }

    /// A heat map with a caption below it.
    pub fn heat_map(&mut self, map: &HeatMap, caption: &str) -> Outcome {
        let svg = map.svg()?;
        self.picture(svg, caption);
        Ok(())
    }

    /// Photographs side by side, each with its text below it.
    pub fn photos(&mut self, photos: &[Photo]) {
        let image = |pixels: &Pixels, text: &str| {
            format!(
                "<img src=\"{}\" alt=\"{}\" width=\"{}\" height=\"{}\"/>",
                pixels.address(),
                escaped(text),
                pixels.width,
                pixels.height
            )
        };
        let shown = |photo: &Photo| {
            let beside =
                photo.beside.as_ref().map_or(String::new(), |(pixels, text)| image(pixels, text));
            let text = escaped(&photo.text);
            format!("<li>{}{beside}<br/>{text}</li>\n", image(&photo.pixels, &photo.what))
        };
        let shown: String = photos.iter().map(shown).collect();
        if !shown.is_empty() {
            let _ = write!(self.body, "<ul class=\"photos\">\n{shown}</ul>\n");
        }
    }

    /// A picture drawn elsewhere, as wide as the page.
    pub fn wide_picture(&mut self, svg: &str) {
        let _ = writeln!(self.body, "<figure class=\"wide\">{svg}</figure>");
    }

    /// A picture of pages, or a line that there is nothing to draw.
    fn picture(&mut self, svg: Option<String>, caption: &str) {
        let Some(svg) = svg else {
            return self.paragraph(&format!("{caption} (No picture: no value is finite.)"));
        };
        let caption = match caption {
            "" => String::new(),
            caption => format!("<figcaption>{}</figcaption>", escaped(caption)),
        };
        let _ = writeln!(self.body, "<figure>{svg}{caption}</figure>");
    }

    /// The whole file.
    pub fn html(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            escaped(&self.title),
            self.body
        )
    }

    /// Writes the page to the file that `--html` names, and says so on stderr.
    pub fn write(&self, file: &Path) -> Outcome {
        files::write(file, self.html().as_bytes())
            .map_err(|error| Failure::from(error).of("--html"))?;
        output::note(&format!("page: {}", file.display()));
        Ok(())
    }
}

/// Checks of pages, for the tests of whoever writes one.
#[cfg(test)]
pub mod checks {
    /// Tags still open at the end of a text, or the first closing tag without an open one.
    pub fn open_tags(text: &str) -> Result<Vec<String>, String> {
        let mut open: Vec<String> = Vec::new();
        for tag in text.split('<').skip(1) {
            let (tag, rest) = tag.split_once('>').ok_or(format!("no end of <{tag}"))?;
            if rest.contains('>') {
                return Err(format!("a stray > behind <{tag}"));
            }
            let name = tag
                .trim_start_matches('/')
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_string();
            match tag {
                _ if tag.starts_with('!') || tag.ends_with('/') => {}
                _ if tag.starts_with('/') => match open.pop() {
                    Some(last) if last == name => {}
                    last => return Err(format!("</{name}> closes {last:?}")),
                },
                _ => open.push(name),
            }
        }
        Ok(open)
    }

    /// Asserts what holds for every page: well formed, pictures with a name, no script, no request.
    #[track_caller]
    pub fn check(page: &str) {
        assert_eq!(open_tags(page), Ok(Vec::new()));
        let pictures = page.matches("<svg").count();
        assert_eq!(page.matches("<svg role=\"img\" aria-label=\"").count(), pictures);
        assert_eq!(page.matches("<title>").count(), pictures + 1);
        let images = page.matches("<img src=\"data:image/png;base64,").count();
        assert_eq!(page.matches(" src=").count(), images);
        assert_eq!(page.matches("\" alt=\"").count(), images);
        assert!(!page.contains(" alt=\"\""));
        for word in ["<script", " href=", "url(", "@import", "#010203", ">NaN<"] {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!(
            page.matches("http").count(),
            page.matches("http://www.w3.org/2000/svg").count()
        );
        for word in ["prefers-color-scheme", "@media print", "name=\"viewport\"", "lang=\"en\""] {
            assert!(page.contains(word), "{word}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chart::Mark;
    use super::*;
    use crate::page::axis::Axis;

    fn page() -> Page {
        let mut page = Page::new("a <b> & 'c'", "of \"data\"");
        page.section("What to do");
        page.list(["<script>alert(1)</script>", "a\u{1b}[31m"]);
        page.code("gradus train \\\n  --data a.csv");
        page.table(&["name", "n"], 1.., [["<td>".to_string(), "1".to_string()]]);
        let points =
            [(1e-4, 1.0), (1e-3, f64::NAN), (0.0, 3.0), (1e-2, 0.5), (0.1, 0.2), (1.0, 9.0)];
        let chart = Chart::new("loss & rate", Axis::log("learning rate"), Axis::linear("loss"))
            .series("held-out <loss>", Colour::Blue, Mark::Points, points)
            .series("model", Colour::Grey, Mark::Dashed, points)
            .series("share", Colour::Orange, Mark::Columns, points)
            .band(1e-2, 0.1, "within 10 %")
            .mark(0.05, "suggestion", Colour::Green);
        page.chart(&chart, "Loss at each rate").unwrap();
        let bar = |value| Bar {
            name: "<name>".into(),
            value,
            text: "1 &".into(),
            colour: Colour::Blue,
            error: Some(0.5),
        };
        page.bars(&[bar(1.0), bar(-2.0), bar(f64::NAN), bar(0.0)], "bars", "").unwrap();
        let map = HeatMap {
            description: "map".into(),
            rows: vec!["<a>".into(), "b".into()],
            columns: vec!["c".into(), "d".into()],
            row_label: "label".into(),
            column_label: "prediction".into(),
            values: vec![1.0, -2.0, f64::NAN, 0.0],
        };
        page.heat_map(&map, "A map").unwrap();
        let pixels = Pixels::new([1, 2, 1], &[0.0, 1.0]).unwrap();
        let beside = Pixels::signed([1, 2], &[0.5, -1.0]).map(|pixels| (pixels, "parts".into()));
        page.photos(&[Photo { pixels, what: "a <shoe>".into(), beside, text: "loss < 1".into() }]);
        page
    }

    #[test]
    fn a_page_is_well_formed_and_holds_text_as_text() {
        let html = page().html();
        checks::check(&html);
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !html.contains('\u{1b}'));
        assert!(html.contains("<title>loss &amp; rate</title>"));
        assert!(html.contains("gradus train \\\n  --data a.csv"));
        assert_eq!(html.matches("<svg").count(), 3);
        assert!(html.contains("alt=\"a &lt;shoe&gt;\"") && html.contains("loss &lt; 1"));
        assert_eq!(html.matches("<img ").count(), 2);
    }

    #[test]
    fn a_line_is_broken_where_a_point_has_no_place() {
        let points = [(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 1.0), (5.0, 2.0)];
        let chart = Chart::new("", Axis::linear("x"), Axis::linear("y"));
        let svg =
            chart.clone().series("", Colour::Blue, Mark::Line, points).svg().unwrap().unwrap();
        assert_eq!(svg.matches("stroke=\"#2D7DDC\"").count(), 2);
        let nothing = [(0.0, f64::INFINITY), (f64::NAN, 1.0)];
        assert!(chart.series("", Colour::Blue, Mark::Line, nothing).svg().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let mut page = Page::new("t", "");
        page.bars(&[], "", "Shares").unwrap();
        assert!(page.html().contains("Shares (No picture: no value is finite.)"));
    }

    #[test]
    fn what_is_not_well_formed_is_found() {
        assert!(checks::open_tags("<p><b></p></b>").is_err());
        assert_eq!(checks::open_tags("<p><br/>").unwrap(), ["p"]);
        assert!(checks::open_tags("<p>a > b</p>").is_err());
    }
}
