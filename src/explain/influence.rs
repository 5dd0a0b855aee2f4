//! Which training rows made an error.

use ndarray::Array2;

use crate::nn::train::engine::SampleTargets;
use crate::nn::train::features::FeatureElement;
use crate::nn::train::trace::{Asked, LayerTrace, Trace, TracedLayer};
use crate::{Model, Result, Targets};

/// How a step on each training row would change the loss of each of some other rows: the product
/// g_i · g_t of their gradients by all parameters, [others, training rows]. Positive if the
/// training row lowers the other's loss, negative if it raises it: for a wrong prediction the most
/// negative rows are its opponents, the most positive its proponents.
///
/// TracIn (Pruthi, Liu, Kale, Sundararajan 2020) for one state of the weights; the sum over several
/// states of a training, each times its learning rate, is TracIn's own. Exact over all layers, and
/// no gradient is stored: g_i · g_t = Σ over the layers of (δ_i · δ_t)(a_i · a_t + 1), with a layer's
/// inputs a and the gradients δ of its sums.
///
/// ```
/// use gradus::{Dense, Device, Sequential, explain::influences, losses::Mse, optimizers::Adam};
/// use ndarray::array;
/// let mut model = Sequential::new(1)
///     .then(Dense::new(1))
///     .on(&Device::reference())?
///     .compile(Mse::new(), Adam::new())?;
/// let (x, y) = (array![[0.0_f32], [0.0]], array![[1.0_f32], [-1.0]]);
/// // Outputs are 0: the gradients by the bias are −2 and 2, those by the weight 0.
/// let found = influences(&mut model, (&x, &y), (&x, &y))?;
/// assert_eq!(found, array![[4.0, -4.0], [-4.0, 4.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`Model::evaluate_rows`]; [`crate::Error::Input`] for a model with parameters outside of dense
/// layers of rows, and one with batch norm.
pub fn influences<'a>(
    model: &mut Model,
    training: (&Array2<f32>, impl Into<Targets<'a>>),
    others: (&Array2<f32>, impl Into<Targets<'a>>),
) -> Result<Array2<f64>> {
    let layers = model.layers_of_gradients("influences")?;
    let mut of_others: Vec<(usize, Trace)> = Vec::new();
    let rows_of_others = others.0.nrows();
    traces(model, others.0, &others.1.into(), |first, trace| of_others.push((first, trace)))?;
    let mut found = Array2::zeros((rows_of_others, training.0.nrows()));
    let outputs = model.outputs();
    traces(model, training.0, &training.1.into(), |first, trace| {
        let rows = trace.outputs.len() / outputs;
        for (first_other, other) in &of_others {
            for row in 0..rows {
                for at in 0..other.outputs.len() / outputs {
                    found[[first_other + at, first + row]] =
                        product(&layers, (&trace, row), (other, at));
                }
            }
        }
    })?;
    Ok(found)
}

/// Runs rows through the model, and keeps what their gradients are made of.
fn traces(
    model: &mut Model,
    features: &Array2<f32>,
    targets: &Targets,
    mut each: impl FnMut(usize, Trace),
) -> Result<()> {
    let given = FeatureElement::features(features);
    let (training_spec, rows) = model.checked_rows("influences", given, targets)?;
    let rule = model.row_rule("influences", &training_spec)?;
    let samples = rows.all();
    let targets: SampleTargets = samples.targets;
    rule.check("influences", targets, 1)?;
    let data = model.engine.load(&samples)?;
    let asked = Asked { layers: true, input_gradient: false };
    let done = model.traces(data, rows.rows, &training_spec, asked, |first, trace| {
        each(first, trace);
        Ok(())
    });
    model.engine.unload(data);
    done
}

/// Σ over the layers of (δ · δ')(a · a' + 1).
fn product(layers: &[TracedLayer], one: (&Trace, usize), other: (&Trace, usize)) -> f64 {
    let dot = |a: &[f64], b: &[f64], width: usize| -> f64 {
        let (a, b) = (&a[one.1 * width..][..width], &b[other.1 * width..][..width]);
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    };
    let of = |(layer, (a, b)): (&TracedLayer, (&LayerTrace, &LayerTrace))| {
        let inputs = dot(&a.inputs, &b.inputs, layer.inputs) + f64::from(u8::from(layer.bias));
        dot(&a.deltas, &b.deltas, layer.units) * inputs
    };
    layers.iter().zip(one.0.layers.iter().zip(&other.0.layers)).map(of).sum()
}
