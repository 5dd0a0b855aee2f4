//! One training with given options and no report: what `tune` ends with.

use std::path::Path;

use clap::Parser;
use gradus::{HeldOut, Model, Stop};

use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::source::Source;
use crate::samples::{Task, target_kind};
use crate::train::options::Train;

/// The options of `train`, parsed from a list of arguments.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    train: Train,
}

/// Trains on all rows of a source as `gradus train` does with these arguments, and saves the model.
pub(crate) fn refit(
    source: &Source,
    arguments: &[String],
    device: DeviceChoice,
    out: Option<&Path>,
) -> Outcome<Model> {
    // The source takes the place of the parsed one, which has no form for all of its options.
    let all = ["gradus", "--data", "-"].into_iter().map(String::from).chain(arguments.to_vec());
    let parsed = Arguments::try_parse_from(all)
        .map_err(|error| Failure::Failed(format!("the options of the refit: {error}")))?;
    let mut train = parsed.train;
    (train.source, train.device) = (source.clone(), device);
    train.trained(out)
}

impl Train {
    fn trained(&self, out: Option<&Path>) -> Outcome<Model> {
        let Some(plan) = self.plan()? else {
            return Err(Failure::Usage("--resume: the refit begins anew".into()));
        };
        let held_out = HeldOut { share: 0.0, seed: self.seed };
        let parts = self.parts(target_kind(&*plan.loss), held_out, None)?;
        let task = Task::of(&*plan.loss, &parts.train)?;
        let layers = self.layers(&parts.train, &task)?;
        let settings = self.settings(task.ranks, None).with(&plan);
        let mut model = self.new_model(plan, layers, &parts, &self.device(None).open(false)?)?;
        model.set_held_out(held_out);
        let updates = parts.rows().div_ceil(settings.batch_size);
        let chosen = settings.of_updates(updates, false);
        let fit = self.asked(&model, updates, &chosen)?.progress(false);
        let truth = task.truth(&parts.train)?;
        let history = model.fit(&parts.train.features, truth.targets(), fit)?;
        if let Some(stop @ Stop::NotFinite { .. }) = history.stopped {
            return Err(Failure::Failed(stop.to_string()));
        }
        if let Some(path) = out {
            model.save(path).map_err(|error| Failure::from(error).of("--out"))?;
        }
        Ok(model)
    }
}
