//! Parametric ReLU: y = x above 0, a x below and at 0, with a learned slope a for each channel (the
//! last axis) or one for all. PyTorch `PReLU`, whose channels are the second axis; Keras `PReLU`
//! with `shared_axes` of all axes but the last.
//!
//! dL/dx = dL/dy (1 above 0, else a); dL/da = Σ x dL/dy over the elements of the channel where x is
//! not above 0. They begin at 0.25. Source: K. He, X. Zhang, S. Ren, J. Sun, Delving Deep into
//! Rectifiers, 2015.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    InPlace, Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::ops::column_sums::{self, ColumnSums, SLAB, column_sums};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const NUMBERS: File = shader!("lib/numbers.wgsl");
const SHARED: File = shader!("ops/prelu/prelu.wgsl");
const FACTOR: File = shader!("ops/prelu/prelu_factor.wgsl");
const FORWARD: File = shader!("ops/prelu/prelu_forward.wgsl");
const BACKWARD: File = shader!("ops/prelu/prelu_backward.wgsl");
const PARTS: File = shader!("ops/prelu/prelu_parts.wgsl");

pub(crate) static ENTRY: Entry = Entry { name: "prelu", examples, programs };

/// Rows per partial sum on the CPU.
const ROWS_OF_A_PART: usize = 256;

/// y = x above 0, a x below and at 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prelu {
    /// The length of the last axis.
    pub channels: usize,
    /// One slope for all channels instead of one for each.
    pub shared: bool,
}

fn examples() -> Vec<Example> {
    let example = |shape: &[usize], shared: bool| Example {
        op: Box::new(Prelu { channels: shape.last().copied().unwrap_or(0), shared }),
        inputs: vec![shape.to_vec()],
    };
    vec![
        example(&[5], false),
        example(&[2, 3, 4], false),
        example(&[3, 2], true),
        example(&[13, 1], false),
    ]
}

fn forward_program(lanes: f64) -> Program {
    let files = [FORWARD, SHARED, FACTOR, NUMBERS];
    Program::plain("prelu", &files, vec![("WORKGROUP", lanes)])
}

fn backward_program(lanes: f64) -> Program {
    let files = [BACKWARD, SHARED, FACTOR, NUMBERS];
    Program::plain("prelu, backward", &files, vec![("WORKGROUP", lanes)])
}

fn parts_program(lanes: f64) -> Program {
    Program::plain("prelu, its weight's parts", &[PARTS, SHARED], vec![("WORKGROUP", lanes)])
}

fn programs() -> Vec<Program> {
    let own = [8.0, 64.0]
        .map(|lanes| [forward_program(lanes), backward_program(lanes), parts_program(lanes)]);
    own.into_iter().flatten().chain(column_sums::programs()).collect()
}

impl Prelu {
    fn weights(&self) -> usize {
        if self.shared { 1 } else { self.channels }
    }

    fn params(&self, length: usize, offset: usize) -> [u32; 8] {
        let [length, channels, weights, offset, slab] =
            [length, self.channels, self.weights(), offset, SLAB].map(|number| number as u32);
        [length, channels, weights, offset, slab, 0, 0, 0]
    }

    /// Adds dL/da of some rows to the sums of their channels.
    fn add_to_sums<R: Real>(&self, x: &[R], grad_output: &[R], sums: &mut [R]) {
        let rows = x.chunks_exact(self.channels).zip(grad_output.chunks_exact(self.channels));
        for (x, g) in rows {
            for ((sum, &x), &g) in sums.iter_mut().zip(x).zip(g) {
                *sum += R::select(x > R::ZERO, R::ZERO, x * g);
            }
        }
    }

    /// dL/da: partial sums over rows, added in order.
    fn weight_gradient<R: Real>(&self, x: &[R], grad_output: &[R]) -> Vec<R> {
        let length = ROWS_OF_A_PART * self.channels;
        let parts: Vec<Vec<R>> = x
            .par_chunks(length)
            .zip(grad_output.par_chunks(length))
            .map(|(x, g)| {
                let mut sums = vec![R::ZERO; self.channels];
                self.add_to_sums(x, g, &mut sums);
                sums
            })
            .collect();
        let mut total = vec![R::ZERO; self.channels];
        for part in &parts {
            total.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
        }
        if self.shared { vec![total.into_iter().sum()] } else { total }
    }
}

