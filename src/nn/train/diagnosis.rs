//! What a training's losses and gradients say about its learning rate and its length.

use std::fmt;

use serde::Serialize;

use crate::error::text;
use crate::nn::train::history::{History, Stop};
use crate::nn::train::updates::UpdateSigns;

/// Rates above it are no advice; with a scaled loss or a plain rule some are above 1.
const LARGEST_RATE: f64 = 100.0;

/// Fewest steps that say anything.
const LEAST_STEPS: usize = 60;

/// Steps over which the thresholds were measured. The smoothing grows with a longer training, so
/// that its shape counts and not its length.
const MEASURED_STEPS: f64 = 200.0;

/// A smoothed loss that rose to the first multiple of its first value and did not fall below
/// `RECOVERED` of it, or to the second multiple; and the share of steps that are spikes.
const ROSE: f64 = 1.5;
const ROSE_FAR: f64 = 20.0;
const RECOVERED: f64 = 0.5;
const SPIKES: f64 = 0.1;

/// A loss that falls no more and stays above this part of its first value, under updates above this
/// part of the weights.
const STUCK: f64 = 0.6;
const LARGE_UPDATE: f64 = 0.0126;

/// A loss that has hardly fallen.
const HARDLY: f64 = 0.8;

/// Share of the fall in the second half above which a loss still falls, and above which it does if
/// successive gradients are aligned.
const STILL_FALLING: f64 = 0.4;
const FALLING_IN_LINE: f64 = 0.17;

/// Standard errors that a rise must have to be more than the noise of the batches.
const SURE: f64 = 3.0;

/// Part of the span of the smoothed losses that a rise must have to be one, and of the validation
/// losses.
const LEAST_RISE: f64 = 0.1;
const LEAST_OVERFITTING: f64 = 0.02;

/// Median ‖Δw‖ / ‖w‖ below which, and mean cosine of successive gradients above which, a step is
/// short against the way that lies ahead.
const SMALL_UPDATE: f64 = 7.9e-4;
const ALIGNED: f64 = 0.4;

/// A spike is a loss so many median deviations above the median of the steps before it.
const SPIKE: f64 = 4.0;
const WINDOW: usize = 20;

/// What the learning rate is, judged by the losses of the training itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Too few steps, or a schedule, to say.
    Unclear,
    /// The loss still falls as it did, by small steps in one direction: try three times the rate.
    TooSmall,
    /// The loss still falls, and the steps are not small: more epochs, or a higher rate.
    TooShort,
    /// Neither too small nor too large.
    Right,
    /// The loss rose, jumped or became infinite: try a third of the rate.
    TooLarge,
}

/// The signs that a verdict is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Signs {
    /// Steps whose losses were looked at.
    pub steps: usize,
    /// Share of the smoothed loss's fall that lies in the second half: .05 to .11 at a right rate,
    /// .44 to .63 at one too small; none if the loss does not fall by more than its noise.
    pub second_half: Option<f64>,
    /// Highest smoothed loss ÷ the first one, which is the mean of five, or the first loss alone if
    /// that mean is over twice as high; none for losses that are not above 0, and where the noise of
    /// the batches explains it.
    pub highest: Option<f64>,
    /// Smoothed loss at the end ÷ the first one; none for losses that are not above 0.
    pub remaining: Option<f64>,
    /// Rise of the smoothed loss in the second half, in standard errors; 0 if it is not seen.
    pub rise: f64,
    /// Share of the steps whose loss jumps out of those before.
    pub spikes: f64,
    /// Median of ‖Δw‖ / ‖w‖.
    pub update_ratio: Option<f64>,
    /// Mean cosine of successive gradients.
    pub cosine: Option<f64>,
    /// Mean gradient norm of the last steps ÷ that of the first ones.
    pub gradient_growth: Option<f64>,
    /// Batch size, in rows, at which noise and gradient are of one size: B (Σ‖g‖² − Σ gᵢ·gᵢ₋₁) /
    /// Σ gᵢ·gᵢ₋₁. Source: S. McCandlish et al., An empirical model of large-batch training, 2018;
    /// gradients of successive batches in place of two batch sizes.
    pub noise_scale: Option<f64>,
}

/// Validation losses that rise while the training losses fall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Overfitting {
    /// The epoch with the lowest validation loss, counted from 1.
    pub since: usize,
    /// How far the validation loss has risen above it.
    pub rise: f64,
}

/// A training's diagnosis: [`History::diagnosis`]. Its text is one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What the learning rate is.
    pub verdict: Verdict,
    /// The reason, in words; empty where nothing is to be said.
    pub reason: String,
    /// A rate to try instead, if the rate is constant and known.
    pub try_rate: Option<f64>,
    /// Set if the model over-fits.
    pub overfitting: Option<Overfitting>,
    /// The epoch, counted from 1, from which on the validation loss is flat within its own noise.
    pub plateau: Option<usize>,
    /// The numbers behind the verdict, if there are enough steps.
    pub signs: Option<Signs>,
}

