//! Losses of the outputs of a linear layer, fused with the layer: value and gradients without
//! storing all outputs at once.
//!
//! The rows are processed in chunks whose outputs fit a size limit. For a chunk X of the rows, with
//! weights W and bias b:
//!
//! outputs = X Wᵀ + b. The template of the inner loss replaces them by their gradient G. Then dX =
//! G W, dW += Gᵀ X, db += the column sums of G.
//!
//! dW and db are summed over the chunks in order. The contribution of a chunk is first summed over
//! its rows. A number therefore passes through about rows ÷ chunks + chunks roundings, fewer than
//! in the single long product that this replaces.

use rayon::prelude::*;

use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::Real;
use crate::templates::definition::LossDefinition;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, clear_rows, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::rows::{Rows, is_ignored};
use crate::templates::rowwise::target::Targets;
use crate::{Error, Result};

/// Maximum size in bytes of the outputs of one chunk. With this limit the case measured below takes
/// 1.02 times as long on software Vulkan as in a single chunk, and 1.11 times with half of this
/// limit.
pub const MOST_BYTES: u64 = 32 << 20;

/// Maximum size in bytes of the outputs of one chunk on the CPU, where their gradient is stored as
/// well. Measured with 512 rows of 256 features and 32,768 classes on two cores: 338 ms in one
/// chunk, and 0.96, 0.67, 0.58, 0.71 times that in chunks of 32, 64, 128 and 256 rows (4 to 32
/// MiB).
pub(crate) const MOST_BYTES_ON_CPU: u64 = MOST_BYTES / 2;

/// Maximum number of rows in a chunk, regardless of their width. Sums over the rows of a chunk are
/// loops of one lane on the GPU, and software Vulkan ends these after 65,535 iterations.
const MOST_ROWS: usize = 1 << 14;

/// Number of columns that one thread sums at a time.
const COLUMNS: usize = 4096;

/// Number of rows per chunk for outputs with `classes` columns in at most `bytes` bytes. At least
/// one; all chunks have about the same size.
pub fn chunk_rows(rows: usize, classes: usize, bytes: u64) -> usize {
    let most = usize::try_from(bytes / (4 * classes.max(1) as u64))
        .unwrap_or(MOST_ROWS)
        .clamp(1, MOST_ROWS);
    if rows <= most {
        return rows.max(1);
    }
    let alike = rows.div_ceil(rows.div_ceil(most));
    // A multiple of 64 rows begins at an offset that every driver accepts for a binding, and a
    // multiple of four at a vector.
    for run in [64, 4] {
        let up = alike.next_multiple_of(run);
        if up <= most {
            return up;
        }
        if most >= run {
            return most / run * run;
        }
    }
    alike
}

/// Number of bytes that a call on the CPU needs in addition to its inputs and gradients, with
/// `precision` bytes per number: the outputs of a chunk and their gradient.
pub fn extra_bytes_on_cpu(rows: usize, classes: usize, precision: usize) -> u64 {
    2 * (precision * chunk_rows(rows, classes, MOST_BYTES_ON_CPU) * classes) as u64
}

/// The same on a GPU with bindings of at most `binding` bytes: the outputs of a chunk, which their
/// gradient overwrites.
pub fn extra_bytes_on_gpu(rows: usize, classes: usize, binding: u64) -> u64 {
    4 * (chunk_rows(rows, classes, MOST_BYTES.min(binding)) * classes) as u64
}

/// Kernel template around the loss of the outputs.
pub struct LinearTemplate<'a> {
    /// The name of the fused loss, for messages.
    pub name: &'static str,
    /// The loss of the outputs.
    pub inner: &'a dyn LossDefinition,
}

/// The layer of one call.
struct Layer<'a, R> {
    features: usize,
    classes: usize,
    x: &'a [R],
    weight: &'a [R],
    bias: Option<&'a [R]>,
    class_weight: &'a [R],
    pos_weight: &'a [R],
    /// One label per row, or one number per output.
    targets: Targets<'a, R>,
}

impl<'a, R: Real> Layer<'a, R> {
    fn of(call: &'a MultiInput<'_, R>) -> Result<Self> {
        let (x, weight) = (call.required("predictions")?, call.required("linear_weight")?);
        let &[classes, features] = &weight.shape[..] else {
            return Err(Error::Shape {
                operation: "a loss of a linear layer's outputs".into(),
                found: format!("linear_weight is {:?}", weight.shape),
                allowed: "it must be [classes, features]".into(),
            });
        };
        Ok(Layer {
            features,
            classes,
            x: &x.values,
            weight: &weight.values,
            bias: call.array("linear_bias").map(|bias| &*bias.values),
            class_weight: call.array("class_weight").map_or(&[], |weights| &*weights.values),
            pos_weight: call.array("pos_weight").map_or(&[], |weights| &*weights.values),
            targets: match call.integer("targets") {
                Some(labels) => Targets::Labels(labels),
                None => Targets::Dense(&call.required("targets")?.values),
            },
        })
    }
}

