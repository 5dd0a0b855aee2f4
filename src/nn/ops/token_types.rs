//! Token types: y = x + the first row of a table [types, width] for each token of [tokens, width].
//! BERT's `token_type_embeddings` for a single sentence, whose tokens all have type 0.
//!
//! dL/dx = dL/dy; the gradient of the first row is the sum of dL/dy over samples and tokens, that of
//! the others is 0. On a GPU forward is in place.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    InPlace, Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::ops::column_sums::{ColumnSums, SLAB, column_sums};
use crate::nn::ops::positions::add_to_rows;
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry {
    name: "token_types",
    examples: || {
        let example = |types: usize, shape: [usize; 2]| Example {
            op: Box::new(TokenTypes { types }),
            inputs: vec![shape.into()],
        };
        vec![example(2, [3, 4]), example(3, [2, 3]), example(1, [1, 1])]
    },
    // Those of `positions`.
    programs: Vec::new,
};

/// y = x + the first of `types` rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenTypes {
    pub types: usize,
}

impl Op for TokenTypes {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        if self.types == 0 {
            return Err(Error::option(ENTRY.name, "types", self.types, ">= 1"));
        }
        match inputs {
            [shape] if shape.len() == 2 => Ok((*shape).clone()),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "one input of shape [tokens, width]".into(),
            }),
        }
    }

    fn parameters(&self, inputs: &[&Shape]) -> Vec<ParameterSpec> {
        let width = inputs.first().and_then(|shape| shape.last()).copied().unwrap_or(0);
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.types, width],
            initial: Initial::Normal(0.02),
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        }]
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: true, backward: true, ..InPlace::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let weight = &io.parameters.ranges[0];
        let width = weight.len() / self.types;
        add_to_rows(recorder, io, [weight.start, width])
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let weight = &io.parameters.ranges[0];
        let columns = weight.len() / self.types;
        let first = ColumnSums {
            rows: io.rows * io.output.width / columns.max(1),
            columns,
            numbers: io.grad_output,
            sums: io.parameters.gradients,
            offset: weight.start,
            accumulate: io.accumulate,
        };
        column_sums(recorder, &first)?;
        if self.types == 1 || io.accumulate {
            return Ok(());
        }
        // Sums of no rows.
        let (columns, offset) = (weight.len() - columns, weight.start + columns);
        column_sums(recorder, &ColumnSums { rows: 0, columns, offset, ..first })
    }
}

impl<R: Real> Cpu<R> for TokenTypes {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, weight) = (io.inputs[0], io.parameters.get(0));
        let width = weight.len() / self.types;
        let first = &weight[..width];
        parallel::fill(io.output, parallel::rows_per_piece(width) * width, |start, output| {
            let tokens = output.chunks_exact_mut(width).zip(x[start..].chunks_exact(width));
            for (y, x) in tokens {
                y.iter_mut().zip(x).zip(first).for_each(|((y, &x), &of_type)| *y = x + of_type);
            }
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (upstream, mut gradients) = (&*io.grad_output, io.grad_parameters);
        let gradient = gradients.get(0);
        let width = gradient.len() / self.types;
        if !io.accumulate {
            gradient.fill(R::ZERO);
        }
        // Sums of slabs in parallel, which are added in order.
        let of_slab = |slab: &[R]| {
            let mut sums = vec![R::ZERO; width];
            for token in slab.chunks_exact(width) {
                sums.iter_mut().zip(token).for_each(|(sum, &g)| *sum += g);
            }
            sums
        };
        let slabs: Vec<Vec<R>> = upstream.par_chunks(SLAB * width).map(of_slab).collect();
        for sums in &slabs {
            gradient.iter_mut().zip(sums).for_each(|(sum, &part)| *sum += part);
        }
        Ok(())
    }
}