impl History {
    /// What the losses of the steps, the updates and the epochs say about the learning rate, and
    /// whether the model over-fits or learns no more.
    ///
    /// The verdict on the rate is a vote of signs whose thresholds were measured on 90 trainings of
    /// which the right rate is known. It is [`Verdict::Unclear`] with less than 60 steps; under a
    /// schedule a rate is never called too small, since the fall follows the schedule.
    ///
    /// ```
    /// use gradus::rates::Verdict;
    /// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Sgd};
    /// use ndarray::Array2;
    /// let x = Array2::from_shape_fn((64, 2), |(row, column)| ((row * (column + 3)) % 11) as f32 / 5.0 - 1.0);
    /// let y = x.map_axis(ndarray::Axis(1), |x| x[0] - x[1]).insert_axis(ndarray::Axis(1));
    /// let verdict = |rate: f64| {
    ///     let model = Sequential::new(2).then(Dense::new(1)).on(&Device::cpu())?;
    ///     let mut model = model.compile(Mse::new(), Sgd::new().learning_rate(rate))?;
    ///     let history = model.fit(&x, &y, Fit::new().batch_size(16).epochs(50))?;
    ///     Ok::<_, gradus::Error>(history.diagnosis().verdict)
    /// };
    /// assert_eq!((verdict(1e-4)?, verdict(0.1)?, verdict(30.0)?), (Verdict::TooSmall, Verdict::Right, Verdict::TooLarge));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn diagnosis(&self) -> Diagnosis {
        let known = self.known;
        let signs = signs(&self.steps, &self.updates, known.batch_rows);
        let ended = matches!(self.stopped, Some(Stop::NotFinite { cause: None, .. }));
        let (verdict, reason) = verdict(signs.as_ref(), ended, known.rate.is_some());
        let factor = match verdict {
            Verdict::TooLarge => Some(1.0 / 3.0),
            Verdict::TooSmall => Some(3.0),
            _ => None,
        };
        let try_rate = known.rate.zip(factor).map(|(rate, factor)| rate * factor);
        let losses: Vec<f64> = self.epochs.iter().map(|epoch| epoch.loss).collect();
        let validation: Option<Vec<f64>> = self.epochs.iter().map(|epoch| epoch.val_loss).collect();
        let validation = validation.unwrap_or_default();
        let overfitting = overfitting(&losses, &validation);
        let plateau = plateau(&validation).filter(|_| overfitting.is_none());
        Diagnosis { verdict, reason, try_rate, overfitting, plateau, signs }
    }
}

/// The vote.
fn verdict(signs: Option<&Signs>, not_finite: bool, is_constant: bool) -> (Verdict, String) {
    let large = |reason: String| (Verdict::TooLarge, reason);
    if not_finite {
        return large("the loss became infinite or NaN".into());
    }
    let Some(signs) = signs else { return (Verdict::Unclear, String::new()) };
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let remains = |part: f64| signs.remaining.is_some_and(|remaining| remaining > part);
    // A rate that is too large throws the gradient to and fro.
    let aligned = signs.cosine.filter(|cosine| *cosine > ALIGNED);
    let stays = remains(RECOVERED) && aligned.is_none();
    let rose = |highest: &f64| *highest > if stays { ROSE } else { ROSE_FAR };
    if let Some(highest) = signs.highest.filter(rose) {
        let times = text::significant(highest, 2);
        return large(format!("the loss rose to {times} times its first value"));
    }
    if signs.spikes > SPIKES {
        return large(format!("the loss jumped in {} of the steps", percent(signs.spikes)));
    }
    if signs.rise > SURE {
        return large("the loss rose in the second half".into());
    }
    let falls_no_more = signs.second_half.is_some_and(|share| share < FALLING_IN_LINE);
    let update = signs.update_ratio.filter(|ratio| *ratio > LARGE_UPDATE);
    if let Some(update) = update.filter(|_| falls_no_more && remains(STUCK)) {
        let update = text::significant(update, 2);
        return large(format!(
            "the loss stays high, and an update moves the weights by {update} of their size"
        ));
    }
    let hardly = aligned.is_some() && remains(HARDLY);
    let least = if aligned.is_some() { FALLING_IN_LINE } else { STILL_FALLING };
    if !hardly && signs.second_half.is_some_and(|share| share <= least) {
        return (Verdict::Right, String::new());
    }
    if !is_constant {
        return (Verdict::Unclear, String::new());
    }
    let same_way = |cosine: f64| {
        let cosine = text::significant(cosine, 2);
        format!("successive gradients point the same way: cosine {cosine}")
    };
    let second_half = match (signs.second_half, aligned) {
        (None, None) => return (Verdict::Unclear, String::new()),
        (Some(share), Some(cosine)) if share <= FALLING_IN_LINE => {
            let why = format!("the loss has hardly fallen, and {}", same_way(cosine));
            return (Verdict::TooSmall, why);
        }
        (None, Some(cosine)) => {
            let why = format!("the loss does not fall, and {}", same_way(cosine));
            return (Verdict::TooSmall, why);
        }
        (Some(share), _) => share,
    };
    let falls = format!("{} of the loss's fall lies in the second half", percent(second_half));
    match (signs.update_ratio, aligned) {
        (Some(ratio), _) if ratio < SMALL_UPDATE => {
            let ratio = text::significant(ratio, 2);
            let why = format!("{falls}, and an update moves the weights by {ratio} of their size");
            (Verdict::TooSmall, why)
        }
        (_, Some(cosine)) => (Verdict::TooSmall, format!("{falls}, and {}", same_way(cosine))),
        (None, None) => (Verdict::TooSmall, falls),
        (Some(_), None) => (Verdict::TooShort, falls),
    }
}

