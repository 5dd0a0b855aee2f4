//! Training on rows that are made anew for each epoch: random windows of a text, other masks.

use ndarray::Array2;

use crate::criterion::inputs::FloatElement;
use crate::data::Fingerprint;
use crate::nn::model::Model;
use crate::nn::train::engine::{Samples, TrainingSpec};
use crate::nn::train::history::History;
use crate::nn::train::options::Fit;
use crate::nn::train::samples::{InputSpec, Rows};
use crate::nn::train::stream::{Feed, Made};
use crate::nn::train::training_run::{Loaded, TrainingRun};
use crate::{Error, Result, Targets};

impl Model {
    /// As [`Model::fit`], with other rows in each epoch: `rows` makes the features and the labels of
    /// an epoch from its number, which is 0 for the first epoch of the model and counts on over all
    /// calls, also across saving and loading. For random windows of a text
    /// ([`shifted_sequences`](crate::data::text::shifted_sequences)) and for masked language models
    /// ([`MaskedTokens`](crate::data::text::MaskedTokens)).
    ///
    /// The rows of an epoch must follow from its number alone: then a resumed training
    /// ([`Fit::resume`]) gives the same bits. Each epoch has as many rows; one epoch's are in memory
    /// at a time. An epoch's rows are uploaded when it begins.
    ///
    /// ```
    /// use gradus::data::text::MaskedTokens;
    /// use gradus::layers::{PositionEmbedding, SelfAttention, TokenEmbedding};
    /// use gradus::{Dense, Device, Fit, Sequential, losses::CrossEntropy, optimizers::AdamW};
    /// use ndarray::Array2;
    ///
    /// let rows = Array2::from_shape_fn((64, 8), |(row, token)| (1 + (row + token) % 10) as f32);
    /// let masked = MaskedTokens::new(0, 11);
    /// let mut model = Sequential::tokens(8)
    ///     .then(TokenEmbedding::new(11, 16))
    ///     .then(PositionEmbedding::new())
    ///     .then(SelfAttention::new(2)) // sees both sides
    ///     .then(Dense::new(11))
    ///     .on(&Device::cpu())?
    ///     .compile(CrossEntropy::new(), AdamW::new().learning_rate(3e-2))?;
    /// let fit = Fit::new().epochs(60).batch_size(16);
    /// let history = model.fit_epochs(|epoch| masked.rows(&rows, u64::from(epoch)), fit)?;
    /// assert!(history.epochs[59].loss < 0.8 * history.epochs[0].loss);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::fit`]; errors of `rows`; [`Error::Input`] if the number of rows changes, and if
    /// the number of ignored labels does for [`Fit::accumulate`] or an optimizer that takes all
    /// rows at once; [`Error::Option`] for `validation_split` and `sample_weight`: validation rows
    /// are those of [`Fit::validation_data`].
    pub fn fit_epochs(
        &mut self,
        mut rows: impl FnMut(u32) -> Result<(Array2<f32>, Array2<i64>)>,
        fit: Fit,
    ) -> Result<History> {
        let prepared = self.prepared_epochs(&mut rows, &fit);
        let (training_spec, training_run, fingerprint) = fit.begun(prepared)?;
        let Loaded { data, kept, .. } = training_run.training;
        let mut feed = Feed::Made(Made { rows: &mut rows, data, epoch: 0, kept });
        self.trained(&training_spec, &fit, training_run, &mut feed, fingerprint)
    }

