//! Global pooling: the mean or the maximum of all pixels by channel, of shape [channels]. PyTorch
//! `AdaptiveAvgPool2d(1)` and `AdaptiveMaxPool2d(1)` with a flatten; Keras `GlobalAveragePooling2D`
//! and `GlobalMaxPooling2D`.

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::nn::ops::pool::Pool;
use crate::nn::ops::pool::average::Average;
use crate::nn::ops::pool::max::MaxPool2d;
use crate::runtime::recorder::Recorder;

pub(crate) static AVERAGE_ENTRY: Entry = Entry {
    name: "global_avg_pool",
    examples: || examples(|input| Box::new(GlobalAvgPool { input })),
    // Those of `avg_pool2d`.
    programs: Vec::new,
};

pub(crate) static MAX_ENTRY: Entry = Entry {
    name: "global_max_pool",
    examples: || examples(|input| Box::new(GlobalMaxPool { input })),
    // Those of `max_pool2d`.
    programs: Vec::new,
};

fn examples(op: impl Fn([usize; 3]) -> Box<dyn Op>) -> Vec<Example> {
    [[3, 2, 8], [5, 5, 5], [1, 4, 1]]
        .map(|input| Example { op: op(input), inputs: vec![input.to_vec()] })
        .into()
}

/// y = mean of all pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GlobalAvgPool {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
}

/// y = max of all pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GlobalMaxPool {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
}

impl GlobalAvgPool {
    fn pool(&self) -> Result<Pool> {
        Pool::adaptive(AVERAGE_ENTRY.name, self.input, [1, 1])
    }
}

impl GlobalMaxPool {
    /// The max pooling with one window.
    fn max(&self) -> MaxPool2d {
        let kernel = [self.input[0], self.input[1]];
        MaxPool2d { input: self.input, kernel, stride: kernel, padding: [0, 0], ceil_mode: false }
    }
}

impl Op for GlobalAvgPool {
    fn entry(&self) -> &'static Entry {
        &AVERAGE_ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let pool = self.pool()?;
        pool.check(AVERAGE_ENTRY.name, inputs)?;
        Ok(vec![pool.channels])
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        Average(self.pool()?).forward_gpu(recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        Average(self.pool()?).backward_gpu(recorder, io)
    }
}

impl<R: Real> Cpu<R> for GlobalAvgPool {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        Average(self.pool()?).forward(io)
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        Average(self.pool()?).backward(io)
    }
}

impl Op for GlobalMaxPool {
    fn entry(&self) -> &'static Entry {
        &MAX_ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        // The same check, by this op's name.
        Pool::adaptive(MAX_ENTRY.name, self.input, [1, 1])?.check(MAX_ENTRY.name, inputs)?;
        self.max().output(inputs).map(|shape| vec![shape[2]])
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves {
        self.max().saves(inputs)
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        self.max().forward_gpu(recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        self.max().backward_gpu(recorder, io)
    }
}

impl<R: Real> Cpu<R> for GlobalMaxPool {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        self.max().forward(io)
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        self.max().backward(io)
    }
}
