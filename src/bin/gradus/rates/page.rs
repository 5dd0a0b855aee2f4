//! The page of a range test: the suggestion, and the held-out loss at each rate.

use gradus::rates::LearningRates;
use gradus::text;

use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::chart::{Chart, Mark};
use crate::page::svg::Colour;
use crate::rates::words::{reason, role};

/// Losses above the untrained one, by this part of what is learnt, are drawn at the upper edge.
const ABOVE: f64 = 0.5;

pub fn page(found: &LearningRates, origin: &str) -> Outcome<Page> {
    let mut page = Page::new("gradus rates", origin);
    page.section("What to do");
    page.paragraph(&format!("{found}."));
    page.code(&format!("--learning-rate {}", found.suggestion));
    page.paragraph(&reason(found).unwrap_or_default());
    page.list(found.doubts());
    page.section("Held-out loss at each rate");
    page.chart(&chart(found), &caption(found))?;
    page.section("All numbers");
    let mut headings = vec!["learning rate".to_string(), "held-out loss".to_string()];
    let seeds = found.points.first().map_or(0, |point| point.losses.len());
    headings.extend((1..=seeds).map(|seed| format!("seed {seed}")));
    headings.extend(["steps".to_string(), String::new()]);
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let rows = found.points.iter().map(|point| {
        let shown = |loss: Option<f64>| loss.map_or("–".into(), text::number);
        let mut row = vec![text::number(point.rate), shown(point.loss)];
        row.extend(point.losses.iter().map(|loss| shown(*loss)));
        row.push(point.steps.to_string());
        row.push(role(found, point.rate, point.loss.is_none()).into());
        row
    });
    page.table(&headings, 0.., rows);
    Ok(page)
}

pub(crate) fn caption(found: &LearningRates) -> String {
    format!(
        "Each point is a training of {} steps at a constant rate, from the same weights on the same batches, and its loss on {} held-out \
         rows; untrained {}. Losses far above the untrained one are drawn at the upper edge; trainings that diverged are left out.",
        found.steps,
        text::count(found.held_out as u64),
        text::number(found.untrained)
    )
}

pub(crate) fn chart(found: &LearningRates) -> Chart {
    let lowest = found.points.iter().filter_map(|point| point.loss).fold(f64::INFINITY, f64::min);
    let top = found.untrained + ABOVE * (found.untrained - lowest);
    let points = |of: &dyn Fn(usize) -> Option<f64>| -> Vec<(f64, f64)> {
        let y = |index| of(index).map_or(f64::NAN, |loss: f64| loss.min(top));
        (0..found.points.len()).map(|index| (found.points[index].rate, y(index))).collect()
    };
    let mut chart = Chart::new(
        format!("Held-out loss against learning rate: {found}"),
        Axis::log("learning rate"),
        Axis::linear("held-out loss"),
    )
    .band(found.band.0, found.band.1, "within 10 % of the best")
    .series(
        "mean of the seeds",
        Colour::Blue,
        Mark::Points,
        points(&|index| found.points[index].loss),
    );
    let seeds = found.points.first().map_or(0, |point| point.losses.len());
    for seed in (0..seeds).filter(|_| seeds > 1) {
        let name = if seed == 0 { "each seed" } else { "" };
        let losses = points(&|index| found.points[index].losses[seed]);
        chart = chart.series(name, Colour::Grey, Mark::Dots, losses);
    }
    let ends = [found.points.first(), found.points.last()].into_iter().flatten();
    let untrained = ends.map(|point| (point.rate, found.untrained));
    chart = chart.series("untrained", Colour::Grey, Mark::Dashed, untrained);
    chart = chart.mark(found.suggestion, "suggestion", Colour::Green);
    match found.diverges {
        Some(rate) => chart.mark(rate, "diverges", Colour::Red),
        None => chart,
    }
}

#[cfg(test)]
mod tests {
    use gradus::losses::Mse;
    use gradus::optimizers::Sgd;
    use gradus::rates::RangeTest;
    use gradus::{Dense, Device, Fit, Sequential};
    use ndarray::Array2;

    use super::*;
    use crate::page::checks;

    #[test]
    fn the_page_shows_band_suggestion_and_divergence() {
        let x = Array2::from_shape_fn((200, 2), |(row, column)| {
            ((row * (column + 3)) % 17) as f32 / 8.0 - 1.0
        });
        let y = x.map_axis(ndarray::Axis(1), |x| x[0] - 2.0 * x[1]).insert_axis(ndarray::Axis(1));
        let model = Sequential::new(2).then(Dense::new(1)).on(&Device::cpu()).unwrap();
        let model = model.compile(Mse::new(), Sgd::new()).unwrap();
        let found = RangeTest::new().run(&model, &x, &y, &Fit::new()).unwrap();
        let html = page(&found, "a <file>").unwrap().html();
        checks::check(&html);
        for text in ["suggestion", "diverges", "within 10 % of the best", "a &lt;file&gt;"] {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains(&format!("--learning-rate {}", found.suggestion)));
        assert!(found.diverges.is_some(), "{found}");
    }
}
