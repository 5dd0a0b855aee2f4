//! Where the loss of a model comes from.

use gradus::explain::{
    IntegratedGradients, LabelNoise, PermutationImportance, RankedBy, Slices, calibration,
    loss_cells,
};
use ndarray::{Ix1, Ix2};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arrays::{Array, View};
use crate::errors::{raised, refused};
use crate::guidance::table_of;
use crate::model::{Model, features, features_array, targets, targets_array, with_features};
use crate::threads::detached;

fn integers(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&value| value as i64).collect()
}

/// Results of single rows; with classes also the cells of the confusion matrix by loss, and the
/// calibration where there are probabilities.
#[pyfunction]
pub fn evaluate_rows<'py>(
    py: Python<'py>,
    model: &Model,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    tokens: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let threads = model.threads;
    let mut guard = model.own()?;
    let model = &mut *guard;
    let x = features_array("x", x)?;
    let y = targets_array(model, "y", y, false)?;
    let (features, view) = (features(&x)?, y.view());
    let targets = targets(&view, None)?;
    let rows = threads.detached(py, || {
        with_features!(features, |array| match tokens {
            true => model.evaluate_tokens(&array, targets),
            false => model.evaluate_rows(&array, targets),
        })
    });
    let rows = rows.map_err(raised)?;
    let all = PyDict::new(py);
    if let Some(classes) = &rows.classes {
        let cells = PyList::empty(py);
        for cell in loss_cells(&rows.loss, classes).map_err(raised)? {
            let line = PyDict::new(py);
            line.set_item("target", cell.target)?;
            line.set_item("predicted", cell.predicted)?;
            line.set_item("rows", cell.rows)?;
            line.set_item("mean_loss", cell.mean_loss)?;
            line.set_item("share", cell.share)?;
            cells.append(line)?;
        }
        all.set_item("cells", cells)?;
        all.set_item("target", integers(&classes.target).into_pyarray(py))?;
        all.set_item("predicted", integers(&classes.predicted).into_pyarray(py))?;
        all.set_item("margin", classes.margin.clone().into_pyarray(py))?;
        if let Some(probabilities) = &classes.probabilities {
            all.set_item("probabilities", probabilities.clone().into_pyarray(py))?;
            let found = calibration(classes).map_err(raised)?;
            let line = PyDict::new(py);
            let bins = PyList::empty(py);
            for bin in &found.bins {
                let one = PyDict::new(py);
                one.set_item("limits", (bin.limits[0], bin.limits[1]))?;
                one.set_item("rows", bin.rows)?;
                one.set_item("confidence", bin.confidence)?;
                one.set_item("accuracy", bin.accuracy)?;
                bins.append(one)?;
            }
            line.set_item("bins", bins)?;
            line.set_item("expected_error", found.expected_error)?;
            line.set_item("brier", found.brier)?;
            line.set_item("log_loss", found.log_loss)?;
            line.set_item("temperature", found.temperature)?;
            line.set_item("log_loss_at_temperature", found.log_loss_at_temperature)?;
            line.set_item("expected_error_at_temperature", found.expected_error_at_temperature)?;
            line.set_item("overconfidence", found.overconfidence())?;
            all.set_item("calibration", line)?;
        }
    }
    all.set_item("outputs", rows.outputs.into_pyarray(py))?;
    all.set_item("loss", rows.loss.into_pyarray(py))?;
    let norms = rows.squared_gradient_norm.map(|norms| norms.into_pyarray(py));
    all.set_item("squared_gradient_norm", norms)?;
    Ok(all)
}

