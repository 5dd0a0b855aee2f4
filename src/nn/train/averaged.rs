//! Models with averaged weights.

use crate::nn::model::Model;
use crate::nn::train::average::Average;
use crate::{Error, Result};

impl Model {
    /// True if averaged weights exist: see [`Model::averaged`].
    pub fn keeps_average(&self) -> bool {
        let compiled = self.compiled.as_ref().filter(|_| self.progress.steps > 0);
        compiled.is_some_and(|compiled| {
            self.average.is_some() || compiled.optimizer.averaged_state().is_some()
        })
    }

    /// A copy of the model with averaged weights, to predict, evaluate or save: those of
    /// [`crate::Fit::average`], or else those kept by a schedule-free optimizer. This model is
    /// unchanged. Running statistics of batch norm are those of this model: they are not measured
    /// anew for the averaged weights, as PyTorch's `swa_utils.update_bn` does.
    ///
    /// # Errors
    /// [`Error::Input`] for a model that has neither, or is untrained; device errors.
    pub fn averaged(&self) -> Result<Model> {
        let compiled = self.compiled.as_ref().filter(|_| self.progress.steps > 0);
        let own = compiled.and_then(|compiled| compiled.optimizer.averaged_state());
        let states = self.engine.states()?;
        let running = compiled.map(|compiled| compiled.optimizer.states()).zip(self.average);
        let found = match (running, own) {
            (Some((state, average)), _) => states
                .into_iter()
                .nth(state)
                .map(|values| average.weights(values, self.progress.averaged)),
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
            model.engine.set_states(&compiled.optimizer.first_states(self.graph.all_length()))?;
        }
        let mut parameters = self.engine.parameters()?;
        let statistics = parameters.split_off(self.graph.all_length());
        model.engine.set_parameters(&[weights, statistics].concat())?;
        model.compiled = self.compiled.clone();
        (model.scaling, model.names) = (self.scaling.clone(), self.names.clone());
        model.set_parameter_groups(self.groups.clone())?;
        // Without them a table would be read without the encoding of its columns.
        (model.encoding, model.held_out) = (self.encoding.clone(), self.held_out);
        Ok(model)
    }

    /// Allocates a new running average, or discards one that is no longer requested.
    pub(crate) fn keep_average(&mut self, average: Option<Average>) -> Result<()> {
        if self.average == average {
            return Ok(());
        }
        let own = self.compiled.as_ref().map_or(0, |compiled| compiled.optimizer.states());
        let mut states = self.engine.states()?;
        states.truncate(own);
        if let Some(average) = &average {
            let parameters = self.engine.parameters()?;
            states.push(average.start(&parameters[..self.graph.all_length()]));
        }
        self.engine.set_states(&states)?;
        (self.average, self.progress.averaged) = (average, 0);
        Ok(())
    }
}
