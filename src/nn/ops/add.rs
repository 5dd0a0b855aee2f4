//! Add: y = a + b of equal shapes, up to four, with ReLU if asked for: y = max(a + b, 0), the end
//! of a residual block. PyTorch `a + b`, Keras `Add`.
//!
//! Each input's gradient is dL/dy, with ReLU where y > 0.

use std::sync::Arc;

use crate::cpu::parallel::{PIECE, fill};
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, MOST_INPUTS, Op, Saves, Shape,
};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const ADD_TO: File = shader!("ops/add/add_to.wgsl");
const FORWARD: File = shader!("ops/add/add_forward.wgsl");
const MASK: File = shader!("ops/add/add_mask.wgsl");
const MASK_ONE: File = shader!("ops/add/add_mask_one.wgsl");
const MASK_TWO: File = shader!("ops/add/add_mask_two.wgsl");

pub(crate) static ENTRY: Entry = Entry {
    name: "add",
    examples,
    programs: || {
        let of = |lanes| {
            let masks = [mask_program(1, lanes), mask_program(2, lanes)];
            [vec![add_to_program(lanes), forward_program(lanes)], masks.into()].concat()
        };
        [8.0, 64.0].map(of).concat()
    },
};

/// y = a + b + …, or max(a + b + …, 0).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Add {
    pub relu: bool,
}

fn examples() -> Vec<Example> {
    let example = |relu: bool, shape: &[usize], terms: usize| Example {
        op: Box::new(Add { relu }),
        inputs: vec![shape.to_vec(); terms],
    };
    vec![
        example(false, &[5], 2),
        example(true, &[3, 2, 4], 2),
        example(true, &[7], 3),
        example(true, &[2, 3], 4),
        example(false, &[1], 4),
    ]
}

fn add_to_program(lanes: f64) -> Program {
    Program::plain("add to", &[ADD_TO], vec![("WORKGROUP", lanes)])
}

fn forward_program(lanes: f64) -> Program {
    Program::plain("add", &[FORWARD], vec![("WORKGROUP", lanes)])
}

/// Writes the gradients of one or two inputs.
fn mask_program(inputs: usize, lanes: f64) -> Program {
    let end = if inputs == 1 { MASK_ONE } else { MASK_TWO };
    Program::plain("add, backward", &[MASK, end], vec![("WORKGROUP", lanes)])
}

/// sum += addend: the second gradient contribution of a value that is used twice.
pub(crate) fn add_to(
    recorder: &mut Recorder,
    sum: &wgpu::Buffer,
    addend: &wgpu::Buffer,
    elements: usize,
) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let kernel = gpu.kernel(&add_to_program(lanes.into()))?;
    let length = elements as u32;
    recorder.dispatch(
        &kernel,
        &[length, 0, 0, 0],
        &[addend.into(), sum.into()],
        length.div_ceil(lanes),
    )
}