impl LinearTemplate<'_> {
    /// Writes values and gradients, in chunks of `chunk` rows.
    pub(crate) fn run_in_chunks<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        chunk: usize,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let layer = Layer::of(call)?;
        let [of_x, of_weight, of_bias @ ..] = gradients else {
            return Err(missing("a gradient"));
        };
        let Layer { features, classes, weight, .. } = layer;
        let mut space = Space::of(chunk * classes);
        for first in (0..call.units).step_by(chunk) {
            let rows = chunk.min(call.units - first);
            let derivatives =
                self.loss_of(call, &layer, first, &mut space, &mut values[first..][..rows])?;
            let (of_x, x) =
                (&mut of_x[first * features..][..rows * features], &layer.x[first * features..]);
            let x = &x[..rows * features];
            matmul(Layout::NN, rows, features, classes, derivatives, weight, of_x, false)?;
            matmul(Layout::TN, classes, features, rows, derivatives, x, of_weight, first > 0)?;
            if let [of_bias, ..] = of_bias {
                add_column_sums(derivatives, classes, of_bias);
            }
        }
        Ok(())
    }

    /// The number of rows of a chunk.
    fn chunk_of<R: Real>(&self, call: &MultiInput<'_, R>) -> Result<usize> {
        let classes = call.required("linear_weight")?.shape[0];
        Ok(chunk_rows(call.units, classes, MOST_BYTES_ON_CPU))
    }

    /// Writes the values only.
    pub(crate) fn values<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        chunk: usize,
        values: &mut [R],
    ) -> Result<()> {
        let layer = Layer::of(call)?;
        let mut space = Space::of(chunk * layer.classes);
        for first in (0..call.units).step_by(chunk) {
            let rows = chunk.min(call.units - first);
            self.loss_of(call, &layer, first, &mut space, &mut values[first..][..rows])?;
        }
        Ok(())
    }

    /// Writes the values of `values.len()` rows and returns the derivatives with respect to their
    /// outputs.
    fn loss_of<'s, R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        layer: &Layer<'_, R>,
        first: usize,
        space: &'s mut Space<R>,
        values: &mut [R],
    ) -> Result<&'s [R]> {
        let &Layer { features, classes, weight, .. } = layer;
        let rows = values.len();
        let (outputs, derivatives) =
            (&mut space.outputs[..rows * classes], &mut space.derivatives[..rows * classes]);
        let x = &layer.x[first * features..][..rows * features];
        if let Some(bias) = layer.bias {
            outputs.par_chunks_mut(classes).for_each(|row| row.copy_from_slice(bias));
        }
        matmul(Layout::NT, rows, classes, features, x, weight, outputs, layer.bias.is_some())?;
        let rows_of = rows_of(call, layer, self.inner.ignored(), outputs, first, rows);
        R::rowwise(self.inner.rowwise()?, &rows_of, derivatives, values, &mut [])?;
        Ok(derivatives)
    }
}

/// Storage of a chunk: its outputs and the derivatives with respect to them.
struct Space<R> {
    outputs: Vec<R>,
    derivatives: Vec<R>,
}

impl<R: Real> Space<R> {
    fn of(cells: usize) -> Self {
        Space { outputs: vec![R::ZERO; cells], derivatives: vec![R::ZERO; cells] }
    }
}

/// A chunk as input of the row-wise template.
fn rows_of<'a, R: Real>(
    call: &'a MultiInput<'_, R>,
    layer: &Layer<'a, R>,
    ignored: &'a [i64],
    outputs: &'a [R],
    first: usize,
    rows: usize,
) -> Rows<'a, R> {
    fn part<T>(values: &[T], first: usize, rows: usize) -> &[T] {
        if values.is_empty() { values } else { &values[first..][..rows] }
    }
    Rows {
        logits: outputs,
        columns: layer.classes,
        targets: match layer.targets {
            Targets::Labels(labels) => Targets::Labels(part(labels, first, rows)),
            Targets::Dense(dense) => {
                Targets::Dense(part(dense, first * layer.classes, rows * layer.classes))
            }
        },
        ignored,
        class_weight: layer.class_weight,
        pos_weight: layer.pos_weight,
        class_mask: &[],
        item_weight: &[],
        weight: part(&call.weight, first, rows),
        mask: part(&call.mask, first, rows),
        factor: call.factor,
        upstream: call.upstream,
        upstreams: part(&call.upstreams, first, rows),
    }
}

