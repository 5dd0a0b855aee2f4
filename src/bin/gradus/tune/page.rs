//! The page of a search: what to do, why, what was taken against the default, what mattered.

use gradus::text;
use gradus::tune::{Decision, Finalist, Rung, State, Trial};

use crate::advise::command::folded;
use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::bars::Bar;
use crate::page::chart::{Chart, Mark};
use crate::page::svg::Colour;
use crate::tune::report::{Report, grouped};

/// Trials in the leaderboard.
const SHOWN: usize = 30;

/// Bars of parameters.
const MOST_BARS: usize = 12;

/// Width of a command line.
const WIDTH: usize = 100;

/// Metrics that span this factor are drawn on a logarithmic axis.
const WIDE: f64 = 30.0;

/// Of the lines over the budget, one for each rung.
const COLOURS: [Colour; 5] =
    [Colour::Grey, Colour::Purple, Colour::Orange, Colour::Green, Colour::Blue];

/// The page, what can be acted on first; `rungs` are those that were done, in their order.
pub fn page(report: &Report, rungs: &[Rung], origin: &str) -> Outcome<Page> {
    let mut page = Page::new("gradus tune", origin);
    what_to_do(&mut page, report);
    if let Some(decision) = report.tuned.decision.as_ref().filter(|decision| decision.splits > 0) {
        comparison(&mut page, report, decision)?;
        settings(&mut page, report, decision);
    }
    importances(&mut page, report)?;
    leaderboard(&mut page, report);
    history(&mut page, report, rungs)?;
    Ok(page)
}

fn what_to_do(page: &mut Page, report: &Report) {
    page.section("What to do");
    let Some(decision) = &report.tuned.decision else { return };
    let taken = &decision.finalists[decision.winner];
    page.paragraph(&match decision.winner {
        0 => format!("{}.", capital(&decision.reason)),
        _ => {
            let name = name(taken.trial);
            // The reason begins with the name, unless the default failed.
            let reason = decision.reason.strip_prefix(&format!("{name} "));
            let reason = reason.map_or(decision.reason.clone(), |reason| format!("it {reason}"));
            format!("Take {name}: {reason}.")
        }
    });
    page.paragraph("This line trains it on all rows:");
    page.code(&folded(&report.command, WIDTH, ""));
    let mut points = Vec::new();
    if let Some(out) = report.out {
        let out = out.display();
        points.push(format!("It is trained and saved: {out}. `gradus predict {out} --data PATH` answers new rows, `gradus explain {out} --data PATH` shows where its loss comes from."));
    }
    if decision.winner == 0 {
        points.push("A larger --budget tries more; with --study a search goes on where it ended. `gradus advise` names losses for the data.".into());
    } else if taken.difference.is_finite() && taken.difference + 2.0 * taken.error > 0.0 {
        points.push("The difference is less than two standard errors, so that it may be chance: another --seed searches on other splits.".into());
    }
    page.list(points);
}

/// A text with a capital at its begin.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A number, or a dash for one that is not known.
fn known(value: f64) -> String {
    if value.is_finite() { text::number(value) } else { "–".into() }
}

/// A difference in few digits.
fn short(value: f64) -> String {
    if value.is_finite() { text::significant(value, 3) } else { "–".into() }
}

/// What a trial is called.
fn name(trial: usize) -> String {
    if trial == 0 { "default".into() } else { format!("trial {trial}") }
}

/// A difference to the default with its standard error.
fn difference(one: &Finalist) -> String {
    format!("{} ± {}", short(one.difference), short(one.error))
}

/// What a comparison with the default means for a trial.
fn verdict(decision: &Decision, place: usize) -> &'static str {
    let one = &decision.finalists[place];
    match place == decision.winner {
        true if place == 0 => "kept",
        true => "taken",
        false if !one.value.is_finite() => "a training failed",
        false if place == 0 => "replaced",
        false if one.difference + one.error < 0.0 => "better, but not the best",
        false if one.difference - one.error > 0.0 => "worse",
        false => "within a standard error",
    }
}

