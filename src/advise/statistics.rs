//! The statistics of a data set as a list for people, with thresholds and sources.

use crate::advise::advice::Statistic;
use crate::advise::classes::Classes;
use crate::advise::features::LinearShare;
use crate::advise::moments::{HILL_INDEX, OUTLIER_SHARE, TAIL_RATIO};
use crate::advise::neighbours::NOTE;
use crate::advise::quantity::{
    CAP_SHARE, Cap, GAMMA_FROM, HETEROSCEDASTIC, POISSON_FROM, Quantity, SKEWED, WIDE,
};
use crate::advise::task::{TaskKind, ZERO_SHARE};
use crate::error::text::{count, exact, significant};

/// Classes per rare class from which they are imbalanced.
pub(super) const IMBALANCE: f64 = 10.0;

/// Rows that a class should have.
pub(super) const ROWS_PER_CLASS: f64 = 50.0;

/// Pearson's statistic from which counts are over-dispersed, beside the t of Cameron and Trivedi.
pub(super) const DISPERSION: f64 = 1.1;
pub(super) const DISPERSION_T: f64 = 1.645;

/// Whether a value is beyond its threshold, above or below it.
#[derive(Clone, Copy)]
enum Side {
    Above,
    Below,
}

fn statistic(
    (name, source): (&'static str, &'static str),
    value: f64,
    limit: Option<(Side, f64)>,
    [meaning, consequence]: [String; 2],
) -> Option<Statistic> {
    let is_beyond = match limit {
        Some((Side::Above, threshold)) => value >= threshold,
        Some((Side::Below, threshold)) => value < threshold,
        None => false,
    };
    let threshold = limit.map(|(_, threshold)| threshold);
    value.is_finite().then_some(Statistic {
        name,
        value,
        threshold,
        is_beyond,
        meaning,
        consequence,
        source,
    })
}

/// Statistics of a quantity, those beyond their thresholds first.
pub(super) fn of_quantity(found: &Quantity, kind: TaskKind) -> Vec<Statistic> {
    let text = |meaning: &str, consequence: &str| [meaning.to_string(), consequence.to_string()];
    let tails = &found.tails;
    // Counts, amounts and quantities of a wide scale are far from a line by their nature.
    let is_plain = kind == TaskKind::Numbers && !found.is_light_in_logarithms();
    let heavy = |side: Side, threshold: f64| is_plain.then_some((side, threshold));
    let model =
        if found.pilot.is_bent { "a model with squares and products" } else { "a linear model" };
    let mut list = vec![
        statistic(
            ("pilot_explained", "Huber 1981"),
            found.pilot.explained(),
            None,
            [
                format!(
                    "share of the median's absolute error that {model} explains, in rows left out"
                ),
                String::new(),
            ],
        ),
        statistic(
            ("madn", "Hampel 1974"),
            tails.madn,
            None,
            text(
                "robust standard deviation of the residuals, in the target's unit",
                "sets huber's delta and cauchy's scale",
            ),
        ),
        statistic(
            ("outlier_share", "Huber 1981"),
            tails.outlier_share,
            heavy(Side::Above, OUTLIER_SHARE),
            text("residuals beyond 5 MADN", "heavy tails: huber, cauchy"),
        ),
        statistic(
            ("std_over_madn", "Huber 1981"),
            tails.ratio,
            heavy(Side::Above, TAIL_RATIO),
            text("standard deviation of the residuals over MADN", "heavy tails: huber, cauchy"),
        ),
    ];
    // Without a scale of their own the residuals of counts and amounts say nothing here.
    if kind != TaskKind::Numbers {
        list.truncate(1);
    }
    list.push(tails.hill.filter(|_| kind == TaskKind::Numbers).and_then(|index| {
        statistic(
            ("hill_index", "Hill 1975"),
            index,
            heavy(Side::Below, HILL_INDEX),
            text(
                "tail index of the largest 5 % of the residuals",
                "the variance does not exist: huber, cauchy",
            ),
        )
    }));
    list.push(found.log_tails.and_then(|tails| {
        statistic(
            ("log_outlier_share", "Huber 1981"),
            tails.outlier_share,
            Some((Side::Above, OUTLIER_SHARE)),
            text(
                "ln y − ln μ beyond 5 MADN, of a model with a logarithmic link",
                "heavy tails on a logarithmic scale too",
            ),
        )
    }));
    list.push(found.log_error.and_then(|ratio| {
        statistic(
            ("log_link_error", "Manning, Mullahy 2001"),
            ratio,
            None,
            text("absolute error of that model over that of the one without a link", ""),
        )
    }));
    list.extend([
        at_end(&found.largest, "largest", kind),
        at_end(&found.smallest, "smallest", kind),
    ]);
    list.push(statistic(
        ("zero_share", "Jørgensen 1987"),
        found.zero_share,
        (found.least >= 0.0).then_some((Side::Above, ZERO_SHARE)),
        text(
            "targets that are 0",
            if kind == TaskKind::Counts { "zeros are counts too" } else { "a mass at 0: tweedie" },
        ),
    ));
    list.push(statistic(
        ("skewness", "Manning, Mullahy 2001"),
        found.skewness,
        Some((Side::Above, SKEWED)),
        text("third moment of the target", "with a wide range a logarithmic link"),
    ));
    list.push(found.width().and_then(|width| {
        statistic(
            ("quantile_ratio", "Manning, Mullahy 2001"),
            width,
            Some((Side::Above, WIDE)),
            text("95 % over 5 % quantile of the target", "a logarithmic link matters"),
        )
    }));
    list.push(found.park.and_then(|(slope, error)| {
        let follows = match slope {
            ..POISSON_FROM => "a constant variance: mse",
            POISSON_FROM..GAMMA_FROM => "the variance grows like the mean: poisson_nll, if the range is wide",
            _ => "the variance grows like the square of the mean: gamma_deviance, if the range is wide",
        };
        let meaning = format!("power of the mean in the variance (standard error {})", significant(error, 2));
        statistic(
            ("park_slope", "Park 1966; Manning, Mullahy 2001"),
            slope,
            Some((Side::Above, POISSON_FROM)),
            [meaning, follows.into()],
        )
    }));
    list.push(found.dispersion.and_then(|dispersion| {
        statistic(
            ("dispersion", "McCullagh, Nelder 1989"),
            dispersion.pearson,
            Some((Side::Above, DISPERSION)),
            text(
                "variance over mean beside a Poisson regression",
                "over-dispersed: intervals by quantiles, tweedie as a rival",
            ),
        )
    }));
    list.push(found.dispersion.and_then(|dispersion| {
        statistic(
            ("over_dispersion_t", "Cameron, Trivedi 1990"),
            dispersion.t,
            Some((Side::Above, DISPERSION_T)),
            text("t of ((y − μ)² − y)/μ on 1", "over-dispersed"),
        )
    }));
    let mut scatter = statistic(
        ("heteroscedasticity", "Spearman 1904; Breusch, Pagan 1979"),
        found.scatter.0,
        Some((Side::Above, HETEROSCEDASTIC)),
        text(
            "rank correlation of |residual| with the prediction",
            "intervals differ from row to row: quantiles, gaussian_nll",
        ),
    );
    if let Some(scatter) = &mut scatter {
        scatter.is_beyond = found.is_heteroscedastic();
    }
    list.push(scatter);
    list.into_iter().flatten().collect()
}