impl Op for Add {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [first, others @ ..]
                if (1..MOST_INPUTS).contains(&others.len())
                    && others.iter().all(|shape| shape == first) =>
            {
                Ok((*first).clone())
            }
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("two to {MOST_INPUTS} inputs of one shape"),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { output: self.relu, ..Saves::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&forward_program(lanes.into()))?;
        let vectors = (io.rows * io.output.width).div_ceil(4) as u32;
        let params = [vectors, io.inputs.len() as u32, self.relu.into(), 0];
        // A kernel does not read the terms that are not there.
        let term = |number: usize| io.inputs.get(number).unwrap_or(&io.inputs[0]).buffer.into();
        let storage = [term(0), term(1), term(2), term(3), io.output.buffer.into()];
        recorder.dispatch(&kernel, &params, &storage, vectors.div_ceil(lanes))
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let wanted: Vec<&wgpu::Buffer> = io.grad_inputs.iter().flatten().copied().collect();
        let elements = io.rows * io.output.width;
        if !self.relu {
            wanted.iter().for_each(|dx| recorder.copy((io.grad_output, 0), (dx, 0), elements));
            return Ok(());
        }
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let vectors = elements.div_ceil(4) as u32;
        for pair in wanted.chunks(2) {
            let kernel = gpu.kernel(&mask_program(pair.len(), lanes.into()))?;
            let mut storage = vec![io.output.buffer.into(), io.grad_output.into()];
            storage.extend(pair.iter().map(|&dx| Slice::from(dx)));
            recorder.dispatch(&kernel, &[vectors, 0, 0, 0], &storage, vectors.div_ceil(lanes))?;
        }
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Add {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (inputs, relu) = (io.inputs, self.relu);
        let [first, second, others @ ..] = inputs else { return Ok(()) };
        fill(io.output, PIECE, |start, part| {
            R::dispatch(
                #[inline(always)]
                || {
                    let range = start..start + part.len();
                    let terms = first[range.clone()].iter().zip(&second[range.clone()]);
                    part.iter_mut().zip(terms).for_each(|(y, (&a, &b))| *y = a + b);
                    for other in others {
                        part.iter_mut().zip(&other[range.clone()]).for_each(|(y, &x)| *y += x);
                    }
                    if relu {
                        part.iter_mut().for_each(|y| *y = Real::max(*y, R::ZERO));
                    }
                },
            );
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (y, dy, relu) = (io.output, &*io.grad_output, self.relu);
        for gradient in io.grad_inputs.iter_mut().flatten() {
            fill(gradient, PIECE, |start, part| {
                let range = start..start + part.len();
                if !relu {
                    return part.copy_from_slice(&dy[range]);
                }
                R::dispatch(
                    #[inline(always)]
                    || {
                        let pairs = y[range.clone()].iter().zip(&dy[range]);
                        part.iter_mut().zip(pairs).for_each(|(dx, (&y, &dy))| {
                            let masked = R::select(y > R::ZERO, dy, R::ZERO);
                            *dx = R::select(y.is_nan(), y, masked);
                        });
                    },
                );
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::op::{Mode, Parameters, Segments};

    fn parameters() -> Parameters<'static, f64> {
        Parameters { all: &[], ranges: &[], table: &[] }
    }

    #[test]
    fn relu_masks_the_gradient_of_each_input_and_keeps_nan() {
        let op = Add { relu: true };
        let (a, b) = ([1.0, -3.0, 0.0, f64::NAN], [-0.5, 2.0, 0.0, 1.0]);
        let mut y = [0.0; 4];
        let forward = Forward {
            rows: 1,
            inputs: &[&a[..], &b[..]],
            ids: &[],
            parameters: parameters(),
            output: &mut y,
            saved: &mut [],
            statistics: Segments { all: &mut [], ranges: &[] },
            mode: Mode::default(),
        };
        op.forward(forward).unwrap();
        assert_eq!(y[..3], [0.5, 0.0, 0.0]);
        assert!(y[3].is_nan());
        let (mut dy, mut da, mut db) = ([2.0, 3.0, 5.0, 7.0], [9.0; 4], [9.0; 4]);
        let backward = Backward {
            rows: 1,
            inputs: &[],
            output: &y,
            saved: &[],
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut dy,
            grad_inputs: &mut [Some(&mut da[..]), Some(&mut db[..])],
            adds: false,
            grad_parameters: Segments { all: &mut [], ranges: &[] },
            accumulate: false,
            ids: &[],
            mode: Mode::default(),
        };
        op.backward(backward).unwrap();
        assert_eq!(da[..3], [2.0, 0.0, 0.0]);
        assert!(da[3].is_nan());
        assert_eq!(da[..3], db[..3]);
    }

    #[test]
    fn shapes_that_differ_are_refused() {
        let error = Add { relu: false }.output(&[&vec![2], &vec![3]]).unwrap_err().to_string();
        assert!(error.contains("add") && error.contains("[[2], [3]]"), "{error}");
        assert!(Add { relu: false }.output(&[&vec![2]]).is_err());
    }
}
