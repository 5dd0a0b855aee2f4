//! Losses for numbers, counts and amounts.

use crate::advise::advice::{Candidate, Warning};
use crate::advise::linear::HUBER;
use crate::advise::moments::{HILL_INDEX, OUTLIER_SHARE, TAIL_RATIO, median};
use crate::advise::quantity::{Cap, GAMMA_FROM, Quantity};
use crate::advise::rules::candidate::{candidate, percent, rounded};
use crate::advise::statistics::{DISPERSION, DISPERSION_T};
use crate::advise::task::{Task, TaskKind};
use crate::error::text::{count, exact, significant};

/// c/MADN at which the Cauchy loss is 95 % as efficient as least squares for normal errors (Holland
/// and Welsch 1977).
const CAUCHY: f64 = 2.385;

/// From this ratio of absolute errors on a logarithmic link fits worse than none.
const WORSE_LINK: f64 = 1.5;

/// With more different counts a probability for each is too much.
const MOST_STEPS: usize = 10;

const MEAN: [&str; 2] = ["the mean", "RMSE, R²"];
const MEDIAN: [&str; 2] = ["the median", "MAE"];
const CENTER: [&str; 2] = ["a center between median and mean", "MAE"];

fn short(value: f64) -> String {
    significant(value, 3)
}

/// Losses for one target, or for several together.
pub(in crate::advise) fn of_quantities(task: &Task, all: &[Quantity]) -> Vec<Candidate> {
    // Several targets share a loss: the one with the heaviest tails decides.
    let Some(found) = all.iter().max_by(|a, b| {
        (a.is_heavy(), a.tails.ratio)
            .partial_cmp(&(b.is_heavy(), b.tails.ratio))
            .unwrap_or(std::cmp::Ordering::Equal)
    }) else {
        return Vec::new();
    };
    match task.kind {
        TaskKind::Counts => of_counts(task, found),
        TaskKind::Amounts => of_amounts(found),
        _ if all.len() == 1 && found.is_multiplicative() => of_multiplicative(found),
        _ => of_numbers(found, all),
    }
}

/// δ and c for targets as they are, and for scaled ones: with several targets of different units
/// there is only the latter.
fn huber(all: &[Quantity], reason: String) -> Candidate {
    let loss = candidate("huber", CENTER, reason, "Huber 1981");
    with_scale(loss, "delta", HUBER, all)
}

fn cauchy(all: &[Quantity], reason: String) -> Candidate {
    let loss = candidate(
        "cauchy",
        ["the center of most of the values", "MAE"],
        reason,
        "Holland, Welsch 1977",
    );
    with_scale(loss, "scale", CAUCHY, all)
}

fn with_scale(loss: Candidate, option: &str, factor: f64, all: &[Quantity]) -> Candidate {
    if let [one] = all {
        // A target that a line explains to the last digit has no scatter to scale by.
        return match one.tails.madn > 0.0 {
            true => loss.with_unit(option, factor * one.tails.madn, one.unit),
            false => loss,
        };
    }
    let scaled: Vec<f64> = all
        .iter()
        .filter(|one| one.unit > 0.0 && one.tails.madn > 0.0)
        .map(|one| factor * one.tails.madn / one.unit)
        .collect();
    if scaled.is_empty() { loss } else { loss.with(option, rounded(median(&scaled))) }
}

/// What says that the tails are heavy.
fn tails_in_words(found: &Quantity) -> String {
    let tails = &found.tails;
    let mut signs = Vec::new();
    if tails.outlier_share >= OUTLIER_SHARE {
        signs.push(format!(
            "{} of the residuals beyond 5 MADN (limit {})",
            percent(tails.outlier_share),
            percent(OUTLIER_SHARE)
        ));
    }
    if tails.ratio >= TAIL_RATIO {
        signs.push(format!("standard deviation {} MADN (limit {TAIL_RATIO})", short(tails.ratio)));
    }
    if let Some(index) = tails.hill.filter(|index| *index < HILL_INDEX) {
        signs.push(format!("tail index {} (limit {HILL_INDEX})", short(index)));
    }
    signs.join(", ")
}

fn light_in_words(found: &Quantity) -> String {
    let tails = &found.tails;
    let hill = tails.hill.map_or(String::new(), |index| format!(", tail index {}", short(index)));
    format!(
        "{} of the residuals beyond 5 MADN (limit {}), standard deviation {} MADN (limit {TAIL_RATIO}){hill}",
        percent(tails.outlier_share),
        percent(OUTLIER_SHARE),
        short(tails.ratio)
    )
}