/// Adds the sum of each column to `sums`. A column is first summed over the rows in order.
fn add_column_sums<R: Real>(cells: &[R], columns: usize, sums: &mut [R]) {
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(piece, sums)| {
        let mut here = vec![R::ZERO; sums.len()];
        for row in cells.chunks_exact(columns) {
            let row = &row[piece * COLUMNS..][..here.len()];
            here.iter_mut().zip(row).for_each(|(sum, &cell)| *sum += cell);
        }
        sums.iter_mut().zip(&here).for_each(|(sum, &here)| *sum += here);
    });
}

/// Returns an error for the label of an unmasked row that is not one of the classes.
pub(crate) fn check_labels(
    name: &str,
    labels: &[i32],
    classes: usize,
    ignored: &[i64],
    counts: impl Fn(usize) -> bool,
) -> Result<()> {
    let is_class = |label: i32| usize::try_from(label).is_ok_and(|label| label < classes);
    let Some(row) = (0..labels.len()).find(|&row| counts(row) && !is_class(labels[row])) else {
        return Ok(());
    };
    let list: Vec<String> = ignored.iter().map(ToString::to_string).collect();
    let ignored = if list.is_empty() {
        String::new()
    } else {
        format!(" or an ignored one ({})", list.join(", "))
    };
    Err(Error::Label { operation: name.into(), row, label: labels[row].into(), classes, ignored })
}

impl MultiInputTemplate for LinearTemplate<'_> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let given = shapes.of("predictions")?;
        let Some((&features, leading)) = given.split_last() else {
            return Err(shapes.unfit("predictions", given, "[rows, features]"));
        };
        shapes.require_axes("linear_weight", 2, "[classes, features]")?;
        let classes = shapes.of("linear_weight")?[0];
        shapes.require("linear_weight", &[classes, features], "predictions")?;
        shapes.require("linear_bias", &[classes], "linear_weight")?;
        shapes.require("class_weight", &[classes], "linear_weight")?;
        shapes.require("pos_weight", &[classes], "linear_weight")?;
        let cells = [leading, &[classes]].concat();
        // Labels have one axis fewer than one number per class.
        let takes_labels = self.inner.targets().takes_labels();
        let is_dense = shapes.of("targets")?.len() > leading.len();
        let wanted = if takes_labels && !is_dense { leading } else { &cells[..] };
        shapes.require("targets", wanted, "predictions")?;
        Ok(Units { rows: leading.iter().product(), shape: leading.to_vec() })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // In practice a vocabulary is about a hundred times as wide as the hidden states. The tests
        // use narrow ones.
        let classes = if columns >= 256 { 128 * columns } else { columns + 3 };
        let mut inputs = vec![
            Example::of("predictions", &[rows, columns]),
            Example::of("linear_weight", &[classes, columns]),
        ];
        if !rows.is_multiple_of(3) {
            inputs.push(Example::of("linear_bias", &[classes]));
        }
        let takes = |name: &str| self.inner.inputs().iter().any(|input| input.name == name);
        let optional =
            [("class_weight", rows.is_multiple_of(5)), ("pos_weight", rows.is_multiple_of(2))];
        for (name, _) in optional.into_iter().filter(|(name, is_given)| *is_given && takes(name)) {
            inputs.push(Example::of(name, &[classes]));
        }
        inputs.push(if self.inner.targets().takes_labels() {
            Example::whole("targets", &[rows], 0, classes)
        } else {
            Example::of("targets", &[rows, classes])
        });
        inputs
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let layer = Layer::of(call)?;
        let Targets::Labels(labels) = layer.targets else { return Ok(DivisorTerms::default()) };
        let ignored = self.inner.ignored();
        let kept = labels.iter().map(|&label| !is_ignored(ignored, label)).collect::<Vec<bool>>();
        let counts = |row: usize| kept[row] && call.mask.get(row).copied().unwrap_or(true);
        check_labels(self.name, labels, layer.classes, ignored, counts)?;
        let weight_of = |&label: &i32| match usize::try_from(label)
            .ok()
            .and_then(|label| layer.class_weight.get(label))
        {
            Some(&weight) => f64::from(weight),
            None => 1.0,
        };
        let mean = if layer.class_weight.is_empty() {
            Vec::new()
        } else {
            labels.iter().map(weight_of).collect()
        };
        Ok(DivisorTerms { kept, mean, scale: Vec::new() })
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        let mask = call.mask.clone();
        clear_rows(call, "predictions", |row| mask.get(row).copied().unwrap_or(true))
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        self.run_in_chunks(call, self.chunk_of(call)?, gradients, values)
    }
}