fn comparison(page: &mut Page, report: &Report, decision: &Decision) -> Outcome {
    let metric = report.tuned.metric.name();
    page.section("Why: the comparison with the default");
    page.paragraph(&format!(
        "The default and the best trials were trained again, on {} splits and with seeds that the search did not see. A trial is taken if its \
         {metric} is less than the default's by more than one standard error of the paired difference, corrected for splits that share rows \
         (Nadeau and Bengio 2003).",
        decision.splits
    ));
    let bars: Vec<Bar> = decision
        .finalists
        .iter()
        .enumerate()
        .skip(1)
        .map(|(place, one)| Bar {
            name: name(one.trial),
            value: one.difference,
            text: difference(one),
            colour: if place == decision.winner { Colour::Green } else { Colour::Grey },
            error: Some(one.error),
        })
        .collect();
    let all: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.name, bar.text)).collect();
    page.bars(
        &bars,
        &format!("{metric} minus the default's: {}", all.join(", ")),
        &format!(
            "{} minus that of the default on the same splits; to the left of the line is better. The thin lines are one standard error to \
             either side. What is taken is green.",
            metric
        ),
    )?;
    let row = |(place, one): (usize, &Finalist)| {
        let number = |value: f64| if place == 0 { String::new() } else { short(value) };
        vec![
            name(one.trial),
            verdict(decision, place).into(),
            known(one.value),
            number(one.difference),
            number(one.error),
            match place {
                0 => String::new(),
                _ => format!(
                    "{} to {}",
                    short(one.difference - one.error),
                    short(one.difference + one.error)
                ),
            },
            known(one.searched),
        ]
    };
    let headings = [
        "trial",
        "outcome",
        metric,
        "minus the default",
        "standard error",
        "one error to either side",
        "in the search",
    ];
    page.table(&headings, 2.., decision.finalists.iter().enumerate().map(row));
    if decision.winner > 0 {
        page.paragraph(&format!(
            "The best of {} looks better for having been chosen, by {} ({metric}), estimated by resampling rows.",
            decision.finalists.len(),
            short(decision.bias)
        ));
    }
    Ok(())
}

/// The settings of what was taken, or of the best that was not, beside those of the default.
fn settings(page: &mut Page, report: &Report, decision: &Decision) {
    let tuned = report.tuned;
    let others = decision.finalists.iter().skip(1).filter(|one| one.value.is_finite());
    let best = match decision.winner {
        0 => others.min_by(|a, b| a.value.total_cmp(&b.value)),
        place => Some(&decision.finalists[place]),
    };
    let Some(best) = best else { return };
    let (Some(default), Some(other)) = (tuned.trials.first(), tuned.trials.get(best.trial)) else {
        return;
    };
    page.section(match decision.winner {
        0 => "The best other trial against the default",
        _ => "What was taken against the default",
    });
    // As the command line has them.
    let of = |trial: &Trial, name: &str| tuned.space.get(&trial.configuration, name);
    let names = tuned.space.parameters().iter().map(|parameter| parameter.name());
    let pairs = names.map(|name| (name, of(default, name), of(other, name)));
    let mut rows: Vec<[String; 4]> = pairs
        .filter(|(_, default, other)| default.is_some() || other.is_some())
        .map(|(name, default, other)| {
            let mark = if default == other { "" } else { "yes" };
            let [default, other] = [default, other].map(|value| value.unwrap_or("–".into()));
            [name.into(), default, other, mark.into()]
        })
        .collect();
    let [usual, own] = [default, other].map(|trial| grouped(report.parameters(trial) as u64));
    let mark = if usual == own { "" } else { "yes" };
    rows.push(["weights".into(), usual, own, mark.into()]);
    page.table(&["setting", "default", &name(best.trial), "differs"], 99.., rows);
}

