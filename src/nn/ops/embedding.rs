//! Embedding: the table rows of ids, concatenated. PyTorch and Keras `Embedding` followed by a
//! flatten.
//!
//! The gradient of the table is that of the output, row by row: backward computes nothing, and the
//! optimizer updates only the rows in the batch (`nn::embedding`).

use crate::cpu::real::Real;
use crate::nn::embedding::host::gather_rows;
use crate::nn::embedding::kernels::{Sizes, gather};
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

/// The table is initialized uniformly in [−0.05, 0.05), as Keras' `Embedding`.
const LIMIT: f64 = 0.05;

pub(crate) static ENTRY: Entry = Entry {
    name: "embedding",
    examples: || {
        vec![Example { op: Box::new(Embedding { rows: 7, width: 3 }), inputs: vec![vec![2]] }]
    },
    // Those of `nn::embedding`.
    programs: Vec::new,
};

/// A table of `rows` vectors of `width` numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedding {
    pub rows: usize,
    pub width: usize,
}

impl Op for Embedding {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if shape.len() == 1 => Ok(vec![shape[0].saturating_mul(self.width)]),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "one input of shape [ids]".into(),
            }),
        }
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        let (shape, initial) = (vec![self.rows, self.width], Initial::Uniform(LIMIT));
        let (penalties, gradient) = (Penalties::default(), GradientKind::Rows);
        vec![ParameterSpec {
            name: "weight",
            shape,
            initial,
            penalties,
            gradient,
            file_order: FileOrder::Same,
        }]
    }

    fn takes_ids(&self) -> Option<usize> {
        Some(self.rows)
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (ids, Some(table)) = (io.inputs[0], io.parameters.table) else { return Ok(()) };
        let sizes = Sizes { ids: io.rows * ids.width, rows: self.rows, width: self.width };
        sizes.check(ENTRY.name)?;
        let command = gather(&recorder.gpu(), &sizes, [ids.buffer, table, io.output.buffer])?;
        recorder.extend([command]);
        Ok(())
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Embedding {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        gather_rows((io.parameters.table, self.width), io.ids, io.output);
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Ok(())
    }
}
