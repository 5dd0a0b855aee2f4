//! Masked mean: the mean of the first tokens of each row, from x [tokens, width] and lengths [1] to
//! [width]. The mean pooling of sentence embeddings: `(x * mask).sum(1) / mask.sum(1)` for rows that
//! are padded at their end.
//!
//! * y = Σ_{t < n} xₜ / n, n the row's length; 0 for a row without tokens
//! * dL/dxₜ = dL/dy / n for t < n, 0 behind
//!
//! Lengths have no gradient: if one is asked for, it is 0.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::nn::ops::column_sums::cells_file;
use crate::nn::ops::lengths::MOST_IDS;
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const FORWARD: File = shader!("ops/masked_mean/masked_mean_forward.wgsl");
const BACKWARD: File = shader!("ops/masked_mean/masked_mean_backward.wgsl");

pub(crate) static ENTRY: Entry = Entry {
    name: "masked_mean",
    examples: || {
        // The graph of these tests makes lengths below one; `graph/tests/sequences.rs` has others.
        [[3, 4], [2, 3], [1, 1]]
            .map(|shape: [usize; 2]| Example {
                op: Box::new(MaskedMean),
                inputs: vec![shape.into(), vec![1]],
            })
            .into()
    },
    programs: || {
        [(false, 8.0), (true, 8.0), (false, 64.0), (true, 64.0)]
            .into_iter()
            .flat_map(|(vec4, lanes)| [FORWARD, BACKWARD].map(|file| program(file, vec4, lanes)))
            .collect()
    },
};

/// y = the mean of the first tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskedMean;

fn program(file: File, vec4: bool, lanes: f64) -> Program {
    let files = [file, cells_file(vec4)];
    Program::plain("masked mean", &files, vec![("WORKGROUP", lanes)])
}

/// Records a kernel over all cells of an output.
fn record(
    recorder: &mut Recorder,
    file: File,
    [rows, tokens, width]: [usize; 3],
    buffers: &[&wgpu::Buffer],
    per_row: usize,
) -> Result<()> {
    let gpu = recorder.gpu();
    let (lanes, vec4) = (lanes_of(gpu.is_software()), width.is_multiple_of(4));
    let kernel = gpu.kernel(&program(file, vec4, lanes.into()))?;
    let numbers = if vec4 { 4 } else { 1 };
    let params = [rows, tokens, width / numbers, 0].map(|number| number as u32);
    let storage: Vec<_> = buffers.iter().map(|&buffer| buffer.into()).collect();
    let cells = (rows * per_row / numbers) as u32;
    recorder.dispatch(&kernel, &params, &storage, cells.div_ceil(lanes))
}

impl Op for MaskedMean {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [x, lengths]
                if x.len() == 2 && (1..=MOST_IDS).contains(&x[0]) && lengths[..] == [1] =>
            {
                Ok(vec![x[1]])
            }
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!(
                    "x of shape [1 to {MOST_IDS} tokens, width] and lengths of shape [1]"
                ),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { own: 1, ..Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (x, width) = (io.inputs[0], io.output.width);
        let sizes = [io.rows, x.width / width.max(1), width];
        let buffers = [x.buffer, io.inputs[1].buffer, io.output.buffer, io.saved];
        record(recorder, FORWARD, sizes, &buffers, width)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        if let Some(Some(lengths)) = io.grad_inputs.get(1) {
            let zeros = recorder.gpu().upload("zeros", &vec![0.0_f32; io.rows])?;
            recorder.copy((&zeros, 0), (lengths, 0), io.rows);
        }
        let Some(Some(gradient)) = io.grad_inputs.first() else { return Ok(()) };
        let (of_row, width) = (io.inputs[0].width, io.output.width);
        let sizes = [io.rows, of_row / width.max(1), width];
        record(recorder, BACKWARD, sizes, &[io.grad_output, io.saved, gradient], of_row)
    }
}

impl<R: Real> Cpu<R> for MaskedMean {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, lengths) = (io.inputs[0], io.inputs[1]);
        let width = (io.output.len() / io.rows.max(1)).max(1);
        let tokens = x.len() / (io.rows * width).max(1);
        let rows = io.output.par_chunks_exact_mut(width).zip(io.saved.par_iter_mut());
        rows.enumerate().for_each(|(row, (output, saved))| {
            // A cast saturates; NaN becomes 0.
            let length = (lengths[row].to_f64() as usize).min(tokens);
            *saved = R::new(length as f64);
            output.fill(R::ZERO);
            let numbers = &x[row * tokens * width..][..length * width];
            for token in numbers.chunks_exact(width) {
                output.iter_mut().zip(token).for_each(|(sum, &x)| *sum += x);
            }
            let count = R::new(length.max(1) as f64);
            output.iter_mut().for_each(|y| *y /= count);
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        if let Some(Some(lengths)) = io.grad_inputs.get_mut(1) {
            lengths.fill(R::ZERO);
        }
        let Some(Some(gradient)) = io.grad_inputs.first_mut() else { return Ok(()) };
        let width = (io.grad_output.len() / io.rows.max(1)).max(1);
        let (upstream, saved) = (&*io.grad_output, io.saved);
        let of_row = (gradient.len() / io.rows.max(1)).max(1);
        gradient.par_chunks_exact_mut(of_row).enumerate().for_each(|(row, gradient)| {
            let (upstream, length) = (&upstream[row * width..][..width], saved[row]);
            let valid = length.to_f64() as usize * width;
            for token in gradient[..valid].chunks_exact_mut(width) {
                token.iter_mut().zip(upstream).for_each(|(dx, &dy)| *dx = dy / length);
            }
            gradient[valid..].fill(R::ZERO);
        });
        Ok(())
    }
}