fn importances(page: &mut Page, report: &Report) -> Outcome {
    let found = &report.tuned.importances;
    if !found.iter().any(|one| one.share > 0.0) {
        return Ok(());
    }
    page.section("What mattered");
    let per_cent = |share: f64| format!("{:.0} %", 100.0 * share);
    let bar = |one: &gradus::tune::Importance| Bar {
        name: one.parameter.clone(),
        value: one.share,
        text: per_cent(one.share),
        colour: Colour::Blue,
        error: None,
    };
    let shown: Vec<Bar> =
        found.iter().filter(|one| one.share >= 0.005).take(MOST_BARS).map(bar).collect();
    let all: Vec<String> = shown.iter().map(|bar| format!("{} {}", bar.name, bar.text)).collect();
    page.bars(
        &shown,
        &format!("share of the variance by parameter: {}", all.join(", ")),
        "Share of the variance between the values of a parameter, of the trials' ranks at the first rung, less what chance alone would \
         explain. Each parameter counts by itself: what two do together is in none of them.",
    )
}

fn leaderboard(page: &mut Page, report: &Report) {
    let tuned = report.tuned;
    page.section("Leaderboard");
    let order = tuned.leaderboard();
    let shown = order.len().min(SHOWN);
    page.paragraph(&format!(
        "{} of {} trials: those that came further first, then by {}. Values of trials with other numbers of rungs are of other rows and \
         lengths of training, and not to be compared.",
        shown,
        order.len(),
        tuned.metric.name()
    ));
    let rest = order.iter().skip(SHOWN).filter(|trial| trial.number == 0);
    let finalist = |trial: &Trial| {
        let decision = tuned.decision.as_ref().filter(|decision| decision.splits > 0)?;
        decision.finalists.iter().skip(1).find(|one| one.trial == trial.number)
    };
    let row = |trial: &&Trial| {
        vec![
            name(trial.number),
            known(trial.last()),
            finalist(trial).map_or(String::new(), difference),
            trial.values.len().to_string(),
            grouped(trial.cost),
            grouped(report.parameters(trial) as u64),
        ]
    };
    let rows = order.iter().take(SHOWN).chain(rest).map(|trial| {
        let mut cells = row(trial);
        cells.insert(1, ending(trial).into());
        cells.insert(2, report.settings(trial));
        cells
    });
    let headings = [
        "trial",
        "how it ended",
        "settings",
        tuned.metric.name(),
        "minus the default, anew",
        "rungs",
        "row-updates",
        "weights",
    ];
    page.table(&headings, 3.., rows);
}

/// How a trial ended, in words.
fn ending(trial: &Trial) -> &'static str {
    match trial.state {
        State::Complete => "trained to the end",
        State::Pruned => "left behind by better ones",
        State::Failed => "failed: not finite",
        State::Stopped => "the budget ended",
    }
}

fn history(page: &mut Page, report: &Report, rungs: &[Rung]) -> Outcome {
    let tuned = report.tuned;
    let metric = tuned.metric.name();
    page.section("The search");
    let failed = tuned.trials.iter().filter(|trial| trial.state == State::Failed).count();
    page.paragraph(&format!(
        "{} trials, {} rungs, {} row-updates; {failed} failed. The last comparison took {} row-updates more.",
        tuned.trials.len(),
        tuned.rungs,
        grouped(tuned.cost),
        grouped(tuned.decision.as_ref().map_or(0, |decision| decision.cost))
    ));
    page.chart(
        &best_over_budget(metric, rungs),
        "The best value so far at each rung, by the work done. A rung trains three times as long as the one before it, and of its trials the \
         best third goes on. Lines of different rungs are of different rows.",
    )
}

