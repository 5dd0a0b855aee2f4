//! Learned positions: y = x + P for each sample, P of the sample's shape [positions, width]. The
//! `Embedding` of the positions 0, 1, … in GPT-2 and BERT (`wpe.weight`,
//! `position_embeddings.weight`), added to the tokens'.
//!
//! dL/dx = dL/dy; dL/dP is the sum of dL/dy over the samples. On a GPU forward is in place.

use std::sync::Arc;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    InPlace, Initial, Op, ParameterSpec, Penalties, Saves, Shape, decodes_only,
};
use crate::nn::ops::column_sums::{self, ColumnSums, cells_file, column_sums};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const ADD: File = shader!("ops/positions/positions.wgsl");
const DECODE: File = shader!("ops/positions/positions_decode.wgsl");

pub(crate) static ENTRY: Entry = Entry { name: "positions", examples, programs };

/// y = x + P.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions {
    pub initial: Initial,
    /// Rows of P, if it has more than a sequence has positions: the rest is not used, and its
    /// gradient is 0.
    pub rows: Option<usize>,
}

impl Positions {
    /// Normal with deviation 0.02, as GPT-2 and BERT.
    pub fn new() -> Self {
        Positions { initial: Initial::Normal(0.02), rows: None }
    }
}

fn examples() -> Vec<Example> {
    let example =
        |shape: [usize; 2]| Example { op: Box::new(Positions::new()), inputs: vec![shape.into()] };
    [[3, 4], [2, 3], [1, 1]].map(example).into()
}

fn program(vec4: bool, lanes: f64) -> Program {
    Program::plain("positions", &[ADD, cells_file(vec4)], vec![("WORKGROUP", lanes)])
}

fn decode_program(vec4: bool, lanes: f64) -> Program {
    let files = [DECODE, cells_file(vec4)];
    Program::plain("positions (decoding)", &files, vec![("WORKGROUP", lanes)])
}

fn programs() -> Vec<Program> {
    let own = [(false, 8.0), (true, 8.0), (false, 64.0), (true, 64.0)];
    own.map(|(vec4, lanes)| [program(vec4, lanes), decode_program(vec4, lanes)])
        .into_iter()
        .flatten()
        .chain(column_sums::programs())
        .collect()
}

/// Adds the `width` parameters from an offset on to each run of as many numbers of the output, in
/// place.
pub(crate) fn add_to_rows(
    recorder: &mut Recorder,
    io: &GpuForward,
    [offset, width]: [usize; 2],
) -> Result<()> {
    let gpu = recorder.gpu();
    let (lanes, vec4) = (lanes_of(gpu.is_software()), width.is_multiple_of(4));
    let kernel = gpu.kernel(&program(vec4, lanes.into()))?;
    let numbers = if vec4 { 4 } else { 1 };
    let [length, cells, offset] =
        [io.rows * io.output.width, width, offset].map(|n| (n / numbers) as u32);
    let storage = [io.parameters.all.into(), io.output.buffer.into()];
    recorder.dispatch(&kernel, &[length, cells, offset, 0], &storage, length.div_ceil(lanes))
}

impl Op for Positions {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if shape.len() == 2 && self.rows.is_none_or(|rows| rows >= shape[0]) => {
                Ok((*shape).clone())
            }
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: match self.rows {
                    Some(rows) => format!("one input of shape [1 to {rows} positions, width]"),
                    None => "one input of shape [positions, width]".into(),
                },
            }),
        }
    }

    fn parameters(&self, inputs: &[&Shape]) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: inputs
                .first()
                .map_or_else(Vec::new, |shape| [self.rows.unwrap_or(shape[0]), shape[1]].into()),
            initial: self.initial,
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

    fn decoder(&self, inputs: &[&Shape], tokens: usize) -> Option<Arc<dyn Op>> {
        let width = inputs.first().and_then(|shape| shape.last()).copied()?;
        Some(Arc::new(PositionsDecoder { tokens, width }))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        add_to_rows(recorder, io, [io.parameters.ranges[0].start, io.output.width])
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        // The gradients of rows that are not used are never written: a buffer begins with zeros.
        let job = ColumnSums {
            rows: io.rows,
            columns: io.output.width,
            numbers: io.grad_output,
            sums: io.parameters.gradients,
            offset: io.parameters.ranges[0].start,
            accumulate: io.accumulate,
        };
        column_sums(recorder, &job)
    }
}

impl<R: Real> Cpu<R> for Positions {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, weight) = (io.inputs[0], io.parameters.get(0));
        let width = (x.len() / io.rows.max(1)).max(1);
        let weight = &weight[..width.min(weight.len())];
        parallel::fill(io.output, parallel::rows_per_piece(width) * width, |start, output| {
            let rows = output.chunks_exact_mut(width).zip(x[start..].chunks_exact(width));
            for (y, x) in rows {
                y.iter_mut().zip(x).zip(weight).for_each(|((y, &x), &p)| *y = x + p);
            }
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (grad_output, mut gradients) = (&*io.grad_output, io.grad_parameters);
        let width = (grad_output.len() / io.rows.max(1)).max(1);
        let (gradient, unused) = gradients.get(0).split_at_mut(width);
        if !io.accumulate {
            unused.fill(R::ZERO);
        }
        // Pieces of the columns in parallel, each over the rows in order.
        let piece = if grad_output.len() <= parallel::PIECE { width } else { 1024 };
        parallel::fill(gradient, piece, |start, sums| {
            if !io.accumulate {
                sums.fill(R::ZERO);
            }
            for row in grad_output.chunks_exact(width) {
                sums.iter_mut().zip(&row[start..]).for_each(|(sum, &g)| *sum += g);
            }
        });
        Ok(())
    }
}

/// y = x + the rows of P from the pass's place on.
#[derive(Clone, Copy, Debug)]
struct PositionsDecoder {
    tokens: usize,
    width: usize,
}

impl Op for PositionsDecoder {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let allowed = vec![self.tokens, self.width];
        match inputs {
            [shape] if **shape == allowed => Ok(allowed),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape {allowed:?}"),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: true, ..InPlace::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (gpu, range, place) = (recorder.gpu(), &io.parameters.ranges[0], io.mode.decoding()?);
        let (lanes, vec4) = (lanes_of(gpu.is_software()), self.width.is_multiple_of(4));
        let kernel = gpu.kernel(&decode_program(vec4, lanes.into()))?;
        let numbers = if vec4 { 4 } else { 1 };
        let [length, cells, offset, table] =
            [self.tokens * self.width, self.width, range.start, range.len()]
                .map(|count| (count / numbers) as u32);
        let storage = [place, io.parameters.all, io.output.buffer].map(Into::into);
        let params = [length, cells, offset, table];
        recorder.dispatch(&kernel, &params, &storage, length.div_ceil(lanes))
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Err(decodes_only(ENTRY.name))
    }
}

impl<R: Real> Cpu<R> for PositionsDecoder {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (weight, first) = (io.parameters.get(0), io.mode.place * self.width);
        let Some(rows) = weight.get(first..first + self.tokens * self.width) else {
            return Err(Error::Input {
                operation: ENTRY.name.into(),
                name: "the next tokens".into(),
                found: format!("are {} from position {} on", self.tokens, io.mode.place),
                allowed: format!("up to {} positions", weight.len() / self.width.max(1)),
            });
        };
        for ((y, &x), &p) in io.output.iter_mut().zip(io.inputs[0]).zip(rows) {
            *y = x + p;
        }
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Err(decodes_only(ENTRY.name))
    }
}
