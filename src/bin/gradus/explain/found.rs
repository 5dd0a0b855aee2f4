//! What is found out about a model and rows.

use gradus::data::Dataset;
use gradus::explain::{
    Calibration, IntegratedGradients, LabelNoise, LossCell, PermutationImportance, RankedBy, Slice,
    Slices, SuspiciousLabels, calibration, loss_cells,
};
use gradus::{Model, RowResults};

use crate::explain::part::{LargeLoss, Part, Section};
use crate::explain::sharpness::Sharpness;
use crate::explain::subject::{Group, Subject};
use crate::explain::training::Training;
use crate::output;
use crate::output::Outcome;
use crate::samples::{Rows, Truth};

/// Rows whose features are shuffled.
const SHUFFLED_ROWS: usize = 2000;

/// Rows whose loss is attributed to features.
const ATTRIBUTED_ROWS: usize = 200;

/// Features that are shuffled at most: each takes five passes over the rows.
const MOST_FEATURES: usize = 200;

/// Rows from which on networks are trained to find wrong labels.
const LEAST_ROWS: usize = 20;

/// How much is asked.
pub struct Effort<'a> {
    pub top: usize,
    pub labels: bool,
    pub epochs: Option<usize>,
    pub seed: u64,
    /// The loss around the model is measured too.
    pub sharpness: bool,
    /// The rows that the model was trained on, and their targets.
    pub trained_on: Option<(&'a Rows, &'a Truth)>,
}

/// A feature and what the loss has of it.
pub struct Feature {
    pub name: String,
    /// Rise of the mean loss if it is shuffled, with its deviation.
    pub increase: Option<(f64, f64)>,
    /// Mean size of its part of a row's loss.
    pub attribution: Option<f64>,
}

/// Features, and how they were measured.
pub struct Features {
    pub list: Vec<Feature>,
    pub shuffled_rows: usize,
    pub attributed_rows: usize,
    /// The largest residual of the attributions.
    pub residual: Option<f64>,
    /// Why there are no attributions.
    pub why_not: Option<String>,
}

/// Everything.
pub struct Found {
    pub loss: String,
    pub rows: usize,
    pub mean_loss: f64,
    pub accuracy: Option<f64>,
    /// Share of the loss in the hundredth and the tenth of the rows with the largest one.
    pub top_shares: [f64; 2],
    /// The first row whose loss is not finite, in words.
    pub not_finite: Option<String>,
    pub labels: Section<SuspiciousLabels>,
    pub large: Vec<LargeLoss>,
    pub slices: Section<Vec<Slice>>,
    pub cells: Section<Vec<LossCell>>,
    pub features: Section<Features>,
    pub calibration: Section<Calibration>,
    /// Where they were asked for.
    pub training: Option<Section<Training>>,
    pub sharpness: Option<Section<Sharpness>>,
    pub top: usize,
}

impl Found {
    pub fn of(
        model: &mut Model,
        rows: &Dataset,
        truth: &Truth,
        subject: &Subject,
        effort: &Effort,
    ) -> Outcome<Self> {
        let results = model.evaluate_rows(&rows.features, truth.targets())?;
        let classes = results.classes.as_ref();
        let no_classes = || "the rows do not have one class each".to_string();
        let labels = labels(model, rows, truth, effort);
        let cells = match classes {
            Some(classes) => loss_cells(&results.loss, classes).map_err(|error| error.to_string()),
            None => Err(no_classes()),
        };
        let calibration = match classes {
            Some(classes) => calibration(classes).map_err(|error| error.to_string()),
            None => Err(no_classes()),
        };
        let slices = Slices::new()
            .seed(effort.seed)
            .find(&rows.features, &results.loss)
            .map_err(|error| error.to_string());
        let features = features(model, rows, truth, subject, effort);
        let right =
            |classes: &gradus::RowClasses| classes.is_right().filter(|right| *right).count();
        let accuracy = classes.map(|classes| right(classes) as f64 / results.rows() as f64);
        let large = large(model, &results, subject, effort.top);
        let training = effort.trained_on.as_ref().map(|(trained_on, of_training)| {
            let order: Vec<usize> = large.iter().map(|large| large.row).collect();
            let part = Part::of(rows, truth, &order)?;
            let is_same = trained_on.dataset.features == rows.features;
            Training::of(model, &part, &large, trained_on, of_training, is_same)
        });
        let sharpness = effort.sharpness.then(|| {
            let part = Part::new(rows, truth, Sharpness::rows(), effort.seed)?;
            Ok(Sharpness::of(model, &part, effort.seed))
        });
        Ok(Found {
            loss: model.loss().map_or("", |loss| loss.name()).into(),
            rows: results.rows(),
            mean_loss: results.mean_loss(),
            accuracy,
            top_shares: [0.01, 0.1].map(|share| top_share(&results.loss, share)),
            not_finite: results
                .loss
                .iter()
                .position(|loss| !loss.is_finite())
                .map(|row| format!("the loss of {} is not finite", subject.place(row))),
            labels,
            large,
            slices,
            cells,
            features,
            calibration,
            training,
            sharpness,
            top: effort.top,
        })
    }
}