/// Calls `each(value, x, weight)` with each element of `values` and of `x`, in parallel.
fn of_all<R: Real>(
    channels: usize,
    weights: &[R],
    x: &[R],
    values: &mut [R],
    each: impl Fn(&mut R, R, R) + Sync,
) {
    let length = parallel::rows_per_piece(channels) * channels;
    parallel::fill(values, length, |start, values| {
        let x = &x[start..start + values.len()];
        R::dispatch(
            #[inline(always)]
            || match weights {
                &[weight] => {
                    values.iter_mut().zip(x).for_each(|(value, &x)| each(value, x, weight))
                }
                _ => {
                    let rows = values.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
                    for (values, x) in rows {
                        for ((value, &x), &weight) in values.iter_mut().zip(x).zip(weights) {
                            each(value, x, weight);
                        }
                    }
                }
            },
        );
    });
}

impl Op for Prelu {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if self.channels > 0 && shape.last() == Some(&self.channels) => {
                Ok((*shape).clone())
            }
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape [..., {}]", self.channels),
            }),
        }
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.weights()],
            initial: Initial::Constant(0.25),
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        }]
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: true, ..Saves::default() }
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: false, backward: true, ..InPlace::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&forward_program(lanes.into()))?;
        let length = io.rows * io.output.width;
        let params = self.params(length, io.parameters.ranges[0].start);
        let storage = [io.inputs[0].buffer, io.parameters.all, io.output.buffer].map(Into::into);
        recorder.dispatch(&kernel, &params, &storage, (length as u32).div_ceil(lanes))
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (gpu, x, offset) = (recorder.gpu(), io.inputs[0], io.parameters.ranges[0].start);
        let lanes = lanes_of(gpu.is_software());
        let length = io.rows * x.width;
        let params = self.params(length, offset);
        let slabs = (length / self.channels).div_ceil(SLAB);
        let parts = recorder.scratch("parts of a gradient", slabs * self.channels)?;
        let kernel = gpu.kernel(&parts_program(lanes.into()))?;
        let storage = [x.buffer, io.grad_output, &parts].map(Into::into);
        let workgroups = ((slabs * self.channels) as u32).div_ceil(lanes);
        recorder.dispatch(&kernel, &params, &storage, workgroups)?;
        let sums = ColumnSums {
            rows: slabs,
            columns: self.channels,
            numbers: &parts,
            sums: io.parameters.gradients,
            offset,
            accumulate: io.accumulate,
        };
        if self.shared {
            let of_channels = recorder.scratch("sums of channels", self.channels)?;
            let each = ColumnSums { sums: &of_channels, offset: 0, accumulate: false, ..sums };
            column_sums(recorder, &each)?;
            let (rows, numbers) = (self.channels, &of_channels);
            column_sums(recorder, &ColumnSums { rows, columns: 1, numbers, ..sums })?;
        } else {
            column_sums(recorder, &sums)?;
        }
        let kernel = gpu.kernel(&backward_program(lanes.into()))?;
        let storage = [x.buffer, io.parameters.all, io.grad_output].map(Into::into);
        recorder.dispatch(&kernel, &params, &storage, (length as u32).div_ceil(lanes))
    }
}

impl<R: Real> Cpu<R> for Prelu {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, weights) = (io.inputs[0], io.parameters.get(0));
        of_all(self.channels, weights, x, io.output, |y, x, slope| {
            *y = x * R::select(x > R::ZERO, R::ONE, slope);
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (x, weights, mut gradients) = (io.inputs[0], io.parameters.get(0), io.grad_parameters);
        let found = self.weight_gradient(x, io.grad_output);
        for (slot, slope) in gradients.get(0).iter_mut().zip(found) {
            *slot = if io.accumulate { *slot + slope } else { slope };
        }
        of_all(self.channels, weights, x, io.grad_output, |g, x, slope| {
            let factor = R::select(x > R::ZERO, R::ONE, slope);
            *g *= R::select(x.is_nan(), x, factor);
        });
        Ok(())
    }
}