fn of_numbers(found: &Quantity, all: &[Quantity]) -> Vec<Candidate> {
    let delta = match all {
        [one] => format!("δ = {HUBER} MADN = {}", short(HUBER * one.tails.madn)),
        _ => format!("δ = {HUBER} MADN"),
    };
    let mut list = Vec::new();
    if found.is_heavy() {
        list.push(huber(
            all,
            format!("heavy tails: {}; {delta} bounds the pull of each row and costs 5 % on normal errors", tails_in_words(found)),
        ));
        list.push(cauchy(
            all,
            format!("gross errors lose their pull altogether; scale = {CAUCHY} MADN"),
        ));
        list.push(candidate(
            "mae",
            MEDIAN,
            "the median needs no scale; converges more slowly",
            "Laplace 1774",
        ));
        list.push(candidate(
            "mse",
            MEAN,
            "only if the far values are real and their sum matters: the others estimate no mean",
            "Gneiting 2011",
        ));
    } else {
        list.push(candidate(
            "mse",
            MEAN,
            match found.is_light_in_logarithms() && found.tails.are_heavy() {
                true => format!("far values are there by the scale of the targets: ln y − ln μ has light tails, {} of the residuals lie beyond 5 MADN", percent(found.tails.outlier_share)),
                false => format!("light tails: {}", light_in_words(found)),
            },
            "Gauss 1809; Gneiting 2011",
        ));
        list.push(huber(
            all,
            format!("nearly as good on clean data and safe where a few targets are wrong; {delta}"),
        ));
        list.push(candidate(
            "mae",
            MEDIAN,
            "where the typical value counts and not the sum",
            "Laplace 1774",
        ));
    }
    if all.len() == 1 && found.is_heteroscedastic() {
        list.push(intervals(found));
    }
    list
}

/// For intervals: the file has no variances, two quantiles need none.
fn intervals(found: &Quantity) -> Candidate {
    candidate(
        "quantile",
        ["the 95 % quantile; with quantile=0.05 the lower end of an interval", "pinball loss"],
        format!(
            "for intervals: |residual| grows with the prediction (rank correlation {}); gaussian_nll (beta=0.5) predicts the variance beside the mean, in the library",
            short(found.scatter.0)
        ),
        "Koenker, Bassett 1978; Seitzer 2022",
    )
    .with("quantile", 0.95)
}

fn of_counts(task: &Task, found: &Quantity) -> Vec<Candidate> {
    let dispersion = found.dispersion;
    let is_over = dispersion.is_some_and(|own| own.pearson >= DISPERSION && own.t > DISPERSION_T);
    let how = match dispersion {
        Some(own) if is_over => format!(
            "over-dispersed: variance {} times the mean, t {} (limit {DISPERSION_T}); the mean stays consistent, intervals do not",
            short(own.pearson),
            short(own.t)
        ),
        Some(own) => format!(
            "variance {} times the mean, t {} (limit {DISPERSION_T}): not over-dispersed",
            short(own.pearson),
            short(own.t)
        ),
        None => "few rows: the dispersion is not tested".into(),
    };
    let mut list = vec![candidate(
        "poisson_nll",
        ["the mean, on a logarithmic link", "Poisson deviance, D²"],
        format!("counts; {how}"),
        "Cameron, Trivedi 1990; Gourieroux, Monfort, Trognon 1984",
    )];
    if is_over {
        let (power, why) = power(found, 1.2, 1.5);
        list.push(
            candidate(
                "tweedie",
                ["the mean, on a logarithmic link", "Tweedie deviance of the same power"],
                format!("weighs large counts less than Poisson does; {why}"),
                "Jørgensen 1987",
            )
            .with("power", power),
        );
    }
    let heavy = found.log_tails.is_some_and(|tails| tails.are_heavy()) && found.tails.are_heavy();
    list.push(candidate(
        "mse",
        MEAN,
        "if an error of 10 costs the same at a count of 20 and of 2,000",
        "Gneiting 2011",
    ));
    if heavy {
        list.push(huber(
            std::slice::from_ref(found),
            format!("far counts in both units and logarithms: {}", tails_in_words(found)),
        ));
    }
    if task.rivals.contains(&TaskKind::Ordinal) && levels_of(found) <= MOST_STEPS {
        list.push(candidate(
            "ordinal",
            ["the probability of each count", "mean absolute error of the count"],
            format!("only {} different counts: a probability for each", levels_of(found)),
            "Li, Lin 2006",
        ));
    }
    list
}

/// The number of different values.
fn levels_of(found: &Quantity) -> usize {
    crate::advise::answers::levels(&found.pilot.y).len()
}

/// Park's slope within limits, and how it was chosen.
fn power(found: &Quantity, low: f64, high: f64) -> (f64, String) {
    match found.park {
        Some((slope, _)) => {
            let power = (10.0 * slope.clamp(low, high)).round() / 10.0;
            (power, format!("power: Park slope {}, kept within {low} and {high}", short(slope)))
        }
        None => (
            f64::midpoint(low, high),
            "power: the predictions vary too little for a Park slope".into(),
        ),
    }
}

