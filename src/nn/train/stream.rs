//! Training on rows in blocks: data sets larger than memory or the device.

use ndarray::{Array2, Axis, concatenate};

use crate::cpu::random::Permutation;
use crate::criterion::inputs::FloatElement;
use crate::data::{Blocks, Dataset, Target, WeighedBlock};
use crate::losses::{LossDefinition, takes_class_prior};
use crate::nn::model::Model;
use crate::nn::train::baseline::{Reach, RunningR2};
use crate::nn::train::engine::{Batch, Metric, Outcome, TrainingSpec};
use crate::nn::train::history::{Epoch, History};
use crate::nn::train::options::Fit;
use crate::nn::train::pass::{LoadedBatches, Pass};
use crate::nn::train::samples::Rows;
use crate::nn::train::score::Score;
use crate::nn::train::training_run::{Loaded, TrainingRun, scoring};
use crate::nn::train::weights::{ClassWeight, InBlocks, Sums, Weighed, Weighting, no_classes};
use crate::{Error, Result, Targets};

/// Source of an epoch's rows.
pub(crate) enum Feed<'f> {
    /// Already on the device.
    Loaded,
    /// Streamed in blocks.
    Blocks(Streamed<'f>),
    /// Made anew in each epoch.
    Made(Made<'f>),
}

/// Makes the rows of an epoch: features and labels.
pub(crate) type RowsOfEpoch<'f> = dyn FnMut(u32) -> Result<(Array2<f32>, Array2<i64>)> + 'f;

/// Rows that are made anew in each epoch.
pub(crate) struct Made<'f> {
    pub rows: &'f mut RowsOfEpoch<'f>,
    /// The handle of those on the device, and their epoch.
    pub data: usize,
    pub epoch: u32,
    /// Labels of that epoch that count.
    pub kept: usize,
}

/// Rows in blocks, and statistics of those seen.
pub(crate) struct Streamed<'f> {
    pub training: &'f mut (dyn Blocks + 'f),
    pub validation: Option<&'f mut (dyn Blocks + 'f)>,
    /// Row weights of training and validation.
    pub weights: [InBlocks; 2],
    seen: Seen,
}

/// Statistics of the rows seen.
struct Seen {
    /// Rows of the current epoch whose label is not ignored.
    kept: usize,
    reach: Reach,
    /// R² over the targets of the current epoch.
    measure: Option<RunningR2>,
}

impl Seen {
    /// Counts the rows of a block.
    fn take_note(&mut self, block: &Dataset, loss: &dyn LossDefinition) {
        self.kept += match &block.target {
            Target::Labels { labels, .. } if loss.targets().takes_labels() => {
                let ignored = loss.ignored();
                labels.iter().filter(|label| !ignored.contains(label)).count()
            }
            _ => block.rows(),
        };
    }
}

impl Feed<'_> {
    /// Number of an epoch's rows that count; `loaded` are those on the device.
    pub fn kept(&self, loaded: usize) -> usize {
        match self {
            Feed::Loaded => loaded,
            Feed::Blocks(blocks) => blocks.seen.kept,
            Feed::Made(made) => made.kept,
        }
    }

    /// The handle of the epoch's rows, if all of them are on the device; `loaded` is that of those
    /// loaded before the training.
    pub fn loaded(&self, loaded: usize) -> Option<usize> {
        match self {
            Feed::Loaded => Some(loaded),
            Feed::Made(made) => Some(made.data),
            Feed::Blocks(_) => None,
        }
    }

    /// The handle of rows that the feed has loaded itself.
    pub fn data(&self) -> Option<usize> {
        match self {
            Feed::Made(made) => Some(made.data),
            Feed::Loaded | Feed::Blocks(_) => None,
        }
    }

    /// True if rows come with weights.
    pub fn weighs(&self) -> bool {
        matches!(self, Feed::Blocks(blocks) if blocks.training.weighs())
    }

    /// Adds the R² that follows from an epoch's loss.
    pub fn measure(&self, report: &mut Epoch) {
        if let Feed::Blocks(Streamed { seen: Seen { measure: Some(measure), .. }, .. }) = self {
            report.r2 = measure.r2(report.loss);
        }
    }

    pub fn reach(&self, loaded: Reach) -> Reach {
        match self {
            Feed::Loaded | Feed::Made(_) => loaded,
            Feed::Blocks(blocks) => blocks.seen.reach,
        }
    }
}