    /// Checks the options and the first epoch's rows, and loads these; returns their fingerprint too.
    fn prepared_epochs(
        &mut self,
        rows: &mut dyn FnMut(u32) -> Result<(Array2<f32>, Array2<i64>)>,
        fit: &Fit,
    ) -> Result<(TrainingSpec, TrainingRun, u64)> {
        self.check(fit)?;
        let mut training_spec = self.training_spec("fit_epochs")?;
        for (name, given, allowed) in [
            ("validation_split", fit.validation_split > 0.0, "0: use validation_data"),
            ("sample_weight", fit.weighting.rows.is_some(), "left out: the rows change"),
        ] {
            if given {
                return Err(Error::option("fit_epochs", name, "given", allowed));
            }
        }
        let (x, y) = rows(0)?;
        self.check_memory(fit, x.nrows())?;
        let input_spec = InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() };
        let mut fingerprint = Fingerprint::new();
        let load = |samples: &Samples| {
            samples.add_to(&mut fingerprint);
            self.engine.load(samples)
        };
        let (features, targets) = (FloatElement::floats(&x), Targets::from(&y));
        let loss = &training_spec.loss;
        let mut training_run = TrainingRun::new(input_spec, loss, features, &targets, fit, load)?;
        (training_spec.metric, training_spec.step_options) =
            (training_run.metric, fit.step_options());
        // The variance of the targets is another in each epoch.
        training_run.yardstick = None;
        // The same rows of `fit` would be another training.
        Ok((training_spec, training_run, fingerprint.value().rotate_left(1)))
    }

    /// Loads the rows of an epoch, unless they are loaded; returns their handle. `first` are those
    /// of epoch 0.
    pub(crate) fn load_epoch(
        &mut self,
        made: &mut Made,
        training_spec: &TrainingSpec,
        fit: &Fit,
        first: Loaded,
        epoch: u32,
    ) -> Result<usize> {
        if made.epoch == epoch {
            return Ok(made.data);
        }
        let (x, y) = (made.rows)(epoch)?;
        let loss = &*training_spec.loss;
        let (features, targets) = (FloatElement::floats(&x), Targets::from(&y));
        let mut rows = Rows::new(self.input_spec(), loss, "fit_epochs", features, &targets)?;
        let refused = |found: String, allowed: String| Error::Input {
            operation: "fit_epochs".into(),
            name: format!("epoch {epoch}"),
            found,
            allowed,
        };
        if rows.rows != first.rows {
            let allowed = format!("{}, as in epoch 0", first.rows);
            return Err(refused(format!("has {} rows", rows.rows), allowed));
        }
        let divides = fit.batches_per_update() > 1 || training_spec.optimizer.whole_batch();
        if divides && rows.kept != first.kept {
            let found = format!("has {} labels that count", rows.kept);
            return Err(refused(found, format!("{}, as in epoch 0", first.kept)));
        }
        let all = rows.rows;
        rows.weigh(loss, &fit.weighting, all)?;
        made.data = self.engine.reload(made.data, &rows.all())?;
        (made.kept, made.epoch) = (rows.kept, epoch);
        Ok(made.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::CrossEntropy;
    use crate::nn::optimizers::Sgd;
    use crate::nn::train::engine::SampleTargets;
    use crate::nn::train::features::FlatView;
    use crate::nn::train::weights::Weights;
    use crate::runtime::device::Device;
    use crate::runtime::device::test_adapter::each_device;
    use crate::{Dense, Sequential};

    fn samples<'a>(x: &'a [f32], labels: &'a [i32], has_ignored: bool) -> Samples<'a> {
        Samples {
            rows: labels.len(),
            features: FlatView::Numbers(x),
            targets: SampleTargets::Labels(labels),
            has_ignored,
            lists: None,
            weights: Weights::default(),
        }
    }

    /// A GPU keeps what it has made for rows of one number and kind; all devices see the new ones.
    #[test]
    fn rows_of_another_epoch_take_the_place_of_the_last() {
        for device in each_device() {
            let mut model = Sequential::new(2)
                .then(Dense::new(3))
                .on(&device)
                .unwrap()
                .compile(CrossEntropy::new(), Sgd::new())
                .unwrap();
            let (first, second) = ([1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 2.0, -3.0]);
            let engine = &mut model.engine;
            let data = engine.load(&samples(&first, &[0, 1], false)).unwrap();
            let before = engine.predict(data, 2).unwrap();
            let again = engine.reload(data, &samples(&second, &[2, 0], false)).unwrap();
            let found = engine.predict(again, 2).unwrap();
            let alone = engine.load(&samples(&second, &[2, 0], false)).unwrap();
            assert_eq!(found, engine.predict(alone, 2).unwrap(), "{}", device.name());
            assert_ne!(found, before);
            assert_eq!(again == data, matches!(device, Device::Gpu(_)), "{}", device.name());
            // Another number of rows, or ignored labels where there were none, is other work.
            let fewer = engine.reload(again, &samples(&second[..2], &[2], false)).unwrap();
            assert_ne!(fewer, again);
            assert_eq!(engine.predict(fewer, 2).unwrap()[..], found[..3]);
            let ignored = engine.reload(fewer, &samples(&second[..2], &[-100], true)).unwrap();
            assert_ne!(ignored, fewer);
        }
    }
}
