//! The explanation of a model of text as text, for a width of 80 columns.

use std::fmt::Write as _;

use crate::explain::subject::{per_cent, short};
use crate::explain::text::found::{CharacterLoss, LargeToken, SeenLoss, TextFound};
use crate::explain::words::{calibration, folded, or_why, table};

/// Characters of a context that are shown.
const SHOWN: usize = 17;

/// Characters that are named of those that raise a loss, and of those that lower it.
const NAMED: usize = 3;

/// The whole text.
pub fn of(found: &TextFound) -> String {
    let mut text = folded(&summary(found));
    let mut section = |heading: &str, content: String| {
        let _ = write!(text, "\n{heading}\n{content}");
    };
    section("Characters with the largest loss", large(found));
    section("Loss by character", of_characters(found));
    section("Characters and what they are taken for", cells(found));
    section("Loss by the number of characters seen", seen(found));
    section("Are the probabilities right?", or_why(&found.calibration, calibration));
    text
}

pub fn summary(found: &TextFound) -> String {
    let perplexity =
        found.perplexity.map_or(String::new(), |value| format!(", perplexity {}", short(value)));
    let shares = [(100, "1 %"), (10, "10 %")].into_iter().zip(found.top_shares);
    // Of fewer characters one alone is more than that share.
    let shares: Vec<String> = shares
        .filter(|((least, _), _)| found.characters >= *least)
        .map(|((_, of), share)| {
            format!("the {of} with the largest loss have {} of it", per_cent(share))
        })
        .collect();
    let shares = match shares.is_empty() {
        true => String::new(),
        false => format!(" Of the characters {}.", shares.join(", ")),
    };
    let left_out = match found.left_out {
        0 => String::new(),
        one => format!(" The last {one} are left out: they make no whole sequence."),
    };
    format!(
        "{} characters: mean {} {}{perplexity}, {} right.{shares}{left_out}",
        found.characters,
        found.loss,
        short(found.mean_loss),
        per_cent(found.accuracy)
    )
}

pub fn about_parts(found: &TextFound) -> String {
    if let Some(Err(reason)) = found.large.first().map(|large| &large.parts) {
        return format!("What the characters before add to the loss is not known: {reason}.");
    }
    let residual = found.residual.map_or(String::new(), |residual| {
        format!(" Their sums miss the loss by at most {residual:.1e}.")
    });
    format!(
        "How the loss comes about: what it is after the average of all characters, and what those that stand there add to it (integrated gradients by their vectors).{residual}"
    )
}

/// The end of what was seen, on one line.
pub fn end_of(found: &TextFound, large: &LargeToken, most: usize) -> String {
    let first = large.seen.len().saturating_sub(most);
    let dots = if first > 0 { "…" } else { "" };
    format!("{dots}{}", found.text(&large.seen[first..]))
}

/// `line 3, 14`
pub fn place(large: &LargeToken) -> String {
    format!("line {}, {}", large.line[0], large.line[1])
}

/// The characters that raise a loss and those that lower it: `h 1 back (+0.51)`.
pub fn parts_in_words(found: &TextFound, large: &LargeToken) -> String {
    let (parts, baseline) = match &large.parts {
        Ok(parts) => (&parts.each, parts.baseline),
        Err(reason) => return format!("not known: {reason}"),
    };
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|&a, &b| parts[b].abs().total_cmp(&parts[a].abs()));
    let named = |sign: f64| {
        let own = order.iter().filter(|&&at| parts[at] * sign > 0.0).take(NAMED);
        let words = |&at: &usize| {
            let (character, back) = (found.shown(large.seen[at]), parts.len() - at);
            format!(
                "`{character}` {back} back ({}{})",
                if sign > 0.0 { "+" } else { "" },
                short(parts[at])
            )
        };
        own.map(words).collect::<Vec<_>>().join(", ")
    };
    let each = [("raised by", named(1.0)), ("lowered by", named(-1.0))];
    let some = each.iter().filter(|(_, names)| !names.is_empty());
    let names: String = some.map(|(verb, names)| format!("; {verb} {names}")).collect();
    format!("{} after average characters{names}", short(baseline))
}

/// Target, prediction, probability and loss of a character.
pub fn numbers(found: &TextFound, large: &LargeToken) -> Vec<String> {
    vec![
        found.shown(large.target),
        found.shown(large.predicted),
        large.p.map_or("-".into(), |p| gradus::text::significant(p, 3)),
        short(large.loss),
    ]
}

fn large(found: &TextFound) -> String {
    let row = |large: &LargeToken| {
        let mut row = vec![place(large), end_of(found, large, SHOWN)];
        row.extend(numbers(found, large));
        row
    };
    let headings = ["where", "text before", "character", "predicted", "p", "loss"];
    let line =
        |large: &LargeToken| folded(&format!("{}: {}", place(large), parts_in_words(found, large)));
    table(&headings, found.large.iter().map(row))
        + &folded(&about_parts(found))
        + &found.large.iter().filter(|large| large.parts.is_ok()).map(line).collect::<String>()
}

pub fn of_character(found: &TextFound, of: &CharacterLoss) -> Vec<String> {
    vec![found.shown(of.character), of.rows.to_string(), short(of.mean_loss), per_cent(of.share)]
}

fn of_characters(found: &TextFound) -> String {
    let headings = ["character", "times", "mean loss", "of all loss"];
    let rows = found.of_characters.iter().take(found.top);
    table(&headings, rows.map(|of| of_character(found, of)))
}

/// Pairs of a character and what it is taken for, without those that are right.
pub fn wrong(found: &TextFound) -> impl Iterator<Item = Vec<String>> {
    let wrong = found.cells.iter().filter(|cell| cell.target != cell.predicted);
    wrong.take(found.top).map(|cell| {
        vec![
            found.shown(cell.target),
            found.shown(cell.predicted),
            cell.rows.to_string(),
            short(cell.mean_loss),
            per_cent(cell.share),
        ]
    })
}

fn cells(found: &TextFound) -> String {
    table(&["character", "predicted", "times", "mean loss", "of all loss"], wrong(found))
}

pub fn of_seen(of: &SeenLoss) -> Vec<String> {
    let seen = match of.seen {
        [one, other] if one == other => one.to_string(),
        [first, last] => format!("{first} to {last}"),
    };
    vec![seen, of.characters.to_string(), short(of.mean_loss)]
}

fn seen(found: &TextFound) -> String {
    table(&["seen", "characters", "mean loss"], found.seen.iter().map(of_seen))
}
