//! The explanation as a page.

mod photos;

use gradus::explain::{Bin, Calibration, LossCell, Slice, SuspiciousLabels};

use crate::explain::found::{Feature, Features, Found};
use crate::explain::part::{LargeLoss, Section};
use crate::explain::subject::{Subject, per_cent, short};
use crate::explain::training::HEADINGS;
use crate::explain::words::{
    NO_SLICES, about_calibration, about_features, about_labels, conditions, summary,
    target_and_prediction,
};
use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::bars::Bar;
use crate::page::chart::{Chart, Mark};
use crate::page::heat_map::HeatMap;
use crate::page::svg::Colour;

pub use photos::Photographs;

/// Bars of features.
const MOST_BARS: usize = 20;

/// Classes of a heat map.
const MOST_CLASSES: usize = 40;

/// The page, with the sections in the order of the text.
pub fn of(
    found: &Found,
    subject: &Subject,
    photographs: &mut Photographs,
    origin: &str,
) -> Outcome<Page> {
    let mut page = Page::new("Where the loss comes from", origin);
    page.paragraph(&summary(found));
    page.section("Labels that are probably wrong");
    known(&mut page, &found.labels, |page, of| {
        labels(page, of, (found.top, subject), photographs)
    })?;
    page.section("Rows with the largest loss");
    large(&mut page, found, subject, photographs);
    if let Some(training) = &found.training {
        page.section("Training rows behind them");
        known(&mut page, training, |page, of| {
            page.paragraph(&of.about());
            page.table(&HEADINGS, 3.., of.table(subject));
            Ok(())
        })?;
    }
    page.section("Slices with a high loss");
    known(&mut page, &found.slices, |page, of| slices(page, of, subject))?;
    page.section("Loss by class");
    known(&mut page, &found.cells, |page, of| cells(page, of, found.top, subject))?;
    page.section("Features");
    known(&mut page, &found.features, |page, of| features(page, of, subject))?;
    page.section("Are the probabilities right?");
    known(&mut page, &found.calibration, calibration)?;
    if let Some(sharpness) = &found.sharpness {
        page.section("How sharp is the minimum?");
        known(&mut page, sharpness, |page, of| of.page(page))?;
    }
    Ok(page)
}

pub fn known<T>(
    page: &mut Page,
    section: &Section<T>,
    write: impl FnOnce(&mut Page, &T) -> Outcome,
) -> Outcome {
    match section {
        Ok(found) => write(page, found),
        Err(reason) => {
            page.paragraph(&format!("Not known: {reason}."));
            Ok(())
        }
    }
}

fn labels(
    page: &mut Page,
    found: &SuspiciousLabels,
    (top, subject): (usize, &Subject),
    photographs: &mut Photographs,
) -> Outcome {
    page.paragraph(&about_labels(found));
    let row = |&row: &usize| {
        vec![
            subject.place(row),
            subject.class(found.cross_entropy.target[row]),
            subject.class(found.suggested[row]),
            subject.cells_in_words(row),
            format!("{:.3}", found.suspicion[row]),
        ]
    };
    let disputed = found.disputed();
    let headings = ["where", "label", "rather", "columns", "suspicion"];
    page.table(&headings, 4.., disputed.iter().take(top).map(row));
    let photo = |&row: &usize| {
        let [label, rather] = [found.cross_entropy.target[row], found.suggested[row]];
        let (label, rather) = (subject.class(label), subject.class(rather));
        (row, format!("{}: labelled {label}, rather {rather}", subject.place(row)))
    };
    photographs.add(page, &disputed.iter().take(top).map(photo).collect::<Vec<_>>());
    let points = found
        .cross_entropy
        .mean_target_probability
        .iter()
        .zip(&found.cross_entropy.target_probability_deviation)
        .map(|(mean, deviation)| (*deviation, *mean));
    let axes = ["deviation of p(label) over the epochs", "mean p(label)"].map(Axis::linear);
    let [x, y] = axes;
    let chart = Chart::new("mean and deviation of p(label) of each row", x, y).series(
        "rows",
        Colour::Blue,
        Mark::Dots,
        points.take(2000).collect::<Vec<_>>(),
    );
    page.chart(
        &chart,
        "Each dot is a row: at the lower left a label that was never learnt, at the upper left one that was always easy.",
    )
}

fn large(page: &mut Page, found: &Found, subject: &Subject, photographs: &mut Photographs) {
    let row = |large: &LargeLoss| {
        let [target, predicted] = target_and_prediction(large, subject);
        vec![
            subject.place(large.row),
            target,
            predicted,
            subject.cells_in_words(large.row),
            short(large.loss),
            per_cent(large.share),
            large.gradient_norm.map_or("-".into(), short),
        ]
    };
    let headings =
        ["where", "target", "predicted", "columns", "loss", "of all loss", "gradient norm"];
    page.table(&headings, 4.., found.large.iter().map(row));
    let photo = |large: &LargeLoss| {
        let [target, predicted] = target_and_prediction(large, subject);
        let place = subject.place(large.row);
        let loss = short(large.loss);
        (large.row, format!("{place}: {target}, predicted {predicted}; loss {loss}"))
    };
    photographs.add(page, &found.large.iter().map(photo).collect::<Vec<_>>());
}

