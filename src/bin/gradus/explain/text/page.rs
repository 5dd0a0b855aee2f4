//! The explanation of a model of text as a page.

use crate::explain::page::{calibration, known};
use crate::explain::text::found::{LargeToken, TextFound};
use crate::explain::text::words::{
    about_parts, end_of, numbers, of_character, of_seen, parts_in_words, place, summary, wrong,
};
use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::chart::{Chart, Mark};
use crate::page::svg::Colour;

/// Characters of a context that are shown.
const SHOWN: usize = 48;

/// The page, with the sections in the order of the text.
pub fn of(found: &TextFound, origin: &str) -> Outcome<Page> {
    let mut page = Page::new("Where the loss comes from", origin);
    page.paragraph(&summary(found));
    page.section("Characters with the largest loss");
    let row = |large: &LargeToken| {
        let mut row = vec![place(large), end_of(found, large, SHOWN)];
        row.extend(numbers(found, large));
        row
    };
    let headings = ["where", "text before", "character", "predicted", "p", "loss"];
    page.table(&headings, 4.., found.large.iter().map(row));
    page.paragraph(&about_parts(found));
    for large in &found.large {
        let what = format!(
            "{}: {} after these, loss {}: {}",
            place(large),
            found.shown(large.target),
            gradus::text::significant(large.loss, 4),
            parts_in_words(found, large)
        );
        if let Ok(parts) = &large.parts {
            let first = large.seen.len().saturating_sub(SHOWN);
            let marked: Vec<(String, f64)> = large.seen[first..]
                .iter()
                .zip(&parts.each[first..])
                .map(|(&id, &part)| (found.text(&[id]), part))
                .collect();
            page.marked(&marked, &what);
        }
    }
    page.section("Loss by character");
    let of_characters = found.of_characters.iter().take(found.top);
    page.table(
        &["character", "times", "mean loss", "of all loss"],
        1..,
        of_characters.map(|of| of_character(found, of)),
    );
    page.section("Characters and what they are taken for");
    page.table(&["character", "predicted", "times", "mean loss", "of all loss"], 2.., wrong(found));
    page.section("Loss by the number of characters seen");
    let points = found.seen.iter().map(|of| (of.seen[1] as f64, of.mean_loss));
    let [x, y] = [Axis::log("characters seen, at most"), Axis::linear("mean loss")];
    let chart = Chart::new("mean loss by the number of characters seen", x, y).series(
        "this model",
        Colour::Blue,
        Mark::Points,
        points.collect::<Vec<_>>(),
    );
    page.chart(&chart, "Where the line is still falling at its end, a longer context may help.")?;
    page.table(&["seen", "characters", "mean loss"], 1.., found.seen.iter().map(of_seen));
    page.section("Are the probabilities right?");
    known(&mut page, &found.calibration, calibration)?;
    Ok(page)
}
