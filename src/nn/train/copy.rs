//! Copies of a model.

use crate::nn::model::Model;
use crate::{Device, Result};

impl Model {
    /// A copy of the model on a device: weights, running statistics, the optimizer's state and
    /// progress, loss, names and groups. PyTorch's `copy.deepcopy(model).to(device)`.
    ///
    /// From `Device::reference()` to another device weights and states are rounded to f32. Layers and
    /// losses of one's own are shared; [`Model::to_bytes`] refuses them, since they are not
    /// in the file. Training goes on from the same state, with the same random numbers; a training that
    /// was interrupted is resumed by the model itself alone. `Clone` cannot fail, and a device may be
    /// full: hence no `Clone`.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Adam};
    /// use ndarray::array;
    /// let (x, y) = (array![[1.0], [2.0]], array![[1.0], [3.0]]);
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(1))
    ///     .on(&Device::cpu())?
    ///     .compile(Mse::new(), Adam::new())?;
    /// model.fit(&x, &y, Fit::new().epochs(2))?;
    /// let mut copy = model.copy_on(&Device::cpu())?;
    /// model.fit(&x, &y, Fit::new().epochs(3))?;
    /// copy.fit(&x, &y, Fit::new().epochs(3))?;
    /// assert_eq!(copy.predict(&x)?, model.predict(&x)?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] for more parameters than the device can hold; device errors.
    pub fn copy_on(&self, device: &Device) -> Result<Model> {
        let mut model = self.description.clone().on(device)?;
        model.set_parameter_groups(self.groups.clone())?;
        model.engine.set_states(&self.engine.states()?)?;
        model.engine.set_parameters(&self.engine.parameters()?)?;
        model.engine.set_loss_scale(self.engine.loss_scale()?)?;
        model.compiled = self.compiled.clone();
        (model.progress, model.average) = (self.progress, self.average);
        (model.schedule, model.scaling) = (self.schedule.clone(), self.scaling.clone());
        (model.names, model.encoding) = (self.names.clone(), self.encoding.clone());
        model.held_out = self.held_out;
        Ok(model)
    }

    /// The model behind its token embedding, with its weights and its loss: its features are what the
    /// embedding gives; and the path of the table. `None` if anything else reads the ids.
    pub(crate) fn behind_token_embedding(&self) -> Result<Option<(Model, String)>> {
        let Some((graph, table)) = self.graph.behind_token_embedding()? else { return Ok(None) };
        let mut model = self.description.clone().with_graph(graph, &self.device)?;
        model.engine.set_parameters(&self.engine.parameters()?)?;
        model.compiled = self.compiled.clone();
        Ok(Some((model, table)))
    }
}
