//! `gradus rates`: a learning rate for a network and a data set.

pub(crate) mod page;
mod words;

use clap::Args;
use gradus::rates::{LearningRates, RangeTest};
use gradus::{cases, text};
use serde_json::{Value, json};

use crate::output::{Failure, Outcome};
use crate::rates::words::{reason, role};
use crate::scores::loss_unit;
use crate::train::Ready;
use crate::train::options::Train;
use crate::{numbers, output, saved};

/// Finds a learning rate for a network: trains it at many rates, and compares held-out losses
#[derive(Args)]
pub struct Rates {
    #[command(flatten)]
    train: Train,
    /// The lowest and the highest rate [default: 1e-5,10; 1e-4,30 for sgd and its kind]
    #[arg(long, value_name = "LOW,HIGH", value_parser = range)]
    range: Option<(f64, f64)>,
    /// Rates to a factor of ten [default: 4]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    per_decade: Option<std::num::NonZeroUsize>,
    /// Updates at each rate [default: an epoch, 100 to 200]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    test_steps: Option<std::num::NonZeroUsize>,
    /// Trainings at each rate, with seeds from --seed on [default: 2]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    seeds: Option<std::num::NonZeroUsize>,
}

fn range(text: &str) -> Result<(f64, f64), String> {
    let rates: Option<Vec<f64>> = text.split(',').map(|rate| rate.trim().parse().ok()).collect();
    match rates.as_deref() {
        Some(&[low, high]) if low > 0.0 && low < high && high.is_finite() => Ok((low, high)),
        _ => Err("it must be two rates above 0, the lower one first, such as 1e-4,1".into()),
    }
}

impl Rates {
    pub fn run(&self) -> Outcome {
        // Before anything is trained.
        if let Some(file) = &self.train.html {
            saved::check_out("--html", file, &self.train.inputs())?;
        }
        let (ready, fit) = self.train.for_range_test()?;
        let Ready { model, task, parts, .. } = &ready;
        let truth = task.truth(&parts.train)?;
        let found = self
            .test()
            .run(model, &parts.train.features, truth.targets(), &fit)
            .map_err(Failure::from)?;
        let found = in_unit(found, loss_unit(model, Some(&parts.encoding)));
        if let Some(file) = &self.train.html {
            page::page(&found, &self.origin(&ready))?.write(file)?;
        }
        if self.train.json {
            return output::print_json(&self.as_json(&found, &ready));
        }
        output::print(&as_text(&found))
    }

    fn test(&self) -> RangeTest {
        let mut test = RangeTest::new();
        if let Some((low, high)) = self.range {
            test = test.range(low, high);
        }
        if let Some(rates) = self.per_decade {
            test = test.per_decade(rates.get());
        }
        if let Some(steps) = self.test_steps {
            test = test.steps(steps.get());
        }
        if let Some(seeds) = self.seeds {
            test = test.seeds(seeds.get());
        }
        test
    }

    /// What was tested: data, loss, optimizer, device.
    fn origin(&self, ready: &Ready) -> String {
        let Ready { model, settings, .. } = ready;
        let of = |name: &str| {
            settings.compiled().get(name).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        format!(
            "gradus {} · {} · {} · {} · {} parameters · batches of {} · {}",
            env!("CARGO_PKG_VERSION"),
            self.train.data().display(),
            of("loss"),
            of("optimizer"),
            text::count(model.parameters() as u64),
            settings.batch_size,
            model.device().describe()
        )
    }

    fn as_json(&self, found: &LearningRates, ready: &Ready) -> Value {
        let number = cases::number_to_json;
        let Ready { model, settings, .. } = ready;
        let points: Vec<Value> = found
            .points
            .iter()
            .map(|point| {
                json!({
                    "rate": point.rate,
                    "loss": point.loss.map(number),
                    "losses": point.losses.iter().map(|loss| loss.map(number)).collect::<Vec<_>>(),
                    "steps": point.steps,
                })
            })
            .collect();
        json!({
            "gradus": env!("CARGO_PKG_VERSION"),
            "suggestion": found.suggestion,
            "vertex": found.vertex,
            "band": [found.band.0, found.band.1],
            "diverges": found.diverges,
            "at_end": found.at_end,
            "disagreement_decades": number(found.disagreement),
            "doubts": found.doubts(),
            "untrained": number(found.untrained),
            "steps": found.steps,
            "planned_steps": found.planned,
            "held_out": found.held_out,
            "rates": points,
            "settings": {
                "loss": settings.compiled()["loss"],
                "loss_options": settings.compiled()["loss_options"],
                "optimizer": settings.compiled()["optimizer"],
                "optimizer_options": settings.compiled()["optimizer_options"],
                "batch_size": settings.batch_size,
                "seed": self.train.seed(),
            },
            "device": model.device().name(),
            "adapter": model.device().describe(),
            "parameters": model.parameters(),
        })
    }
}

/// Losses in the unit of the targets.
fn in_unit(mut found: LearningRates, unit: f64) -> LearningRates {
    found.untrained *= unit;
    for point in &mut found.points {
        point.loss = point.loss.map(|loss| loss * unit);
        point.losses.iter_mut().for_each(|loss| *loss = loss.map(|loss| loss * unit));
    }
    found
}

/// A table of the rates, and lines of what follows from it.
fn as_text(found: &LearningRates) -> String {
    let mut table = output::table(&["learning rate", "held-out loss", "steps", ""]);
    for point in &found.points {
        let loss = point.loss.map_or("–".into(), text::number);
        let role = role(found, point.rate, point.loss.is_none());
        table.add_row([text::number(point.rate), loss, point.steps.to_string(), role.into()]);
    }
    let mut lines = format!("{table}\n\n{found}\n");
    lines += &format!(
        "{} steps at each rate; the untrained loss is {}, on {} held-out rows\n",
        found.steps,
        text::number(found.untrained),
        text::count(found.held_out as u64)
    );
    lines += &reason(found).map_or(String::new(), |reason| format!("{reason}\n"));
    for doubt in found.doubts() {
        lines += &format!("note: {doubt}\n");
    }
    lines += &format!("train with --learning-rate {}\n", found.suggestion);
    output::folded(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_two_rates() {
        assert_eq!(range("1e-4, 1"), Ok((1e-4, 1.0)));
        for wrong in ["", "1", "1,1", "0,1", "1,2,3", "1,x", "-1,1", "1,inf", "nan,1"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