fn slices(page: &mut Page, found: &[Slice], subject: &Subject) -> Outcome {
    if found.is_empty() {
        page.paragraph(NO_SLICES);
        return Ok(());
    }
    let row = |slice: &Slice| {
        vec![
            conditions(slice, subject),
            slice.rows.len().to_string(),
            short(slice.mean_loss),
            short(slice.rest_loss),
            per_cent(slice.share_of_loss),
            format!("{:.1e}", slice.p),
        ]
    };
    let headings = ["rows where", "rows", "mean loss", "elsewhere", "of all loss", "p"];
    page.table(&headings, 1.., found.iter().map(row));
    let bar = |slice: &Slice| Bar {
        name: conditions(slice, subject),
        value: slice.mean_loss / slice.rest_loss,
        text: match slice.mean_loss / slice.rest_loss {
            times if times.is_finite() => format!("{} times", short(times)),
            _ => "the others have none".into(),
        },
        colour: Colour::Orange,
        error: None,
    };
    let bars: Vec<Bar> = found.iter().map(bar).collect();
    page.bars(
        &bars,
        "loss of each slice by that of the other rows",
        "Loss of each slice by that of the other rows",
    )
}

fn cells(page: &mut Page, found: &[LossCell], top: usize, subject: &Subject) -> Outcome {
    let row = |cell: &LossCell| {
        vec![
            subject.class(cell.target),
            subject.class(cell.predicted),
            cell.rows.to_string(),
            short(cell.mean_loss),
            per_cent(cell.share),
        ]
    };
    let headings = ["target", "predicted", "rows", "mean loss", "of all loss"];
    page.table(&headings, 2.., found.iter().take(top).map(row));
    let count = subject.classes.len();
    if !(2..=MOST_CLASSES).contains(&count) {
        return Ok(());
    }
    let mut values = vec![0.0; count * count];
    for cell in found.iter().filter(|cell| cell.target < count && cell.predicted < count) {
        values[cell.target * count + cell.predicted] = 100.0 * cell.share;
    }
    let map = HeatMap {
        description: "share of the loss by target and prediction".into(),
        rows: subject.classes.clone(),
        columns: subject.classes.clone(),
        row_label: "target".into(),
        column_label: "predicted".into(),
        values,
    };
    page.heat_map(&map, "Share of the loss in per cent, by target and prediction")
}

fn features(page: &mut Page, found: &Features, subject: &Subject) -> Outcome {
    page.paragraph(&about_features(found));
    if let Some([height, width, channels]) = subject.image.filter(|_| found.residual.is_some()) {
        let parts: Vec<f64> =
            found.list.iter().map(|feature| feature.attribution.unwrap_or(f64::NAN)).collect();
        let map = HeatMap {
            description: "part of each pixel in the loss".into(),
            rows: (0..height).map(|row| row.to_string()).collect(),
            columns: (0..width).map(|column| column.to_string()).collect(),
            row_label: "row".into(),
            column_label: "column".into(),
            values: parts.chunks(channels).map(|pixel| pixel.iter().sum()).collect(),
        };
        return page.heat_map(&map, "Mean size of each pixel's part of the loss");
    }
    let ordered = found.ordered();
    let bar = |feature: &&Feature| {
        let increase = feature.increase.map(|(increase, _)| increase);
        let value = increase.or(feature.attribution).unwrap_or(f64::NAN);
        let deviation = feature
            .increase
            .map_or(String::new(), |(_, deviation)| format!(" ± {}", short(deviation)));
        let text = short(value) + &deviation;
        let error = feature.increase.map(|(_, deviation)| deviation);
        Bar { name: feature.name.clone(), value, text, colour: Colour::Blue, error }
    };
    let bars: Vec<Bar> = ordered.iter().take(MOST_BARS).map(bar).collect();
    let caption = match found.shuffled_rows {
        0 => "Mean size of each feature's part of the loss",
        _ => "Rise of the mean loss if the column is shuffled",
    };
    page.bars(&bars, caption, caption)
}

pub fn calibration(page: &mut Page, found: &Calibration) -> Outcome {
    page.paragraph(&about_calibration(found));
    let bins: Vec<&Bin> = found.bins.iter().filter(|bin| bin.rows > 0).collect();
    let points: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.confidence, bin.accuracy)).collect();
    let [x, y] = ["largest probability", "share that is right"].map(Axis::linear);
    let chart = Chart::new("reliability: accuracy by the largest probability", x, y)
        .series("this model", Colour::Blue, Mark::Points, points)
        .series("as often as it says", Colour::Grey, Mark::Dashed, [(0.0, 0.0), (1.0, 1.0)]);
    page.chart(&chart, "Reliability: below the dashed line the model is too sure")?;
    let row = |bin: &&Bin| {
        vec![
            format!("{:.2} to {:.2}", bin.limits[0], bin.limits[1]),
            bin.rows.to_string(),
            format!("{:.3}", bin.confidence),
            format!("{:.3}", bin.accuracy),
        ]
    };
    page.table(&["largest probability", "rows", "its mean", "right"], 1.., bins.iter().map(row));
    Ok(())
}
