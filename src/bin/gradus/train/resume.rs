//! Training state of a saved model, for resuming it.

use std::path::Path;

use gradus::HeldOut;
use serde_json::{Map, Value};

use crate::train::options::{Before, Earlier, Train};
use crate::{output, saved};

impl Earlier {
    pub fn of(path: &Path) -> Self {
        Earlier(saved::description(path).map(|(_, described)| described).unwrap_or_default())
    }

    /// Loss, optimizer and layers, for the JSON document of settings.
    pub fn compiled(&self) -> Map<String, Value> {
        let (described, mut compiled) = (&self.0, Map::new());
        for part in ["loss", "optimizer"] {
            compiled.insert(part.into(), described[part]["name"].clone());
            compiled.insert(format!("{part}_options"), described[part]["options"].clone());
        }
        let layers = described["layers"].as_array().map_or(&[][..], Vec::as_slice);
        let hidden = &layers[..layers.len().saturating_sub(1)];
        // A network of other layers has no list of hidden units.
        let is_dense = layers.iter().all(|layer| layer["units"].is_u64());
        let units = || hidden.iter().map(|layer| layer["units"].clone()).collect();
        compiled.insert("hidden".into(), if is_dense { units() } else { Value::Null });
        let activation = hidden.first().filter(|_| is_dense);
        let activation =
            activation.map_or(Value::Null, |layer| layer["activation"]["name"].clone());
        compiled.insert("activation".into(), activation);
        for name in ["l1", "l2", "proximal_l1", "seed"] {
            compiled.insert(name.into(), described[name].clone());
        }
        compiled
    }

    /// A training option, by its name in `Fit`.
    pub fn option(&self, name: &str) -> &Value {
        &self.0["training"]["options"][name]
    }

    pub fn batch_size(&self) -> Option<usize> {
        self.option("batch_size").as_u64().and_then(|size| usize::try_from(size).ok())
    }

    /// Batches of an update, in all processes.
    pub fn accumulate(&self) -> Option<usize> {
        self.option("accumulate").as_u64().and_then(|batches| usize::try_from(batches).ok())
    }

    pub fn learning_rate(&self) -> Option<f64> {
        self.option("learning_rate")
            .as_f64()
            .or_else(|| self.0["optimizer"]["options"]["learning_rate"].as_f64())
    }

    pub fn average(&self) -> Option<f64> {
        self.0["average"]["decay"].as_f64()
    }

    pub fn patience(&self) -> Option<usize> {
        self.option("early_stopping")["patience"]
            .as_u64()
            .and_then(|patience| usize::try_from(patience).ok())
    }

    /// Completed and planned epochs.
    fn epochs(&self) -> [usize; 2] {
        let training = &self.0["training"];
        let number = |name: &str| {
            training[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
        };
        [number("epochs"), number("planned")]
    }

    /// Remaining epochs, 0 for a finished run; none if the file does not record it, as in gradus
    /// 0.1.0.
    pub fn left(&self) -> Option<usize> {
        let [done, planned] = self.epochs();
        self.0["training"].is_object().then(|| planned.saturating_sub(done))
    }

    /// Progress that a schedule counts as done.
    pub fn before(&self) -> Before {
        let number = |found: &Value| {
            found.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
        };
        let [updates, epochs] = ["steps", "epochs"].map(|name| number(&self.0["progress"][name]));
        let [numbered, _] = self.epochs();
        Before {
            updates: updates.saturating_sub(number(&self.0["training"]["cut"]["batches"])),
            epochs,
            numbered,
            is_cut: self.0["training"]["cut"].is_object(),
        }
    }

    /// Progress of the training run, as text.
    pub fn in_words(&self) -> Option<String> {
        let [done, planned] = self.epochs();
        if self.left()? == 0 {
            return Some("the saved training is over; --epochs N adds to it".into());
        }
        let batches = self.0["training"]["cut"]["batches"].as_u64();
        let more =
            batches.map_or(String::new(), |batches| format!(" and {batches} batches of the next"));
        Some(format!("{done} of {planned} epochs{more} are done"))
    }

    /// Seed and fraction of the held-out rows. A file of gradus 0.1.0 has the seed, but not the
    /// fraction.
    fn held_out(&self) -> (Option<u64>, Option<f64>) {
        let kept = &self.0["held_out"];
        (kept["seed"].as_u64().or_else(|| self.0["seed"].as_u64()), kept["share"].as_f64())
    }
}

/// Default fraction of the rows to validate on.
const VALIDATION: f64 = 0.1;

impl Train {
    /// Selection of the validation rows: those that a saved model has not been trained on.
    pub(super) fn held_out(&self, earlier: Option<&Earlier>) -> HeldOut {
        let Some((seed, share)) = earlier.map(Earlier::held_out) else {
            return HeldOut { seed: self.seed, share: self.validation.unwrap_or(VALIDATION) };
        };
        if let (Some(asked), Some(share)) = (self.validation, share)
            && asked > share
        {
            output::note(&format!(
                "warning: --validation is {asked} and the saved model was trained on all but {share} of the rows: some that it was \
                 trained on are now validated on"
            ));
        }
        HeldOut {
            seed: seed.unwrap_or(self.seed),
            share: self.validation.or(share).unwrap_or(VALIDATION),
        }
    }
}
