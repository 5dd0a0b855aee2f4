//! Integrated gradients of the loss by the tokens that a model reads.

use ndarray::{Array2, ArrayBase, Data, Ix2};

use crate::criterion::inputs::shape_error;
use crate::explain::attribution::{Attributions, IntegratedGradients, NAME, Ways};
use crate::explain::checks::refused;
use crate::nn::train::engine::SampleTargets;
use crate::nn::train::features::FeatureElement;
use crate::nn::train::row_results::RowRule;
use crate::nn::train::trace;
use crate::{Model, Result, Targets};

impl IntegratedGradients {
    /// Attributes the loss of each row of ids to its tokens. The loss of a row is the mean over its
    /// targets that are not ignored: with a label at one position and the ignored label, −100, at all
    /// others it is the loss of that one prediction.
    ///
    /// Ids have no gradient, but their rows of the table have: the way leads from the baseline, a
    /// vector of the table's width at each position, to the vectors of the tokens, and a token's
    /// attribution is the sum over its vector. Position embeddings stay as they are. The baseline is
    /// by default the mean row of the table: a token of no kind.
    ///
    /// ```
    /// use gradus::{Device, explain::IntegratedGradients, losses::CrossEntropy, optimizers::Adam};
    /// use gradus::zoo::Gpt;
    /// use ndarray::array;
    /// let mut model = Gpt::new(5, 3)
    ///     .layers(1)
    ///     .heads(1)
    ///     .width(4)
    ///     .build()
    ///     .on(&Device::cpu())?
    ///     .compile(CrossEntropy::new(), Adam::new())?;
    /// // Why is 4 expected, or not, behind 1, 2? Later tokens are not seen.
    /// let (ids, labels) = (array![[1.0_f32, 2.0, 3.0]], array![[-100_i64, 4, -100]]);
    /// let found = IntegratedGradients::new().attribute_tokens(&mut model, &ids, &labels)?;
    /// assert_eq!((found.values.dim(), found.values[[0, 2]]), ((1, 3), 0.0));
    /// assert!(found.largest_residual() < 1e-3);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`IntegratedGradients::attribute`]; [`crate::Error::Input`] for a model in which anything but a
    /// token embedding reads the ids, as the lengths of padded rows do, for targets that are no labels,
    /// and for a row whose targets are all ignored.
    pub fn attribute_tokens<'a, S: Data<Elem = f32>>(
        &self,
        model: &mut Model,
        ids: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Attributions> {
        self.check()?;
        trace::check(&model.graph, NAME)?;
        let Some((mut behind, table)) = model.behind_token_embedding()? else {
            let found = "has no token embedding that alone reads ids";
            return Err(refused(
                NAME,
                "the model",
                found,
                "Sequential::tokens with a TokenEmbedding",
            ));
        };
        let (training_spec, rows) =
            model.checked_rows(NAME, FeatureElement::features(ids), &targets.into())?;
        let all = rows.all();
        let SampleTargets::Labels(labels) = all.targets else {
            return Err(refused(
                NAME,
                "the targets",
                "are no labels",
                "a class for each token or row",
            ));
        };
        let positions = behind.graph.positions();
        let ignored = training_spec.loss.ignored();
        let mut parts_of_loss = Vec::with_capacity(rows.rows);
        for (row, labels) in labels.chunks_exact(positions).enumerate() {
            let kept = labels.iter().filter(|label| !ignored.contains(&i64::from(**label))).count();
            if kept == 0 {
                let name = format!("the targets of row {row}");
                return Err(refused(NAME, &name, "are all ignored", "one label at least"));
            }
            parts_of_loss.push(kept as f64 / positions as f64);
        }
        let (rows, tokens, width) =
            (rows.rows, model.graph.inputs(), behind.graph.inputs() / model.graph.inputs().max(1));
        let named = model.named_parameters()?;
        let vectors: Vec<f32> = named
            .iter()
            .filter(|(path, _)| *path == table)
            .flat_map(|(_, vectors)| vectors.iter().map(|&x| x as f32))
            .collect();
        let baseline = match self.asked_baseline() {
            Some(baseline) => baseline.to_vec(),
            None => mean_row(&vectors, width),
        };
        if baseline.len() != width {
            let found = format!("the baseline has {} numbers", baseline.len());
            return Err(shape_error(
                NAME,
                found,
                &format!("it must have {width}, those of a token"),
            ));
        }
        // Checked with the rows: each id has a row of the table.
        let features =
            ids.iter().flat_map(|id| &vectors[*id as usize * width..][..width]).copied().collect();
        let sizes = [behind.graph.columns(), 1];
        let rule = RowRule::new(&training_spec, NAME, sizes, behind.graph.output_activation())?;
        let ways = Ways {
            features,
            baseline: baseline.repeat(tokens),
            width: tokens * width,
            targets: all.targets,
            parts_of_loss,
            training_spec,
            rule,
        };
        let found = self.of_ways(&mut behind, &ways, rows, baseline)?;
        let sums = |row: usize| {
            let row = found.values.row(row).to_vec();
            row.chunks_exact(width).map(|token| token.iter().sum::<f64>()).collect::<Vec<_>>()
        };
        let values = Array2::from_shape_vec((rows, tokens), (0..rows).flat_map(sums).collect())
            .map_err(|error| shape_error(NAME, error.to_string(), "[rows, tokens]"))?;
        Ok(Attributions { values, ..found })
    }
}

/// The mean of the rows of a table.
fn mean_row(table: &[f32], width: usize) -> Vec<f32> {
    let rows = (table.len() / width.max(1)).max(1) as f64;
    let mean = |column: usize| {
        let column = table.iter().skip(column).step_by(width);
        (column.map(|&x| f64::from(x)).sum::<f64>() / rows) as f32
    };
    (0..width).map(mean).collect()
}