/// Which labels are suspicious.
#[pyfunction]
#[pyo3(signature = (model, x, y, epochs, batch_size, learning_rate, q))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn label_noise<'py>(
    py: Python<'py>,
    model: &Model,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    epochs: Option<usize>,
    batch_size: Option<usize>,
    learning_rate: Option<f64>,
    q: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let threads = model.threads;
    let guard = model.own()?;
    let model = &*guard;
    let x = features_array("x", x)?;
    let y = Array::new("y", y)?.into_labels();
    let features = features(&x)?;
    let View::I64(labels) = y.view() else {
        return Err(refused("label_noise", "y", "holds no labels", "it must hold whole numbers"));
    };
    let found = format!("has the shape {:?}", labels.shape());
    let labels = labels
        .into_dimensionality::<Ix1>()
        .map_err(|_| refused("label_noise", "y", &found, "it must be [rows]"))?;
    let mut noise = LabelNoise::new();
    noise = epochs.map_or(noise.clone(), |epochs| noise.epochs(epochs));
    noise = batch_size.map_or(noise.clone(), |rows| noise.batch_size(rows));
    noise = learning_rate.map_or(noise.clone(), |rate| noise.learning_rate(rate));
    noise = q.map_or(noise.clone(), |q| noise.q(q));
    let found = threads
        .detached(py, || with_features!(features, |array| noise.find(model, &array, &labels)));
    let found = found.map_err(raised)?;
    let all = PyDict::new(py);
    all.set_item("order", integers(&found.order).into_pyarray(py))?;
    all.set_item("disputed", integers(&found.disputed()).into_pyarray(py))?;
    all.set_item("suspicion", found.suspicion.into_pyarray(py))?;
    all.set_item("suggested", integers(&found.suggested).into_pyarray(py))?;
    let ranked_by = match found.ranked_by {
        RankedBy::CrossEntropy => "cross_entropy",
        RankedBy::GeneralizedCrossEntropy => "generalized_cross_entropy",
        _ => "both",
    };
    all.set_item("ranked_by", ranked_by)?;
    all.set_item("share", found.share)?;
    all.set_item("joint", found.joint.mapv(|count| count as i64).into_pyarray(py))?;
    Ok(all)
}

/// Slices of the rows with a greater loss than the rest.
#[pyfunction]
#[pyo3(signature = (x, losses, depth, least_share, least_gain, level, seed))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn slices<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    losses: Vec<f64>,
    depth: Option<usize>,
    least_share: Option<f64>,
    least_gain: Option<f64>,
    level: Option<f64>,
    seed: Option<u64>,
) -> PyResult<Bound<'py, PyList>> {
    let x = table_of("slices", "x", x)?;
    let mut slices = Slices::new();
    slices = depth.map_or(slices.clone(), |depth| slices.depth(depth));
    slices = least_share.map_or(slices.clone(), |share| slices.least_share(share));
    slices = least_gain.map_or(slices.clone(), |gain| slices.least_gain(gain));
    slices = level.map_or(slices.clone(), |level| slices.level(level));
    slices = seed.map_or(slices.clone(), |seed| slices.seed(seed));
    let found = detached(py, || slices.find(&x, &losses)).map_err(raised)?;
    let all = PyList::empty(py);
    for slice in found {
        let line = PyDict::new(py);
        let conditions = PyList::empty(py);
        for condition in &slice.conditions {
            let one = PyDict::new(py);
            one.set_item("feature", condition.feature)?;
            one.set_item("above", condition.above)?;
            one.set_item("threshold", condition.threshold)?;
            conditions.append(one)?;
        }
        line.set_item("conditions", conditions)?;
        line.set_item("rows", integers(&slice.rows).into_pyarray(py))?;
        line.set_item("mean_loss", slice.mean_loss)?;
        line.set_item("rest_loss", slice.rest_loss)?;
        line.set_item("share_of_loss", slice.share_of_loss)?;
        line.set_item("t", slice.t)?;
        line.set_item("p", slice.p)?;
        all.append(line)?;
    }
    Ok(all)
}

