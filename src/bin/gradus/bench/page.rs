//! Self-contained HTML page with all measurements: provenance, bars, rooflines and numbers.

use gradus::bench::{Measurement, Report};

use crate::bench::{plots, quantities};
use crate::output::Outcome;
use crate::page::Page;

/// Explains bars that exceed their ceiling.
const OVER: &str = "More than 100 % is possible on a CPU: a copy also reads the lines that it overwrites, which are not counted; \
    who has read them anyway, as a step of Adam, is spared that.";

const FORMULA: &str = "Operations of losses and optimizers are those of the formula. \
    Cases that fit a cache may lie above the copy's line, which was measured on large buffers.";

/// The page of a report.
pub fn page(report: &Report) -> Outcome<Page> {
    let mut page = Page::new("gradus bench", &origin(report));
    ceilings(&mut page, report);
    let of = |bound: &str| -> Vec<&Measurement> {
        report
            .rows
            .iter()
            .filter(|row| row.bound == bound && plots::fraction(row).is_some())
            .collect()
    };
    let copy = plots::bars(
        "Memory: bytes that must move, against the copy kernel on the same buffers",
        &of("memory"),
    )?;
    let fma = plots::bars(
        "Arithmetic: operations of the products, against the FMA kernel",
        &of("arithmetic"),
    )?;
    if copy.is_some() || fma.is_some() {
        page.section("Of what is possible");
        let names = report.devices.iter();
        let names: Vec<_> =
            names.map(|device| (device.device, plots::colour(device.device))).collect();
        page.legend(&names);
        page.paragraph(OVER);
        for svg in [copy, fma].into_iter().flatten() {
            page.wide_picture(&svg);
        }
    }
    let rooflines: Vec<String> = report
        .devices
        .iter()
        .filter_map(|device| plots::roofline(device, &report.rows).transpose())
        .collect::<Outcome<_>>()?;
    if !rooflines.is_empty() {
        page.section("Rooflines");
        page.paragraph(FORMULA);
        for svg in &rooflines {
            page.wide_picture(svg);
        }
    }
    page.section("All numbers");
    numbers(&mut page, &report.rows);
    skipped(&mut page, report);
    Ok(page)
}

/// Provenance: versions, place, time.
fn origin(report: &Report) -> String {
    let processor = report.processor.as_deref().unwrap_or("processor unknown");
    format!(
        "gradus {} · {} · {} · {processor}, {} threads · {} shapes · median of the samples, taken in turns",
        report.gradus, report.date, report.system, report.threads, report.size
    )
}

/// The ceilings of each device.
fn ceilings(page: &mut Page, report: &Report) {
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
    page.table(&headings, 2.., rows);
}

fn numbers(page: &mut Page, rows: &[Measurement]) {
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
    page.table(&headings, 5.., rows);
}

fn skipped(page: &mut Page, report: &Report) {
    if report.skipped.is_empty() {
        return;
    }
    let rows = report.skipped.iter().map(|skipped| {
        let shape = quantities::shape(skipped.name, &skipped.shape);
        [skipped.name.to_string(), skipped.device.to_string(), shape, skipped.reason.clone()]
    });
    page.section("Skipped");
    page.table(&["what", "device", "shape", "why"], 4.., rows);
}

#[cfg(test)]
mod tests {
    use gradus::Device;
    use gradus::bench::{self, Size};

    use super::*;
    use crate::page::checks;

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

    #[test]
    fn the_page_is_well_formed_names_every_case_and_is_drawn_in_its_own_colour() {
        let report = report();
        let page = page(&report).unwrap().html();
        checks::check(&page);
        for name in ["mse 2²²", "huber 2²²", "adam 2²⁰", "train_step 64×784-128-10"] {
            // Once in the bars and once in the roofline.
            assert_eq!(page.matches(&format!("\n{name}\n")).count(), 2, "{name}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("currentColor"));
        assert!(page.contains("FLOP/byte") && page.contains("fraction of the ceiling"));
    }

    #[test]
    fn names_of_adapters_are_text_and_not_markup() {
        let mut report = Report::new(&[Device::cpu()], Size::Quick);
        report.devices[0].description = "<script>\"A&B\"</script>".into();
        let page = page(&report).unwrap().html();
        assert!(
            page.contains("&lt;script&gt;&quot;A&amp;B&quot;&lt;/script&gt;")
                && !page.contains("<script>")
        );
        checks::check(&page);
    }
}
