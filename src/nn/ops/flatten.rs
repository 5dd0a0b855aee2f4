//! Flatten: a sample's numbers as one axis, in memory order. PyTorch `Flatten`, Keras `Flatten`.
//!
//! An image is [height, width, channels] here and in Keras; PyTorch flattens [channels, height,
//! width], so that the rows of the weight of a dense layer behind it are in another order.
//!
//! Nothing is computed: the output is a view of the input, and so are their gradients.

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, InPlace, Op, Saves, Shape,
};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry {
    name: "flatten",
    examples: || {
        [vec![3, 2, 5], vec![4, 3], vec![7]]
            .map(|shape| Example { op: Box::new(Flatten), inputs: vec![shape] })
            .into()
    },
    programs: Vec::new,
};

/// y = x as one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flatten;

impl Op for Flatten {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] => Ok(vec![shape.iter().fold(1, |all, &axis| all.saturating_mul(axis))]),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "one input".into(),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: true, backward: true, view: true }
    }

    fn forward_gpu(&self, _: &mut Recorder, _: &GpuForward) -> Result<()> {
        Ok(())
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Flatten {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        io.output.copy_from_slice(io.inputs[0]);
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Ok(())
    }
}
