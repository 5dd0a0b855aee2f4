//! The sum of two values: an op with two inputs, for tests that use a value twice.

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::nn::ops::add::add_to;
use crate::runtime::recorder::Recorder;

static ENTRY: Entry = Entry { name: "sum", examples: Vec::new, programs: Vec::new };

/// y = a + b.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum;

impl Op for Sum {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (a, b, elements) =
            (io.inputs[0].buffer, io.inputs[1].buffer, io.rows * io.output.width);
        recorder.copy((a, 0), (io.output.buffer, 0), elements);
        add_to(recorder, io.output.buffer, b, elements)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        for grad_input in io.grad_inputs.iter().flatten() {
            recorder.copy((io.grad_output, 0), (grad_input, 0), io.rows * io.output.width);
        }
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Sum {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let terms = io.inputs[0].iter().zip(io.inputs[1]);
        io.output.iter_mut().zip(terms).for_each(|(y, (&a, &b))| *y = a + b);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        io.grad_inputs
            .iter_mut()
            .flatten()
            .for_each(|gradient| gradient.copy_from_slice(io.grad_output));
        Ok(())
    }
}