fn of_amounts(found: &Quantity) -> Vec<Candidate> {
    let (power, why) = power(found, 1.1, 1.9);
    let zeros = percent(found.zero_share);
    let mut list = vec![
        candidate(
            "tweedie",
            ["the mean, on a logarithmic link", "Tweedie deviance of the same power, D²"],
            format!("{zeros} zeros (limit 5 %) and a continuous amount in the other rows; {why}"),
            "Jørgensen 1987",
        )
        .with("power", power),
        candidate(
            "poisson_nll",
            ["the mean, on a logarithmic link", "Poisson deviance, D²"],
            "consistent for the mean of any amount from 0 on; weighs large amounts more",
            "Gourieroux, Monfort, Trognon 1984",
        ),
        candidate(
            "mse",
            MEAN,
            "the mean without a logarithmic link; predicts negative amounts too",
            "Gneiting 2011",
        ),
    ];
    // Amounts that lie on a line above 0 want no logarithmic link.
    if let Some(ratio) = found.log_error.filter(|ratio| *ratio >= WORSE_LINK) {
        list[2].reason = format!(
            "a line above 0: a logarithmic link has {} times its absolute error; predicts negative amounts too",
            short(ratio)
        );
        list.swap(0, 2);
        list.swap(1, 2);
    }
    if found.zero_share < 0.5 {
        list.push(candidate("mae", MEDIAN, "the typical amount, not the mean", "Laplace 1774"));
    }
    list
}

fn of_multiplicative(found: &Quantity) -> Vec<Candidate> {
    let (slope, error) = found.park.unwrap_or((f64::NAN, f64::NAN));
    let width = found.width().unwrap_or(f64::NAN);
    let reason = format!(
        "the variance grows with the mean to the power of {} ± {} (Park), over a wide range (95 % / 5 % quantile {}); ln y − ln μ has light tails",
        short(slope),
        significant(error, 2),
        short(width)
    );
    let estimates = "the mean, on a logarithmic link";
    let gamma = |reason: String| {
        candidate(
            "gamma_deviance",
            [estimates, "gamma deviance, D²"],
            reason,
            "Manning, Mullahy 2001",
        )
    };
    let poisson = |reason: String| {
        candidate(
            "poisson_nll",
            [estimates, "Poisson deviance, D²"],
            reason,
            "Manning, Mullahy 2001; Gourieroux, Monfort, Trognon 1984",
        )
    };
    let (first, second) = if slope >= GAMMA_FROM {
        (
            gamma(reason),
            poisson(
                "large values count more than in gamma_deviance; consistent for the mean as well"
                    .into(),
            ),
        )
    } else {
        (poisson(reason), gamma("errors relative to the mean count, as an error of 10 %".into()))
    };
    vec![
        first,
        second,
        huber(
            std::slice::from_ref(found),
            "errors in the target's own unit, without a logarithmic link".into(),
        ),
        candidate(
            "mse",
            MEAN,
            "if an error costs the same at small and at large values",
            "Gneiting 2011",
        ),
    ]
}

/// Warnings about a target that is a quantity.
pub(in crate::advise) fn warnings(task: &Task, name: &str, found: &Quantity) -> Vec<Warning> {
    let mut list = Vec::new();
    for (cap, end) in [(&found.largest, "largest"), (&found.smallest, "smallest")] {
        // Counts and amounts are most frequent at their lower end.
        let is_plain = end == "smallest" && task.kind != TaskKind::Numbers;
        if cap.is_capped && !is_plain {
            list.push(Warning { kind: "capped", text: capped(name, cap, end) });
        }
    }
    if task.kind == TaskKind::Numbers && found.is_heavy() {
        let wrong = found.wrong_by().map_or(String::new(), |factor| {
            format!(
                "; most of them differ from their prediction by a factor near {}: a decimal point or another unit?",
                exact(factor)
            )
        });
        let text = format!(
            "`{name}` scatters with heavy tails: {}{wrong}; huber and cauchy estimate the typical value, not the mean",
            tails_in_words(found)
        );
        list.push(Warning { kind: "heavy_tails", text });
    }
    if let (Some(expected), TaskKind::Counts) = (found.expected_zeros, task.kind) {
        let has_more = found.zero_share > 1.2 * expected && found.zero_share - expected > 0.02;
        if has_more {
            let text = format!(
                "{} of the counts of `{name}` are 0, where Poisson's distribution has {}: zeros may have a cause of their own",
                percent(found.zero_share),
                percent(expected)
            );
            list.push(Warning { kind: "excess_zeros", text });
        }
    }
    list
}

fn capped(name: &str, cap: &Cap, end: &str) -> String {
    format!(
        "`{name}` is capped {:.1} %: {} rows have exactly the {end} value, {}; score with and without them",
        100.0 * cap.share,
        count(cap.rows as u64),
        exact(cap.value)
    )
}