impl Model {
    /// As [`Model::fit`], on rows from [`Blocks`]: one or two blocks are in memory at a time, so
    /// that the data may exceed it. Validation rows come in blocks too, or from
    /// [`Fit::validation_data`].
    ///
    /// Each epoch reads all blocks. They are split into batches of [`Fit::batch_size`], and the
    /// rest of a block is joined to the rows of the next. With [`Fit::shuffle`] the rows of each
    /// block are shuffled, by the model's seed, the epoch and the number of the block; the order of
    /// the blocks is up to [`Blocks`]. The same blocks give the same bits, also if an epoch was
    /// interrupted ([`Fit::resume`]). Row weights are those of [`Blocks::weighed_epoch`],
    /// [`Fit::class_weight`] and [`Fit::pos_weight`]; the first two need one extra pass over the
    /// blocks before the first epoch, for their sums. The history has R² of the training rows for
    /// the squared error only, and no baseline: both would need all targets at once.
    ///
    /// # Errors
    /// As [`Model::fit`]; errors of the blocks; [`Error::Input`] if their number of rows differs
    /// from the announced one, and for losses of lists.
    pub fn fit_blocks<'f>(
        &mut self,
        training: &'f mut (dyn Blocks + 'f),
        validation: Option<&'f mut (dyn Blocks + 'f)>,
        fit: Fit,
    ) -> Result<History> {
        self.check(&fit)?;
        let mut training_spec = self.training_spec("fit_blocks")?;
        if training_spec.loss.targets().pads() {
            return Err(refused(
                "the loss",
                "is one of lists",
                "rows that stand for themselves; hand lists to fit",
            ));
        }
        if self.graph.positions() > 1 {
            return Err(refused(
                "the model",
                "has several targets a row",
                "one row of outputs; hand sequences to fit",
            ));
        }
        if fit.validation_split > 0.0 {
            let allowed = "0: hold rows out of the blocks, and hand them over beside them";
            return Err(Error::option(
                "fit_blocks",
                "validation_split",
                fit.validation_split,
                allowed,
            ));
        }
        if fit.weighting.rows.is_some() {
            let allowed = "left out: blocks bring the weights of their rows themselves, by Blocks::weighed_epoch";
            return Err(Error::option("fit_blocks", "sample_weight", "given", allowed));
        }
        let rows = training.rows();
        if rows == 0 {
            return Err(Error::Empty { operation: "fit_blocks".into(), name: "the blocks".into() });
        }
        if rows > u32::MAX as usize {
            return Err(refused("the blocks", &format!("have {rows} rows"), "at most 4294967295"));
        }
        self.check_memory(&fit, rows)?;
        let of_training = self.weights_of(&training_spec, training, &fit.weighting)?;
        let for_validation = Weighting {
            classes: of_training.of_class.clone().map(ClassWeight::Each),
            rows: fit.weighting.validation.clone(),
            prior: takes_class_prior(&*training_spec.loss).then(|| of_training.positive.clone()),
            is_of_validation: true,
            ..fit.weighting.clone()
        };
        let mut validation = validation;
        let of_validation = match &mut validation {
            Some(blocks) => self.weights_of(&training_spec, &mut **blocks, &for_validation)?,
            None => InBlocks::default(),
        };
        let training_run = self.run_of_blocks(&training_spec, training, &fit, &for_validation)?;
        (training_spec.metric, training_spec.step_options) =
            (training_run.metric, fit.step_options());
        // The validation source is part of the training's identity.
        let fingerprint = training.fingerprint().rotate_left(1)
            ^ validation.as_ref().map_or(0, |blocks| blocks.fingerprint() ^ blocks.rows() as u64);
        let seen = Seen { kept: 0, reach: training_run.reach, measure: None };
        let streamed =
            Streamed { training, validation, weights: [of_training, of_validation], seen };
        self.trained(&training_spec, &fit, training_run, &mut Feed::Blocks(streamed), fingerprint)
    }

    /// As [`Model::evaluate`], on rows from [`Blocks`].
    ///
    /// # Errors
    /// As [`Model::evaluate`]; errors of the blocks.
    pub fn evaluate_blocks(&mut self, rows: &mut dyn Blocks) -> Result<Score> {
        let mut training_spec = self.training_spec("evaluate_blocks")?;
        let first = first_of(rows)?;
        training_spec.metric = Metric::of(
            &*training_spec.loss,
            self.rows_of(&training_spec, &first)?.one_hot,
            self.graph.outputs(),
        );
        drop(first);
        Ok(self.score_blocks(&training_spec, rows, None)?.0)
    }

    /// The row weights of blocks: their sum takes a pass over all of them.
    fn weights_of(
        &self,
        training_spec: &TrainingSpec,
        blocks: &mut dyn Blocks,
        asked: &Weighting,
    ) -> Result<InBlocks> {
        let loss = &*training_spec.loss;
        let mut sums = None;
        if asked.classes.is_some() || blocks.weighs() || takes_class_prior(loss) {
            let sums = sums.insert(Sums::default());
            for block in blocks.weighed_epoch(0)? {
                let (block, weights) = block?;
                check_weights(&block, weights.as_deref())?;
                let classes = self.rows_of(training_spec, &block)?.classes(loss);
                if asked.classes.is_some() && classes.is_none() {
                    return Err(no_classes(loss));
                }
                sums.add(classes.as_ref(), block.rows(), weights.as_deref());
            }
        }
        InBlocks::new(loss, asked, self.graph.outputs(), sums.as_ref())
    }

    /// The training run of blocks: the first block determines the type of the targets.
    fn run_of_blocks(
        &mut self,
        training_spec: &TrainingSpec,
        training: &mut dyn Blocks,
        fit: &Fit,
        for_validation: &Weighting,
    ) -> Result<TrainingRun> {
        let first = first_of(training)?;
        let rows = self.rows_of(training_spec, &first)?;
        let metric = Metric::of(&*training_spec.loss, rows.one_hot, self.graph.outputs());
        let reach = Reach::of(rows.features.all().values(), rows.dense(0, rows.rows));
        let validation = match &fit.validation {
            None => None,
            Some(given) => {
                let (input_spec, loss) = (self.input_spec(), &*training_spec.loss);
                let mut rows = Rows::new(
                    input_spec,
                    loss,
                    "fit (validation)",
                    given.0.features(),
                    &given.1.targets(),
                )?;
                let all = rows.rows;
                rows.weigh(loss, for_validation, all)?;
                Some(Loaded::new(&rows, self.engine.load(&rows.all())?))
            }
        };
        let count = training.rows();
        let training = Loaded {
            data: usize::MAX,
            rows: count,
            kept: count,
            lists: false,
            at_once: rows.at_once(),
        };
        Ok(TrainingRun { training, validation, metric, yardstick: None, reach, watched: None })
    }

    /// A block as rows for an engine.
    fn rows_of<'d>(&self, training_spec: &TrainingSpec, block: &'d Dataset) -> Result<Rows<'d>> {
        let features = FloatElement::floats(&block.features);
        match &block.target {
            Target::Labels { labels, .. } => Rows::new(
                self.input_spec(),
                &*training_spec.loss,
                "fit_blocks",
                features,
                &Targets::from(labels),
            ),
            Target::Values(values) => Rows::new(
                self.input_spec(),
                &*training_spec.loss,
                "fit_blocks",
                features,
                &Targets::from(values),
            ),
            Target::None => Err(refused("a block", "has no targets", "one target for each row")),
        }
    }

    /// Trains on the batches of an epoch without an outcome yet; true if the callback requests the
    /// end.
    pub(crate) fn train_blocks(
        &mut self,
        blocks: &mut Streamed,
        pass: &Pass,
        fit: &Fit,
        epoch: u32,
        outcomes: &mut Vec<Outcome>,
        at_once: &mut usize,
    ) -> Result<bool> {
        let Streamed { training, seen, weights: [scale, _], .. } = blocks;
        seen.kept = 0;
        seen.measure = RunningR2::new(&*pass.training_spec.loss, self.graph.outputs())
            .filter(|_| pass.training_spec.metric.is_none());
        let (total, size) = (training.rows(), pass.batches[0].rows);
        let (mut first, mut done, mut rest): (usize, usize, Option<WeighedBlock>) = (0, 0, None);
        for (number, block) in training.weighed_epoch(epoch)?.enumerate() {
            let (block, given) = block?;
            check_weights(&block, given.as_deref())?;
            seen.take_note(&block, &*pass.training_spec.loss);
            let known = rest.as_ref().map_or(0, |(rest, _)| rest.rows());
            let (block, given) = joined(rest.take(), (block, given))?;
            let count = block.rows();
            if first + count > total {
                return Err(other_rows(first + count, total));
            }
            // The last batch may be shorter.
            let here =
                if first + count == total { pass.batches.len() - done } else { count / size };
            let seed = self
                .description
                .seed
                .wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let order = fit.shuffle.then(|| Permutation::new(count as u32, seed, epoch));
            let place = |batch: &Batch| Batch { start: batch.start - first, order, ..*batch };
            let batches: Vec<Batch> = pass.batches[done..done + here].iter().map(place).collect();
            let mut rows = self.rows_of(pass.training_spec, &block)?;
            rows.weigh_block(&*pass.training_spec.loss, scale, given.as_deref())?;
            if let Some(measure) = &mut seen.measure {
                measure.add(rows.weighed(known, count - known));
            }
            if pass.training_spec.optimizer.whole_batch() && rows.kept < rows.rows {
                return Err(refused(
                    "the blocks",
                    "hold labels that are ignored",
                    "an optimizer that moves with each batch",
                ));
            }
            seen.reach =
                seen.reach.max(Reach::of(rows.features.all().values(), rows.dense(0, rows.rows)));
            let is_new = outcomes.len() < done + here;
            let data = if is_new { Some(self.engine.load(&rows.all())?) } else { None };
            drop(rows);
            let left: Vec<usize> = (here * size..count)
                .map(|at| order.map_or(at, |o| o.at(at as u32) as usize))
                .collect();
            rest = (!left.is_empty()).then(|| selected(&block, given.as_deref(), &left));
            drop(block);
            if let Some(data) = data {
                let part = LoadedBatches { batches: &batches, before: done };
                let asked = self.train(data, pass, part, outcomes, at_once);
                self.engine.unload(data);
                if asked? {
                    return Ok(true);
                }
            }
            (first, done) = (first + (here * size).min(count), done + here);
        }
        if done < pass.batches.len() {
            return Err(other_rows(first + rest.map_or(0, |(rest, _)| rest.rows()), total));
        }
        Ok(false)
    }

    /// Loss and accuracy over all blocks, and R² of numbers; unweighted without `weights`.
    pub(crate) fn score_blocks(
        &mut self,
        training_spec: &TrainingSpec,
        blocks: &mut dyn Blocks,
        weights: Option<&InBlocks>,
    ) -> Result<(Score, Option<f64>)> {
        let (mut loss, mut correct, mut kept) = (0.0, 0.0, 0);
        let mut measure = RunningR2::new(&*training_spec.loss, self.graph.outputs())
            .filter(|_| training_spec.metric.is_none());
        for block in blocks.weighed_epoch(0)? {
            let (block, given) = block?;
            let mut rows = self.rows_of(training_spec, &block)?;
            if let Some(weights) = weights {
                rows.weigh_block(&*training_spec.loss, weights, given.as_deref())?;
            }
            let loaded = Loaded::new(&rows, self.engine.load(&rows.all())?);
            let outcomes = self.engine.evaluate(loaded.data, training_spec, &scoring(loaded));
            let measured = match &mut measure {
                Some(measure) => self.measure_block(measure, &rows, loaded),
                None => Ok(()),
            };
            self.engine.unload(loaded.data);
            measured?;
            for outcome in outcomes? {
                // Each is a term of the mean over its block.
                loss += outcome.loss * loaded.kept as f64;
                correct += outcome.correct;
            }
            kept += loaded.kept;
        }
        let kept = kept.max(1) as f64;
        let score =
            Score { loss: loss / kept, accuracy: training_spec.metric.map(|_| correct / kept) };
        Ok((score, measure.and_then(|measure| measure.r2(score.loss))))
    }

    /// Adds the targets of a loaded block, and its predictions if needed.
    fn measure_block(
        &mut self,
        measure: &mut RunningR2,
        rows: &Rows,
        loaded: Loaded,
    ) -> Result<()> {
        let targets: Weighed = rows.weighed(0, rows.rows);
        measure.add(targets);
        if measure.wants_predictions() {
            measure.add_errors(
                &self.engine.predict(loaded.data, self.graph.prediction_batch())?,
                targets,
            );
        }
        Ok(())
    }
}