/// The rise of the loss when a feature is shuffled.
#[pyfunction]
pub fn permutation_importance<'py>(
    py: Python<'py>,
    model: &Model,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    groups: Vec<Vec<usize>>,
    repeats: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyList>> {
    let threads = model.threads;
    let mut guard = model.own()?;
    let model = &mut *guard;
    let x = table_of("permutation_importance", "x", x)?;
    let y = targets_array(model, "y", y, false)?;
    let view = y.view();
    let targets = targets(&view, None)?;
    let importance = PermutationImportance::new().repeats(repeats).seed(seed);
    let found =
        threads.detached(py, || importance.measure(model, &x, targets, &groups)).map_err(raised)?;
    let all = PyList::empty(py);
    for one in found {
        let line = PyDict::new(py);
        line.set_item("columns", one.columns)?;
        line.set_item("increase", one.increase)?;
        line.set_item("deviation", one.deviation)?;
        all.append(line)?;
    }
    Ok(all)
}

/// The part of each feature in the loss of each row.
#[pyfunction]
#[pyo3(signature = (model, x, y, points, tolerance, baseline, tokens))]
#[expect(clippy::too_many_arguments, reason = "the keywords of the Python function")]
pub fn integrated_gradients<'py>(
    py: Python<'py>,
    model: &Model,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    points: Option<usize>,
    tolerance: Option<f64>,
    baseline: Option<Vec<f32>>,
    tokens: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let threads = model.threads;
    let mut guard = model.own()?;
    let model = &mut *guard;
    let array = match features_array("x", x)?.into_floats().view() {
        View::F32(array) => array.to_owned(),
        View::F64(array) => array.mapv(|x| x as f32),
        _ => {
            return Err(refused(
                "integrated_gradients",
                "x",
                "holds no numbers",
                "it must hold numbers",
            ));
        }
    };
    let y = targets_array(model, "y", y, false)?;
    let view = y.view();
    let targets = targets(&view, None)?;
    let mut gradients = IntegratedGradients::new();
    gradients = points.map_or(gradients.clone(), |points| gradients.points(points));
    gradients = tolerance.map_or(gradients.clone(), |tolerance| gradients.tolerance(tolerance));
    gradients = baseline.map_or(gradients.clone(), |baseline| gradients.baseline(baseline));
    let found = match (tokens, array.view().into_dimensionality::<Ix2>()) {
        (false, _) => threads.detached(py, || gradients.attribute(model, &array, targets)),
        (true, Ok(ids)) => {
            threads.detached(py, || gradients.attribute_tokens(model, &ids, targets))
        }
        (true, Err(_)) => {
            let found = format!("has the shape {:?}", array.shape());
            return Err(refused("token_attributions", "x", &found, "it must be [rows, tokens]"));
        }
    };
    let found = found.map_err(raised)?;
    let all = PyDict::new(py);
    all.set_item("values", found.values.into_pyarray(py))?;
    all.set_item("baseline", found.baseline.into_pyarray(py))?;
    all.set_item("loss", found.loss.into_pyarray(py))?;
    all.set_item("baseline_loss", found.baseline_loss.into_pyarray(py))?;
    all.set_item("residual", found.residual.into_pyarray(py))?;
    Ok(all)
}

/// Products of the gradients of rows with those of training rows, [rows, training rows].
#[pyfunction]
pub fn influences<'py>(
    py: Python<'py>,
    model: &Model,
    training: (Bound<'py, PyAny>, Bound<'py, PyAny>),
    others: (Bound<'py, PyAny>, Bound<'py, PyAny>),
) -> PyResult<Bound<'py, numpy::PyArray2<f64>>> {
    let threads = model.threads;
    let mut guard = model.own()?;
    let model = &mut *guard;
    let pair = |model: &gradus::Model, (x, y): &(Bound<'py, PyAny>, Bound<'py, PyAny>)| {
        Ok::<_, PyErr>((table_of("influences", "x", x)?, targets_array(model, "y", y, false)?))
    };
    let ((x, y), (other_x, other_y)) = (pair(model, &training)?, pair(model, &others)?);
    let (view, other_view) = (y.view(), other_y.view());
    let (y, other_y) = (targets(&view, None)?, targets(&other_view, None)?);
    let found =
        threads.detached(py, || gradus::explain::influences(model, (&x, y), (&other_x, other_y)));
    Ok(found.map_err(raised)?.into_pyarray(py))
}
