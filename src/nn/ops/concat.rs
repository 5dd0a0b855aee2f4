//! Concatenation along an axis of the sample: PyTorch `cat`, Keras `Concatenate`. The channels of
//! an image are its last axis here.
//!
//! In memory each input is runs of adjacent numbers, from its axis on, and the output has one of
//! each input in turn. Backward cuts them out again.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::parallel::rows_per_piece;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, MOST_INPUTS, Op, Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const MOVE: File = shader!("ops/concat/concat_move.wgsl");
const SCALAR: File = shader!("ops/concat/concat_scalar.wgsl");
const VEC4: File = shader!("ops/concat/concat_vec4.wgsl");

pub(crate) static ENTRY: Entry = Entry {
    name: "concat",
    examples,
    programs: || {
        [8.0, 64.0].into_iter().flat_map(|l| [false, true].map(|cell| program(cell, l))).collect()
    },
};

/// y = the inputs, one behind the other along an axis.
#[derive(Clone, Debug)]
pub(crate) struct Concat {
    /// The shapes of the inputs, equal except along the axis.
    pub inputs: Vec<Shape>,
    pub axis: usize,
}

fn examples() -> Vec<Example> {
    let example = |inputs: &[&[usize]], axis: usize| {
        let inputs: Vec<Shape> = inputs.iter().map(|shape| shape.to_vec()).collect();
        Example { op: Box::new(Concat { inputs: inputs.clone(), axis }), inputs }
    };
    vec![
        example(&[&[3], &[2]], 0),
        // Channels: of any number, and in vectors.
        example(&[&[2, 3, 5], &[2, 3, 1], &[2, 3, 2]], 2),
        example(&[&[2, 2, 4], &[2, 2, 8]], 2),
        // Other axes.
        example(&[&[2, 3], &[1, 3], &[3, 3], &[1, 3]], 0),
        example(&[&[2, 1, 4], &[2, 3, 4]], 1),
    ]
}

fn program(is_vec4: bool, lanes: f64) -> Program {
    let cell = if is_vec4 { VEC4 } else { SCALAR };
    Program::plain("concat", &[MOVE, cell], vec![("WORKGROUP", lanes)])
}

impl Concat {
    /// Along the last axis: channels of images, features of rows.
    pub fn last_axis(inputs: Vec<Shape>) -> Self {
        let axis = inputs.first().map_or(0, |shape| shape.len().saturating_sub(1));
        Concat { inputs, axis }
    }

    /// Adjacent numbers of an input: those of its axes from the concatenated one on.
    fn run(&self, number: usize) -> usize {
        self.inputs[number][self.axis..].iter().product()
    }

    /// The runs of all inputs, and where the run of one begins among them.
    fn runs(&self, number: usize) -> [usize; 2] {
        let until = |end: usize| (0..end).map(|number| self.run(number)).sum();
        [until(self.inputs.len()), until(number)]
    }

    /// Moves the runs of an input, `from` its buffer into the output's or back.
    fn record(
        &self,
        recorder: &mut Recorder,
        number: usize,
        [from, to]: [&wgpu::Buffer; 2],
        [rows, output_width]: [usize; 2],
        back: bool,
    ) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let (run, [all, start]) = (self.run(number), self.runs(number));
        let is_vec4 = (0..self.inputs.len()).all(|number| self.run(number).is_multiple_of(4));
        let (kernel, cell) =
            (gpu.kernel(&program(is_vec4, lanes.into()))?, if is_vec4 { 4 } else { 1 });
        let cells = rows * (output_width / all) * run / cell;
        let [own, other] = [[run, 0], [all, start]];
        let [source, target] = if back { [other, own] } else { [own, other] };
        let params = [
            cells,
            run / cell,
            source[0] / cell,
            source[1] / cell,
            target[0] / cell,
            target[1] / cell,
            0,
            0,
        ];
        let groups = (cells as u32).div_ceil(lanes);
        recorder.dispatch(&kernel, &params.map(|n| n as u32), &[from.into(), to.into()], groups)
    }
}