fn labels(
    model: &Model,
    rows: &Dataset,
    truth: &Truth,
    effort: &Effort,
) -> Section<SuspiciousLabels> {
    let Truth::Labels(labels) = truth else {
        return Err("the targets are not classes".into());
    };
    if !effort.labels {
        return Err("left out (--no-labels)".into());
    }
    if labels.len() < LEAST_ROWS {
        return Err(format!(
            "two networks are trained on the rows, which {} are too few for",
            labels.len()
        ));
    }
    output::note(
        "training two networks to find labels that are probably wrong (--no-labels leaves it out)",
    );
    let asked = match effort.epochs {
        Some(epochs) => LabelNoise::new().epochs(epochs),
        None => LabelNoise::new(),
    };
    asked.find(model, &rows.features, labels).map_err(|error| error.to_string())
}

/// The rows with the largest loss, the largest first.
pub fn by_loss(losses: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    order
}

/// The part of all loss that so large a share of the rows has.
pub fn top_share(losses: &[f64], share: f64) -> f64 {
    let (order, all) = (by_loss(losses), losses.iter().sum::<f64>());
    let count = (share * losses.len() as f64).ceil() as usize;
    let top: f64 = order.iter().take(count).map(|&row| losses[row]).sum();
    if all == 0.0 { 0.0 } else { top / all }
}

fn large(model: &Model, results: &RowResults, subject: &Subject, top: usize) -> Vec<LargeLoss> {
    let all: f64 = results.loss.iter().sum();
    let numbers = subject.numbers(model, &results.outputs);
    let of = |row: usize| {
        let class = results.classes.as_ref().map(|classes| {
            let target = classes.target[row];
            let p = classes.probabilities.as_ref().map(|all| all[[row, target]]);
            (target, classes.predicted[row], p)
        });
        let numbers = match class {
            Some(_) => Vec::new(),
            None => numbers.row(row).to_vec(),
        };
        let norm = results.squared_gradient_norm.as_ref().map(|norms| norms[row].sqrt());
        let share = if all == 0.0 { 0.0 } else { results.loss[row] / all };
        LargeLoss { row, loss: results.loss[row], share, gradient_norm: norm, class, numbers }
    };
    by_loss(&results.loss).into_iter().take(top).map(of).collect()
}

fn features(
    model: &mut Model,
    rows: &Dataset,
    truth: &Truth,
    subject: &Subject,
    effort: &Effort,
) -> Section<Features> {
    let groups = subject.groups();
    if groups.is_empty() {
        return Err("the rows have no features".into());
    }
    let mut increases = None;
    let mut shuffled_rows = 0;
    if groups.len() <= MOST_FEATURES {
        let part = Part::new(rows, truth, SHUFFLED_ROWS, effort.seed)?;
        let columns: Vec<Vec<usize>> = groups.iter().map(|group| group.columns.clone()).collect();
        let found = PermutationImportance::new()
            .seed(effort.seed)
            .measure(model, &part.features, part.targets(), &columns)
            .map_err(|error| error.to_string())?;
        increases = Some(found);
        shuffled_rows = part.features.nrows();
    }
    let part = Part::new(rows, truth, ATTRIBUTED_ROWS, effort.seed)?;
    let attributed = IntegratedGradients::new().attribute(model, &part.features, part.targets());
    let (attributions, why_not) = match attributed {
        Ok(attributions) => (Some(attributions), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let sum = |group: &Group| {
        let values = &attributions.as_ref()?.values;
        let of = |row: ndarray::ArrayView1<f64>| {
            group.columns.iter().map(|&column| row[column]).sum::<f64>().abs()
        };
        Some(values.rows().into_iter().map(of).sum::<f64>() / values.nrows().max(1) as f64)
    };
    let feature = |(place, group): (usize, &Group)| {
        let increase = increases.as_ref().map(|all| (all[place].increase, all[place].deviation));
        Feature { name: group.name.clone(), increase, attribution: sum(group) }
    };
    let list: Vec<Feature> = groups.iter().enumerate().map(feature).collect();
    let is_known = |feature: &Feature| feature.increase.is_some() || feature.attribution.is_some();
    if !list.iter().any(is_known) {
        return Err(why_not.unwrap_or_default());
    }
    let residual = attributions.as_ref().map(|found| found.largest_residual());
    let attributed_rows = attributions.as_ref().map_or(0, |found| found.values.nrows());
    Ok(Features { list, shuffled_rows, attributed_rows, residual, why_not })
}

impl Features {
    /// The features, the one that the loss depends on most first.
    pub fn ordered(&self) -> Vec<&Feature> {
        let mut list: Vec<&Feature> = self.list.iter().collect();
        let key = |feature: &Feature| {
            let increase = feature.increase.map(|(increase, _)| increase);
            increase.or(feature.attribution).unwrap_or(f64::NEG_INFINITY)
        };
        list.sort_by(|a, b| key(b).total_cmp(&key(a)));
        list
    }
}

/// How the suspicious labels are ranked, in words.
pub fn ranked_by(labels: &SuspiciousLabels) -> &'static str {
    match labels.ranked_by {
        RankedBy::GeneralizedCrossEntropy => {
            "generalized cross-entropy, since labels seem to be exchanged in certain directions"
        }
        RankedBy::Both => "cross-entropy and generalized cross-entropy together",
        _ => "cross-entropy",
    }
}