fn best_over_budget(metric: &str, rungs: &[Rung]) -> Chart {
    let levels = rungs.iter().map(|rung| rung.rung + 1).max().unwrap_or(0);
    let lines: Vec<Vec<(f64, f64)>> = (0..levels).map(|level| best_so_far(rungs, level)).collect();
    let values = || lines.iter().flatten().map(|(_, best)| *best);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let is_wide = low > 0.0 && high > WIDE * low;
    let y = if is_wide { Axis::log(metric) } else { Axis::linear(metric) };
    let last = lines.last().and_then(|line| line.last());
    let end = last.map_or(String::new(), |(_, best)| {
        format!(": {} at the last rung, in the end", text::number(*best))
    });
    let mut chart =
        Chart::new(format!("best {metric} over the work{end}"), Axis::linear("row-updates"), y);
    for (level, line) in lines.into_iter().enumerate() {
        // The last rung has the same colour, however many there are.
        let colour = COLOURS[(COLOURS.len() - levels.min(COLOURS.len()) + level) % COLOURS.len()];
        chart = chart.series(&format!("rung {}", level + 1), colour, Mark::Points, line);
    }
    chart
}

/// The best value of a rung after each bracket, by the work done until then.
fn best_so_far(rungs: &[Rung], level: usize) -> Vec<(f64, f64)> {
    let mut best = f64::INFINITY;
    let of = rungs.iter().filter(|rung| rung.rung == level && rung.best.is_finite());
    of.map(|rung| {
        best = best.min(rung.best);
        (rung.cost as f64, best)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use gradus::Device;
    use gradus::data::{Dataset, Target};
    use gradus::tune::{Budget, Tune};
    use ndarray::Array2;
    use std::ops::ControlFlow;

    use super::*;
    use crate::page::checks;

    fn searched(budget: u64) -> String {
        let x = Array2::from_shape_fn((120, 2), |(row, column)| {
            ((row * (7 + 6 * column)) % 23) as f32 / 11.0 - 1.0
        });
        let y = x.map_axis(ndarray::Axis(1), |x| x[0] - 2.0 * x[1]).insert_axis(ndarray::Axis(1));
        let rows = Dataset::new(x, Target::Values(y)).unwrap();
        let mut rungs = Vec::new();
        let search = Tune::new().budget(Budget::RowUpdates(budget)).bracket(6);
        let tuned = search
            .run_with(&rows, &Device::cpu(), |rung, _| {
                rungs.push(*rung);
                ControlFlow::Continue(())
            })
            .unwrap();
        let command = "gradus train --data 'a <b>.csv' --loss mse".to_string();
        page(&Report { tuned: &tuned, command, out: None }, &rungs, "a <file>").unwrap().html()
    }

    #[test]
    fn the_page_says_what_to_do_and_why() {
        let html = searched(1_000_000);
        checks::check(&html);
        let places = [
            "What to do",
            "--data &#39;a &lt;b&gt;.csv&#39;",
            "Why: the comparison",
            "error of the paired difference",
            "Leaderboard",
            "The search",
        ]
        .map(|text| html.find(text).unwrap_or_else(|| panic!("{text} is missing")));
        assert!(places.is_sorted(), "{places:?}");
        assert!(html.matches("<svg").count() >= 2);
        assert!(html.contains("against the default") && html.contains("learning_rate"));
    }

    #[test]
    fn a_search_that_compared_nothing_has_a_page_too() {
        let html = searched(20_000);
        checks::check(&html);
        assert!(html.contains("a larger budget would let some"), "{html}");
        assert!(!html.contains("Why: the comparison"));
    }

    #[test]
    fn the_best_so_far_never_gets_worse() {
        let rung = |rung, best, cost| Rung {
            bracket: 0,
            rung,
            trials: 1,
            failed: 0,
            best,
            leader: 0,
            cost,
            from_file: false,
        };
        let rungs = [rung(0, 3.0, 1), rung(1, 2.5, 2), rung(0, f64::NAN, 3), rung(0, 4.0, 4)];
        assert_eq!(best_so_far(&rungs, 0), [(1.0, 3.0), (4.0, 3.0)]);
        let chart = best_over_budget("rmse", &rungs);
        assert_eq!(chart.series.len(), 2);
        assert_eq!(chart.series[1].colour, Colour::Blue);
        assert!(best_over_budget("rmse", &[]).svg().unwrap().is_none());
    }
}
