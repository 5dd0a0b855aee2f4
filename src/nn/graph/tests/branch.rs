//! The input of an op under test: a part of the graph's input, of any shape, times a parameter as
//! large as a sample, whose gradient is therefore that of the op's input.

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, FileOrder, Forward, GpuBackward, GpuForward, GradientKind, Initial, Op,
    ParameterSpec, Penalties, Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::File;

static ENTRY: Entry = Entry { name: "branch", examples: Vec::new, programs: Vec::new };

/// Spreads products of numbers in [−1, 1) over what activations are curved in.
const FACTOR: f64 = 3.0;

/// yᵢ = 3 wᵢ xᵢ over the part of x that begins at `start`. The gradient of x is not computed: the
/// graph's input has none.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub start: usize,
    pub shape: Shape,
}

/// output = 3 weight input by row, and its gradient: over all rows, in order.
const BRANCH: File = File::own(
    "tests/branch.wgsl",
    "struct Params { rows: u32, width: u32, input_width: u32, start: u32, offset: u32, add: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
@group(0) @binding(2) var<storage, read> others: array<f32>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;
override WORKGROUP: u32 = 64u;
override BACKWARD: bool = false;
@compute @workgroup_size(WORKGROUP)
fn branch(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.width { return; }
    let place = params.offset + id.x;
    var sum = 0.0;
    for (var row = 0u; row < params.rows; row += 1u) {
        let x = 3.0 * inputs[row * params.input_width + params.start + id.x];
        let here = row * params.width + id.x;
        if BACKWARD { sum += x * others[here]; } else { results[here] = x * others[place]; }
    }
    if BACKWARD {
        if params.add != 0u { sum += results[place]; }
        results[place] = sum;
    }
}
",
);

impl Branch {
    fn width(&self) -> usize {
        self.shape.iter().product()
    }

    fn record(
        &self,
        recorder: &mut Recorder,
        [rows, input_width, offset]: [usize; 3],
        storage: [&wgpu::Buffer; 3],
        [backward, accumulate]: [bool; 2],
    ) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let constants =
            vec![("WORKGROUP", lanes.into()), ("BACKWARD", f64::from(u8::from(backward)))];
        let kernel = gpu.kernel(&Program::plain("branch", &[BRANCH], constants))?;
        let numbers =
            [rows, self.width(), input_width, self.start, offset, accumulate.into(), 0, 0];
        let groups = (self.width() as u32).div_ceil(lanes);
        recorder.dispatch(&kernel, &numbers.map(|n| n as u32), &storage.map(Into::into), groups)
    }
}

impl Op for Branch {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, _: &[&Shape]) -> Result<Shape> {
        Ok(self.shape.clone())
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.width()],
            initial: Initial::Ones,
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        }]
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: true, ..Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let numbers = [io.rows, io.inputs[0].width, io.parameters.ranges[0].start];
        let storage = [io.inputs[0].buffer, io.parameters.all, io.output.buffer];
        self.record(recorder, numbers, storage, [false, false])
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let numbers = [io.rows, io.inputs[0].width, io.parameters.ranges[0].start];
        let storage = [io.inputs[0].buffer, io.grad_output, io.parameters.gradients];
        self.record(recorder, numbers, storage, [true, io.accumulate])
    }
}

impl<R: Real> Cpu<R> for Branch {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (width, weight) = (self.width(), io.parameters.get(0));
        let rows = io.inputs[0].chunks_exact(io.inputs[0].len() / io.rows);
        for (x, y) in rows.zip(io.output.chunks_exact_mut(width)) {
            let x = x[self.start..].iter();
            let factors = x.zip(weight).map(|(&x, &w)| R::new(FACTOR) * x * w);
            y.iter_mut().zip(factors).for_each(|(y, value)| *y = value);
        }
        Ok(())
    }

    fn backward(&self, mut io: Backward<R>) -> Result<()> {
        let gradient = io.grad_parameters.get(0);
        if !io.accumulate {
            gradient.fill(R::ZERO);
        }
        let rows = io.inputs[0].chunks_exact(io.inputs[0].len() / io.rows);
        for (x, dy) in rows.zip(io.grad_output.chunks_exact(self.width())) {
            let terms = x[self.start..].iter().zip(dy).map(|(&x, &dy)| R::new(FACTOR) * x * dy);
            gradient.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        Ok(())
    }
}
