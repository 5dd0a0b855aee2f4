//! Self-contained HTML page with all measurements: provenance, bars, rooflines and numbers.

use std::fmt::Write as _;

use gradus::bench::{Measurement, Report};

use crate::bench::{plots, quantities};
use crate::output::Outcome;

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1f24; --line: #d5d9e0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e2e5ea; --line: #3a404a; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2.2em; }
svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--line); padding: 2px 9px; text-align: left; }
td.wide { white-space: normal; min-width: 18em; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.gpu { color: #2d7ddc; } .cpu { color: #de7814; } .reference { color: #828282; }
";

/// Explains bars that exceed their ceiling.
const OVER: &str = "More than 100 % is possible on a CPU: a copy also reads the lines that it overwrites, which are not counted; \
    who has read them anyway, as a step of Adam, is spared that.";

/// Renders the page of a report.
pub fn page(report: &Report) -> Outcome<String> {
    let mut body = String::new();
    body.push_str(&head(report));
    let of = |bound: &str| -> Vec<&Measurement> {
        report
            .rows
            .iter()
            .filter(|row| row.bound == bound && plots::fraction(row).is_some())
            .collect()
    };
    let (memory, arithmetic) = (of("memory"), of("arithmetic"));
    let key = key(report);
    let copy = plots::bars(
        "Memory: bytes that must move, against the copy kernel on the same buffers",
        &memory,
    )?;
    let fma =
        plots::bars("Arithmetic: operations of the products, against the FMA kernel", &arithmetic)?;
    let mut figures = String::new();
    for svg in [copy, fma].into_iter().flatten() {
        let _ = writeln!(figures, "<figure>{svg}</figure>");
    }
    if !figures.is_empty() {
        let _ =
            write!(body, "<h2>Of what is possible</h2>\n<p>{key}</p>\n<p>{OVER}</p>\n{figures}");
    }
    let mut rooflines = String::new();
    for device in &report.devices {
        if let Some(svg) = plots::roofline(device, &report.rows)? {
            let _ = writeln!(rooflines, "<figure>{svg}</figure>");
        }
    }
    if !rooflines.is_empty() {
        let note = "Operations of losses and optimizers are those of the formula. Cases that fit a cache may lie above the copy's line, which was measured on large buffers.";
        let _ = write!(body, "<h2>Rooflines</h2>\n<p>{note}</p>\n{rooflines}");
    }
    let _ = write!(body, "<h2>All numbers</h2>\n{}{}", numbers(&report.rows), skipped(report));
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width\"/>\n\
         <title>gradus bench {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escaped(&report.date)
    ))
}

/// Provenance (versions, place, time) and the ceilings of each device.
fn head(report: &Report) -> String {
    let processor = report.processor.as_deref().unwrap_or("processor unknown");
    let mut text = format!(
        "<h1>gradus bench</h1>\n<p>gradus {} · {} · {} · {}, {} threads · {} shapes · median of the samples, taken in turns</p>\n",
        report.gradus,
        escaped(&report.date),
        escaped(&report.system),
        escaped(processor),
        report.threads,
        report.size
    );
    let headings = ["device", "", "copy, GB/s", "read, GB/s", "FMA, GFLOP/s"];
    let rows = report.devices.iter().map(|device| {
        let rate = |value: Option<f64>| value.map_or(String::new(), quantities::rate);
        let ceilings = device.ceilings;
        [
            device.device.to_string(),
            device.description.clone(),
            rate(ceilings.copy_gb_per_s),
            rate(ceilings.read_gb_per_s),
            rate(ceilings.fma_gflop_per_s),
        ]
    });
    text.push_str(&html_table(&headings, 2.., rows));
    text
}

/// Colour legend of the devices.
fn key(report: &Report) -> String {
    let name = |device: &str| format!("<span class=\"{device}\">■ {device}</span>");
    report.devices.iter().map(|device| name(device.device)).collect::<Vec<_>>().join(" · ")
}