impl Op for Concat {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let mismatch = |allowed: String| Error::Shape {
            operation: ENTRY.name.into(),
            found: format!("inputs of shapes {inputs:?}"),
            allowed,
        };
        if !(2..=MOST_INPUTS).contains(&inputs.len()) || !inputs.iter().copied().eq(&self.inputs) {
            let allowed = format!("two to {MOST_INPUTS} inputs, of shapes {:?}", self.inputs);
            return Err(mismatch(allowed));
        }
        let axis = self.axis;
        let without = |shape: &Shape| {
            let mut others = shape.clone();
            (axis < others.len()).then(|| others.remove(axis)).map(|_| others)
        };
        let others = without(inputs[0]);
        if others.is_none() || inputs.iter().any(|shape| without(shape) != others) {
            return Err(mismatch(format!("shapes that are equal except along axis {axis}")));
        }
        if let Some(empty) = inputs.iter().find(|shape| shape.contains(&0)) {
            return Err(mismatch(format!("shapes without an axis of length 0, unlike {empty:?}")));
        }
        let mut output = inputs[0].clone();
        output[axis] = inputs.iter().map(|shape| shape[axis]).sum();
        Ok(output)
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    /// Each token by itself, unless tokens of several sequences are joined.
    fn decoder(&self, _: &[&Shape], tokens: usize) -> Option<Arc<dyn Op>> {
        let of_tokens = |shape: &Shape| [&[tokens], shape.get(1..).unwrap_or_default()].concat();
        let inputs = self.inputs.iter().map(of_tokens).collect();
        (self.axis > 0).then(|| Arc::new(Concat { inputs, axis: self.axis }) as Arc<dyn Op>)
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let sizes = [io.rows, io.output.width];
        io.inputs.iter().enumerate().try_for_each(|(number, input)| {
            self.record(recorder, number, [input.buffer, io.output.buffer], sizes, false)
        })
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let sizes = [io.rows, io.output.width];
        for (number, gradient) in io.grad_inputs.iter().enumerate() {
            if let Some(gradient) = gradient {
                self.record(recorder, number, [io.grad_output, gradient], sizes, true)?;
            }
        }
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Concat {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let [all, _] = self.runs(0);
        let runs: Vec<usize> = (0..self.inputs.len()).map(|number| self.run(number)).collect();
        let lines = rows_per_piece(all);
        io.output.par_chunks_mut(lines * all).enumerate().for_each(|(index, part)| {
            for (number, line) in part.chunks_exact_mut(all).enumerate() {
                let (place, mut rest) = (index * lines + number, line);
                for (input, &run) in io.inputs.iter().zip(&runs) {
                    let (own, others) = rest.split_at_mut(run);
                    own.copy_from_slice(&input[place * run..][..run]);
                    rest = others;
                }
            }
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let dy: &[R] = io.grad_output;
        for (number, gradient) in io.grad_inputs.iter_mut().enumerate() {
            let Some(gradient) = gradient else { continue };
            let (run, [all, start]) = (self.run(number), self.runs(number));
            let lines = rows_per_piece(run);
            gradient.par_chunks_mut(lines * run).enumerate().for_each(|(index, part)| {
                for (number, own) in part.chunks_exact_mut(run).enumerate() {
                    own.copy_from_slice(&dy[(index * lines + number) * all + start..][..run]);
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_grows_and_the_others_must_be_equal() {
        let of = |inputs: &[Shape], axis: usize| {
            let op = Concat { inputs: inputs.to_vec(), axis };
            op.output(&inputs.iter().collect::<Vec<_>>())
        };
        assert_eq!(of(&[vec![2, 3], vec![2, 4]], 1).unwrap(), [2, 7]);
        assert_eq!(of(&[vec![2, 3], vec![1, 3], vec![4, 3]], 0).unwrap(), [7, 3]);
        let last = Concat::last_axis(vec![vec![2, 2, 3], vec![2, 2, 5]]);
        assert_eq!(last.output(&[&vec![2, 2, 3], &vec![2, 2, 5]]).unwrap(), [2, 2, 8]);
        for (inputs, axis) in [
            (vec![vec![2, 3], vec![2, 4]], 0),
            (vec![vec![2, 3], vec![2, 3]], 2),
            (vec![vec![2, 3], vec![3]], 0),
            (vec![vec![2, 3]], 0),
            (vec![vec![2, 0], vec![2, 3]], 1),
        ] {
            let error = of(&inputs, axis).unwrap_err().to_string();
            assert!(error.contains("concat") && error.contains(&format!("{inputs:?}")), "{error}");
        }
        // Other shapes than those that the op was made for.
        assert!(last.output(&[&vec![2, 2, 3], &vec![2, 2, 4]]).is_err());
    }
}
