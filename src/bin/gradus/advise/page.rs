//! Advice as a page with pictures of its reasons.

use gradus::advise::{Advice, Histogram, TaskKind};
use gradus::text::{count, significant};

use crate::advise::command;
use crate::advise::text::{name_of, task_in_words, value_and_limit};
use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::bars::Bar;
use crate::page::chart::{Chart, Mark};
use crate::page::svg::Colour;
use crate::samples::source::Source;

/// Classes that have a bar.
const MOST_BARS: usize = 30;

/// Width of a command line.
const WIDTH: usize = 100;

/// The page, what can be acted on first.
pub fn page(source: &Source, advice: &Advice, commands: &[Option<String>]) -> Outcome<Page> {
    let data = source.path().display().to_string();
    let origin =
        format!("{data}; {}; gradus {}", task_in_words(source, advice), env!("CARGO_PKG_VERSION"));
    let mut page = Page::new("gradus advise", &origin);
    if !advice.warnings.is_empty() {
        page.section("Warnings");
        page.list(advice.warnings.iter().map(|warning| &warning.text));
    }
    page.section("Losses");
    page.paragraph("The recommended one first. A loss determines what is estimated; the metric is consistent with it.");
    for (loss, command) in advice.losses.iter().zip(commands) {
        page.paragraph(&format!(
            "{}: estimates {}; metric: {}. {} ({})",
            name_of(loss),
            loss.estimates,
            loss.metric,
            loss.reason,
            loss.source
        ));
        match command {
            Some(command) => page.code(&command::folded(command, WIDTH, "")),
            None => page.paragraph(&format!("In the library: it {}.", loss.library_only)),
        }
    }
    page.section("Optimizer and network");
    let (optimizer, network) = (&advice.optimizer, &advice.network);
    page.list([
        format!(
            "{} at learning rate {}, from {} to {} worth a try: {} ({})",
            optimizer.optimizer,
            optimizer.learning_rate,
            optimizer.band[0],
            optimizer.band[1],
            optimizer.reason,
            optimizer.source
        ),
        network.reason.clone(),
    ]);
    page.section("The targets");
    page.paragraph(&advice.task.reason);
    targets(&mut page, advice)?;
    residuals(&mut page, &advice.residual_histogram)?;
    statistics(&mut page, advice);
    Ok(page)
}

fn targets(page: &mut Page, advice: &Advice) -> Outcome {
    let histogram = &advice.target_histogram;
    if !histogram.names.is_empty() {
        let bars: Vec<Bar> = histogram
            .names
            .iter()
            .zip(&histogram.counts)
            .take(MOST_BARS)
            .map(|(name, &rows)| Bar {
                name: name.clone(),
                value: rows as f64,
                text: count(rows as u64),
                colour: Colour::Blue,
                error: None,
            })
            .collect();
        let more = histogram.names.len().saturating_sub(MOST_BARS);
        let rest = if more > 0 { format!(" {more} more are not shown.") } else { String::new() };
        let of = match advice.task.kind {
            TaskKind::Multilabel => "Rows that have each label.",
            _ => "Rows of each class.",
        };
        return page.bars(&bars, "rows of each class", &format!("{of}{rest}"));
    }
    if histogram.counts.is_empty() {
        return Ok(());
    }
    let points = points(histogram).map(|(x, rows)| (x, rows as f64));
    let chart =
        Chart::new("distribution of the target", Axis::linear("target"), Axis::linear("rows"))
            .series("rows", Colour::Blue, Mark::Columns, points);
    let outside = histogram.below + histogram.above;
    let rest = if outside > 0 {
        format!(" {} rows lie outside.", count(outside as u64))
    } else {
        String::new()
    };
    page.chart(&chart, &format!("Distribution of the target.{rest}"))
}

/// The histogram of the residuals beside the normal distribution of the same MADN.
fn residuals(page: &mut Page, histogram: &Histogram) -> Outcome {
    let all = histogram.counts.iter().sum::<usize>() + histogram.below + histogram.above;
    if all == 0 {
        return Ok(());
    }
    let width = (histogram.to - histogram.from) / histogram.counts.len() as f64;
    let share = |rows: f64| rows / all as f64 / width;
    let normal = (0..=160).map(|step| {
        let z = histogram.from + f64::from(step) * (histogram.to - histogram.from) / 160.0;
        (z, (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt())
    });
    let found = points(histogram).map(|(x, rows)| (x, share(rows as f64)));
    let chart = Chart::new(
        "residuals of a robust pilot model beside the normal distribution",
        Axis::linear("residual in MADN"),
        Axis::linear("density"),
    )
    .series("residuals", Colour::Blue, Mark::Columns, found)
    .series("normal", Colour::Orange, Mark::Line, normal)
    .mark(-5.0, "−5", Colour::Grey)
    .mark(5.0, "5", Colour::Grey);
    page.legend(&[
        ("residuals", Colour::Blue),
        ("normal distribution of the same MADN", Colour::Orange),
    ]);
    let outside = histogram.below + histogram.above;
    let caption = format!(
        "Residuals of a pilot model by Huber's loss, of rows that it has not seen. {} of {} ({} %) lie outside the picture. Beyond ±5 a row is far; from 1 % of the rows on the tails are heavy.",
        count(outside as u64),
        count(all as u64),
        significant(100.0 * outside as f64 / all as f64, 2)
    );
    page.chart(&chart, &caption)
}

/// The middle of each bin with its rows.
fn points(histogram: &Histogram) -> impl Iterator<Item = (f64, usize)> {
    let width = (histogram.to - histogram.from) / histogram.counts.len() as f64;
    let middle = move |bin: usize| histogram.from + (bin as f64 + 0.5) * width;
    histogram.counts.iter().enumerate().map(move |(bin, &rows)| (middle(bin), rows))
}

fn statistics(page: &mut Page, advice: &Advice) {
    if advice.statistics.is_empty() {
        return;
    }
    page.section("Statistics");
    let rows = advice.statistics.iter().map(|statistic| {
        let [value, limit] = value_and_limit(statistic);
        let beyond = if statistic.is_beyond { "yes" } else { "" };
        let follows =
            if statistic.is_beyond { statistic.consequence.clone() } else { String::new() };
        [
            statistic.name.to_string(),
            statistic.meaning.clone(),
            value,
            limit,
            beyond.into(),
            follows,
            statistic.source.into(),
        ]
    });
    let headings = ["statistic", "meaning", "value", "limit", "beyond", "what follows", "source"];
    // Text columns behind the numbers stay as they are wide.
    page.table(&headings, 99.., rows);
}
