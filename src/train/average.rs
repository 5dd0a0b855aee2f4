//! A running average of the weights, to predict with.

use crate::model::Model;
use crate::{Error, Result};

/// A running average of the weights: a ← δa + (1 − δ)w behind each update ([`crate::Fit::average`], [`Model::averaged`]).
///
/// ```
/// use gradus::Average;
/// let average = Average::new(0.99).debias(true);
/// # let _ = average;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Average {
    decay: f64,
    debias: bool,
}

impl Average {
    /// With the part δ of the average that is kept, in [0, 1). It begins with the weights as they are.
    ///
    /// Keras `use_ema`, PyTorch `AveragedModel` with `get_ema_multi_avg_fn`.
    pub fn new(decay: f64) -> Self {
        Average { decay, debias: false }
    }

    /// Whether it begins at 0 and is divided by 1 − δᵗ when it is asked for, so that no weight stands for what was there before the
    /// first update: optax `ema(decay, debias=True)` (default false).
    pub fn debias(mut self, debias: bool) -> Self {
        self.debias = debias;
        self
    }

    /// What part of the weights goes into it.
    pub(crate) fn weight(&self) -> f64 {
        1.0 - self.decay
    }

    /// What it begins with.
    pub(crate) fn start(&self, parameters: &[f64]) -> Vec<f64> {
        if self.debias { vec![0.0; parameters.len()] } else { parameters.to_vec() }
    }

    /// The weights that an average stands for after so many updates.
    pub(crate) fn weights(&self, mut average: Vec<f64>, updates: u64) -> Vec<f64> {
        if self.debias && updates > 0 {
            let correction = 1.0 - self.decay.powf(updates as f64);
            average.iter_mut().for_each(|weight| *weight /= correction);
        }
        average
    }

    pub(crate) fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.decay) {
            return Ok(());
        }
        Err(Error::option("average", "decay", self.decay, "in [0, 1)"))
    }
}

impl Model {
    /// The model with averaged weights, to predict, to evaluate, to save: those of [`crate::Fit::average`], or else those that a
    /// schedule-free optimizer keeps. This one is left as it is.
    ///
    /// # Errors
    /// [`Error::Input`] for a model that has neither, or was not trained yet; what the device reports.
    pub fn averaged(&self) -> Result<Model> {
        let compiled = self.compiled.as_ref().filter(|_| self.progress.steps > 0);
        let own = compiled.and_then(|compiled| compiled.optimizer.averaged_state());
        let states = self.engine.states()?;
        let running = compiled.map(|compiled| compiled.optimizer.states()).zip(self.average);
        let found = match (running, own) {
            (Some((state, average)), _) => {
                states.into_iter().nth(state).map(|values| average.weights(values, self.progress.averaged))
            }
            (None, Some(state)) => states.into_iter().nth(state),
            (None, None) => None,
        };
        let weights = found.ok_or_else(|| Error::Input {
            operation: "averaged".into(),
            name: "the model".into(),
            found: "keeps no average of its weights".into(),
            allowed: "train it with Fit::average or with a schedule-free optimizer first".into(),
        })?;
        let mut model = self.description.clone().on(&self.device)?;
        if let Some(compiled) = &self.compiled {
            model.engine.set_states(&compiled.optimizer.first_states(self.network.length))?;
        }
        model.engine.set_parameters(&weights)?;
        model.compiled = self.compiled.clone();
        (model.scaling, model.names) = (self.scaling.clone(), self.names.clone());
        Ok(model)
    }

    /// Makes room for a running average that is new, and lets go of one that is no longer asked for.
    pub(crate) fn keep_average(&mut self, average: Option<Average>) -> Result<()> {
        if self.average == average {
            return Ok(());
        }
        let own = self.compiled.as_ref().map_or(0, |compiled| compiled.optimizer.states());
        let mut states = self.engine.states()?;
        states.truncate(own);
        if let Some(average) = &average {
            states.push(average.start(&self.engine.parameters()?));
        }
        self.engine.set_states(&states)?;
        (self.average, self.progress.averaged) = (average, 0);
        Ok(())
    }
}