/// The signs of a training's steps; none if there are too few, or if one is not finite.
fn signs(losses: &[f64], updates: &[UpdateSigns], batch_rows: usize) -> Option<Signs> {
    let steps = losses.len();
    if steps < LEAST_STEPS || losses.iter().any(|loss| !loss.is_finite()) {
        return None;
    }
    // A tenth at the length of the measurement, with weights that sum to 1 from the first step on.
    let weight = (0.1 * MEASURED_STEPS / steps as f64).clamp(1e-6, 0.1);
    let (mut sum, mut weights) = (0.0, 0.0);
    let smoothed: Vec<f64> = losses
        .iter()
        .map(|loss| {
            sum = (1.0 - weight) * sum + loss;
            weights = (1.0 - weight) * weights + 1.0;
            sum / weights
        })
        .collect();
    let (start, middle, end) = (steps / 20, smoothed[steps / 2], smoothed[steps - 1]);
    let first = losses[..5].iter().sum::<f64>() / 5.0;
    // The first loss is that of the untrained weights; the next ones may have risen already.
    let first = if first > 2.0 * losses[0] && losses[0] > 0.0 { losses[0] } else { first };
    // The first values are means of few.
    let highest = smoothed[5..].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Of one step, from successive differences: neither the fall nor single jumps add to it.
    let differences = losses.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let noise = 1.4826 * median(differences) / 2_f64.sqrt();
    let of_smoothed = noise * (weight / (2.0 - weight)).sqrt();
    let is_higher = highest - first > SURE * (noise / 5_f64.sqrt()).hypot(of_smoothed);
    let lowest = smoothed.iter().copied().fold(f64::INFINITY, f64::min);
    // An error of 0 is one of rounding.
    let error = (2_f64.sqrt() * of_smoothed).max(1e-7 * highest.abs()).max(f64::MIN_POSITIVE);
    let is_seen = end - middle > LEAST_RISE * (highest.max(first) - lowest);
    let rise = if is_seen { (end - middle) / error } else { 0.0 };
    let fall = smoothed[start] - end;
    let watched: Vec<&UpdateSigns> =
        updates.iter().skip(WINDOW).filter(|signs| signs.update_ratio.is_finite()).collect();
    let has_updates = watched.len() >= LEAST_STEPS / 2;
    let cosines: Vec<f64> = watched.iter().filter_map(|signs| signs.cosine).collect();
    let norms: Vec<f64> = updates.iter().map(|signs| signs.gradient_norm).collect();
    let growth = mean(&norms[norms.len().saturating_sub(WINDOW)..])
        / mean(&norms[..WINDOW.min(norms.len())]);
    Some(Signs {
        steps,
        second_half: (fall > SURE * error).then(|| (middle - end) / fall),
        highest: (first > 0.0 && (is_higher || highest <= first)).then_some(highest / first),
        remaining: (first > 0.0).then_some(end / first),
        rise,
        spikes: spikes(losses, highest.max(first) - lowest),
        update_ratio: has_updates
            .then(|| median(watched.iter().map(|signs| signs.update_ratio).collect())),
        cosine: (has_updates && !cosines.is_empty()).then(|| mean(&cosines)),
        gradient_growth: Some(growth).filter(|growth| has_updates && growth.is_finite()),
        noise_scale: noise_scale(updates, batch_rows),
    })
}