fn first_of(blocks: &mut dyn Blocks) -> Result<Dataset> {
    let first = blocks.epoch(0)?.next();
    first.unwrap_or_else(|| {
        Err(Error::Empty { operation: "fit_blocks".into(), name: "the blocks".into() })
    })
}

/// Rejects weights whose number differs from the rows'.
fn check_weights(block: &Dataset, weights: Option<&[f64]>) -> Result<()> {
    match weights {
        Some(weights) if weights.len() != block.rows() => {
            let found = format!("has {} rows and {} weights", block.rows(), weights.len());
            Err(refused("a block", &found, "a weight for each row"))
        }
        _ => Ok(()),
    }
}

/// The remaining rows of a block, followed by those of the next.
fn joined(rest: Option<WeighedBlock>, (block, weights): WeighedBlock) -> Result<WeighedBlock> {
    let Some((rest, before)) = rest else { return Ok((block, weights)) };
    let weights = match (before, weights) {
        (Some(before), Some(weights)) => Some([before, weights].concat()),
        (None, None) => None,
        _ => {
            return Err(refused(
                "the blocks",
                "have weights in some and none in others",
                "weights in all of them, or in none",
            ));
        }
    };
    let shape = |error: ndarray::ShapeError| {
        refused("the blocks", &error.to_string(), "the same columns in each")
    };
    let features =
        concatenate(Axis(0), &[rest.features.view(), block.features.view()]).map_err(shape)?;
    let target = match (&rest.target, &block.target) {
        (Target::Labels { labels, classes }, Target::Labels { labels: more, .. }) => {
            let labels = concatenate(Axis(0), &[labels.view(), more.view()]).map_err(shape)?;
            Target::Labels { labels, classes: classes.clone() }
        }
        (Target::Values(values), Target::Values(more)) => {
            Target::Values(concatenate(Axis(0), &[values.view(), more.view()]).map_err(shape)?)
        }
        _ => {
            return Err(refused(
                "the blocks",
                "have classes and numbers as targets",
                "targets of one kind",
            ));
        }
    };
    Ok((Dataset { features, target, feature_names: block.feature_names, groups: None }, weights))
}

fn selected(block: &Dataset, weights: Option<&[f64]>, rows: &[usize]) -> WeighedBlock {
    let target = match &block.target {
        Target::Labels { labels, classes } => {
            Target::Labels { labels: labels.select(Axis(0), rows), classes: classes.clone() }
        }
        Target::Values(values) => Target::Values(values.select(Axis(0), rows)),
        Target::None => Target::None,
    };
    let features = block.features.select(Axis(0), rows);
    let weights = weights.map(|weights| rows.iter().map(|&row| weights[row]).collect());
    (
        Dataset { features, target, feature_names: block.feature_names.clone(), groups: None },
        weights,
    )
}

fn other_rows(found: usize, said: usize) -> Error {
    let found = format!("brought {found} rows{}", if found > said { " or more" } else { "" });
    refused("the blocks", &found, &format!("the {said} that they say"))
}

fn refused(name: &str, found: &str, allowed: &str) -> Error {
    Error::Input {
        operation: "fit_blocks".into(),
        name: name.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}