fn numbers(rows: &[Measurement]) -> String {
    let headings = [
        "what",
        "device",
        "shape",
        "clock",
        "of its ceiling",
        "median",
        "10th",
        "90th percentile",
        "n × runs",
        "first call",
        "GB/s",
        "GFLOP/s",
        "CPU ÷ device",
        "by hand",
    ];
    let rows = rows.iter().map(|row| {
        let rate = |value: Option<f64>| value.map_or(String::new(), quantities::rate);
        [
            row.name.to_string(),
            row.device.to_string(),
            quantities::shape(row.name, &row.shape),
            row.clock.to_string(),
            quantities::of_ceiling(row),
            quantities::time(row.seconds),
            quantities::time(row.seconds_p10),
            quantities::time(row.seconds_p90),
            format!("{} × {}", row.samples, row.repeats),
            quantities::time(row.first_call_seconds),
            rate(row.gb_per_s),
            rate(row.gflop_per_s),
            rate(row.cpu_ratio),
            row.fused_seconds.map_or(String::new(), quantities::time),
        ]
    });
    html_table(&headings, 5.., rows)
}

fn skipped(report: &Report) -> String {
    if report.skipped.is_empty() {
        return String::new();
    }
    let rows = report.skipped.iter().map(|skipped| {
        let shape = quantities::shape(skipped.name, &skipped.shape);
        [skipped.name.to_string(), skipped.device.to_string(), shape, skipped.reason.clone()]
    });
    format!("<h2>Skipped</h2>\n{}", html_table(&["what", "device", "shape", "why"], 4.., rows))
}

/// A table; the columns from `numeric` on are numbers.
fn html_table<const N: usize>(
    headings: &[&str; N],
    numeric: std::ops::RangeFrom<usize>,
    rows: impl Iterator<Item = [String; N]>,
) -> String {
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
    let rows: String = rows.map(|row| line("td", &row)).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        line("th", &headings.map(String::from))
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use gradus::Device;
    use gradus::bench::{self, Size};

    use super::*;

    fn report() -> Report {
        let devices = [Device::cpu()];
        let mut report = Report::new(&devices, Size::Quick);
        let names = ["mse", "huber", "adam", "train_step"].map(String::from);
        for case in bench::ceilings(Size::Quick)
            .into_iter()
            .chain(bench::cases(&names, Size::Quick).unwrap())
        {
            report.add(
                bench::measure(&case, &devices, bench::Effort { samples: 1, seconds: 1.0 })
                    .unwrap(),
            );
        }
        report
    }

    /// Tags still open at the end of a text, or the first closing tag without an open one.
    fn open_tags(text: &str) -> Result<Vec<String>, String> {
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

    #[test]
    fn the_page_is_well_formed_names_every_case_and_is_drawn_in_its_own_colour() {
        let report = report();
        let page = page(&report).unwrap();
        assert_eq!(open_tags(&page), Ok(Vec::new()));
        for name in ["mse 2²²", "huber 2²²", "adam 2²⁰", "train_step 64×784-128-10"] {
            // Once in the bars and once in the roofline.
            assert_eq!(page.matches(&format!("\n{name}\n")).count(), 2, "{name}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("currentColor") && !page.contains("#010203"));
        assert!(page.contains("FLOP/byte") && page.contains("fraction of the ceiling"));
        assert!(
            !page.contains("http://")
                || page.matches("http://").count() == page.matches("http://www.w3.org/").count()
        );
    }

    #[test]
    fn what_is_not_well_formed_is_found() {
        assert!(open_tags("<p><b></p></b>").is_err());
        assert_eq!(open_tags("<p><br/>").unwrap(), ["p"]);
        assert!(open_tags("<p>a > b</p>").is_err());
    }

    #[test]
    fn names_of_adapters_are_text_and_not_markup() {
        let mut report = Report::new(&[Device::cpu()], Size::Quick);
        report.devices[0].description = "<script>\"A&B\"</script>".into();
        let page = page(&report).unwrap();
        assert!(
            page.contains("&lt;script&gt;&quot;A&amp;B&quot;&lt;/script&gt;")
                && !page.contains("<script>")
        );
        assert_eq!(open_tags(&page), Ok(Vec::new()));
    }
}