/// Share of the steps whose loss lies above the median of those before it by four median
/// deviations, and by a part of the span: where most losses are equal the deviation is 0.
fn spikes(losses: &[f64], span: f64) -> f64 {
    let back: Vec<f64> = losses.windows(WINDOW).map(|window| median(window.to_vec())).collect();
    // `back[i]` is of the losses before step i + WINDOW.
    let away: Vec<f64> =
        losses[WINDOW..].iter().zip(&back).map(|(loss, back)| (loss - back).abs()).collect();
    let deviations: Vec<f64> = away.windows(WINDOW).map(|window| median(window.to_vec())).collect();
    let first = 2 * WINDOW;
    let count = losses.len() - first;
    let is_spike = |step: usize| {
        let least = (SPIKE * deviations[step - first]).max(LEAST_RISE * span);
        losses[step] - back[step - WINDOW] > least
    };
    (first..losses.len()).filter(|&step| is_spike(step)).count() as f64 / count as f64
}

/// From the last updates, where gradients of successive batches agree by more than chance.
fn noise_scale(updates: &[UpdateSigns], batch_rows: usize) -> Option<f64> {
    let last = &updates[updates.len().saturating_sub(100)..];
    let pairs: Vec<(f64, f64)> = last
        .windows(2)
        .filter_map(|pair| {
            let [before, now] = [pair[0].gradient_norm, pair[1].gradient_norm];
            Some((now * now, pair[1].cosine? * before * now))
        })
        .filter(|(square, _)| square.is_finite())
        .collect();
    if pairs.len() < 50 || batch_rows == 0 {
        return None;
    }
    let products: Vec<f64> = pairs.iter().map(|(_, product)| *product).collect();
    let product = mean(&products);
    let error = deviation(&products) / (products.len() as f64).sqrt();
    let square = mean(&pairs.iter().map(|(square, _)| *square).collect::<Vec<_>>());
    // Below two standard errors the gradient itself is lost in its noise.
    (product > 2.0 * error && square > product)
        .then(|| batch_rows as f64 * (square - product) / product)
}

/// Noise of one epoch's value, from the differences of successive ones.
fn noise(values: &[f64]) -> f64 {
    let differences: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    deviation(&differences) / 2_f64.sqrt()
}

/// Set if the mean of the last three validation losses lies above that around the lowest one by more
/// than three standard errors, and the training loss has fallen since.
fn overfitting(losses: &[f64], validation: &[f64]) -> Option<Overfitting> {
    let epochs = validation.len();
    if epochs < 5 || validation.iter().any(|loss| !loss.is_finite()) {
        return None;
    }
    let best =
        (1..epochs).fold(0, |best, at| if validation[at] < validation[best] { at } else { best });
    if best + 3 >= epochs || losses[epochs - 1] >= losses[best] {
        return None;
    }
    // The lowest value alone is low by chance.
    let around = &validation[best.saturating_sub(1)..best + 2];
    let rise = mean(&validation[epochs - 3..]) - mean(around);
    let error = noise(&validation[best..]) * (2.0 / 3.0_f64).sqrt();
    let highest = validation.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_seen = rise > LEAST_OVERFITTING * (highest - validation[best]);
    (is_seen && rise > SURE * error).then_some(Overfitting { since: best + 1, rise })
}

/// The first epoch of the last fifth, if its validation losses are no lower than those of the fifth
/// before by more than their noise, though the loss fell far more than that before.
fn plateau(validation: &[f64]) -> Option<usize> {
    let epochs = validation.len();
    if epochs < 10 || validation.iter().any(|loss| !loss.is_finite()) {
        return None;
    }
    let part = (epochs / 5).max(3);
    let [before, last] =
        [&validation[epochs - 2 * part..epochs - part], &validation[epochs - part..]];
    let noise = noise(&validation[epochs - 2 * part..]);
    let error = noise * (2.0 / part as f64).sqrt();
    let is_flat = mean(before) - mean(last) <= 2.0 * error;
    (is_flat && validation[0] - mean(last) > 10.0 * noise).then_some(epochs - part + 1)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let because =
            if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
        let rate = self.try_rate.map_or(String::new(), |rate| match rate {
            // A third of a rate that is orders too large is no advice.
            rate if rate > LARGEST_RATE => ": a range test finds one".into(),
            rate => format!(": try {}", text::number(rate)),
        });
        match self.verdict {
            Verdict::TooLarge => {
                parts.push(format!("the learning rate is too large{rate}{because}"))
            }
            Verdict::TooSmall => {
                parts.push(format!("the learning rate is too small{rate}, or more epochs{because}"))
            }
            Verdict::TooShort => parts
                .push(format!("the training is too short: more epochs, or a higher rate{because}")),
            Verdict::Right => {
                parts.push("the learning rate is neither too small nor too large".into())
            }
            Verdict::Unclear => {}
        }
        if let Some(Overfitting { since, rise }) = self.overfitting {
            parts.push(format!(
                "the model over-fits: the validation loss has risen by {} since epoch {since}, as the training loss fell",
                text::number(rise)
            ));
        }
        if let Some(since) = self.plateau {
            parts.push(format!(
                "the validation loss is flat since epoch {since}: a lower rate may lower it"
            ));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests;