/// A share at an end of the range; the lower end of counts is theirs by nature.
fn at_end(cap: &Cap, end: &'static str, kind: TaskKind) -> Option<Statistic> {
    let name = if end == "largest" { "largest_share" } else { "smallest_share" };
    let mut found = statistic(
        (name, "Tobin 1958"),
        cap.share,
        Some((Side::Above, CAP_SHARE)),
        [
            format!(
                "targets at the {end} value, {} ({} rows)",
                exact(cap.value),
                count(cap.rows as u64)
            ),
            "capped: score with and without them".into(),
        ],
    )?;
    found.is_beyond = cap.is_capped && (end == "largest" || kind == TaskKind::Numbers);
    Some(found)
}

/// Statistics of classes, or of steps of a scale.
pub(super) fn of_classes(found: &Classes, linear: Option<LinearShare>) -> Vec<Statistic> {
    let text = |meaning: &str, consequence: &str| [meaning.to_string(), consequence.to_string()];
    let mut list = vec![
        statistic(
            ("imbalance", "Menon 2021; Cui 2019"),
            found.imbalance,
            Some((Side::Above, IMBALANCE)),
            [
                format!(
                    "rows of the most frequent class over those of the rarest, `{}`",
                    found.rarest
                ),
                "balanced weights or logit adjustment, where each class counts equally".into(),
            ],
        ),
        statistic(
            ("rows_of_rarest_class", "Szegedy 2016"),
            found.fewest as f64,
            Some((Side::Below, ROWS_PER_CLASS)),
            text("rows of the rarest class", "few: label smoothing"),
        ),
    ];
    if let Some(agreement) = found.agreement {
        list.push(statistic(
            ("neighbour_accuracy", "Cover, Hart 1967"),
            agreement.accuracy,
            None,
            text("rows whose class is that of most of their 20 nearest rows", ""),
        ));
        list.push(agreement.noise.and_then(|share| {
            statistic(
                ("label_noise", "Zhang, Sabuncu 2018"),
                share,
                Some((Side::Above, NOTE)),
                text(
                    "labels against neighbours that agree: wrong ones, at most",
                    "generalized_cross_entropy, label smoothing",
                ),
            )
        }));
    }
    list.push(linear.filter(|linear| linear.has_signal).and_then(|linear| {
        statistic(
            ("linear_share", "Fisher 1925"),
            linear.share,
            None,
            text("of what the features differ by between the classes, the share along the classes' numbers", ""),
        )
    }));
    list.into_iter().flatten().collect()
}
