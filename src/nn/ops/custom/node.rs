//! An op from outside the crate as a node. Everything around its functions is made here: memory,
//! dispatches, and the checks of what it returns.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    MOST_INPUTS, Op, ParameterSpec, Parameters, Penalties, Saves, Shape,
};
use crate::nn::ops::custom::{CustomOp, OpKernels, OpParameter, OpPass};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::File;
use crate::{Error, Result};

/// Parameters of an op at most: their places are one vector of the uniform.
const MOST_PARAMETERS: usize = 4;

pub(crate) static ENTRY: Entry = Entry { name: "custom", examples, programs: Vec::new };

/// A [`CustomOp`] as a node.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub op: Arc<dyn CustomOp>,
}

/// The uniform of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    elements: u32,
    target_offset: u32,
    accumulate: u32,
    parameters: [u32; MOST_PARAMETERS],
    parameter_lengths: [u32; MOST_PARAMETERS],
    input_lengths: [u32; MOST_INPUTS],
    output_length: u32,
    unused: [u32; 3],
}

/// A dispatch: the function that it calls, and where its results go.
struct Launch<'a> {
    function: &'a str,
    text: &'static str,
    inputs: &'a [Slice<'a>],
    upstream: Option<&'a wgpu::Buffer>,
    parameters: &'a wgpu::Buffer,
    target: &'a wgpu::Buffer,
    params: Params,
}

/// The kernel around the functions of an op.
fn header(inputs: usize, has_upstream: bool, function: &str) -> String {
    let mut text = String::from(
        "struct Params {
    rows: u32,
    elements: u32,
    target_offset: u32,
    accumulate: u32,
    parameters: vec4<u32>,
    parameter_lengths: vec4<u32>,
    input_lengths: vec4<u32>,
    output_length: u32,
}
override WORKGROUP: u32 = 64u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> all_parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;
fn rows() -> u32 { return params.rows; }
fn output_length() -> u32 { return params.output_length; }
",
    );
    let mut binding = 3;
    let mut accessor = |name: &str| {
        let _ = writeln!(
            text,
            "@group(0) @binding({binding}) var<storage, read> of_{name}: array<f32>;\n\
             fn {name}(i: u32) -> f32 {{ return of_{name}[i]; }}"
        );
        binding += 1;
    };
    (0..inputs).for_each(|number| accessor(&format!("input{number}")));
    if has_upstream {
        accessor("grad_output");
    }
    for number in 0..MOST_PARAMETERS {
        let _ = writeln!(
            text,
            "fn parameter{number}(i: u32) -> f32 {{ return all_parameters[params.parameters[{number}] + i]; }}\n\
             fn parameter{number}_length() -> u32 {{ return params.parameter_lengths[{number}]; }}"
        );
    }
    for number in 0..MOST_INPUTS {
        let _ = writeln!(
            text,
            "fn input{number}_length() -> u32 {{ return params.input_lengths[{number}]; }}"
        );
    }
    let _ = writeln!(
        text,
        "@compute @workgroup_size(WORKGROUP)
fn custom_op(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {{
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.elements {{
        return;
    }}
    let before = select(0.0, results[params.target_offset + i], params.accumulate != 0u);
    results[params.target_offset + i] = before + {function}(i);
}}"
    );
    text
}

impl Custom {
    fn refused(&self, what: &str, found: String, allowed: String) -> Error {
        let operation = format!("{} (custom), {what}", self.op.name());
        Error::Shape { operation, found, allowed }
    }

    /// Rejects a result of another length.
    fn check(&self, what: &str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(self.refused(what, format!("{found} numbers"), expected.to_string()))
    }

    fn kernels(&self) -> Result<OpKernels> {
        self.op.kernels().ok_or_else(|| Error::Input {
            operation: self.op.name().into(),
            name: "the op".into(),
            found: "has no kernels".into(),
            allowed: "the devices `cpu` and `reference`; or an implementation of \
                      `CustomOp::kernels`"
                .into(),
        })
    }

    fn launch(&self, recorder: &mut Recorder, launch: &Launch) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let Launch { function, text, inputs, upstream, parameters, target, params } = launch;
        let program = Program {
            label: format!("{}, {function}", self.op.name()),
            header: header(inputs.len(), upstream.is_some(), function),
            files: vec![File::new("an op of your own", text)],
            constants: vec![("WORKGROUP", lanes.into())],
        };
        let kernel = gpu.kernel(&program)?;
        let mut storage: Vec<Slice> = vec![(*parameters).into(), (*target).into()];
        storage.extend(inputs.iter().copied());
        storage.extend(upstream.map(Slice::from));
        recorder.dispatch(&kernel, params, &storage, params.elements.div_ceil(lanes))
    }
}

/// Numbers in f64.
fn widened<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

/// Calls `work` with a pass in f64.
fn with_pass<R: Real, T>(
    rows: usize,
    inputs: &[&[R]],
    parameters: &Parameters<R>,
    work: impl FnOnce(&OpPass) -> T,
) -> T {
    let inputs: Vec<Vec<f64>> = inputs.iter().map(|input| widened(input)).collect();
    let all = parameters.ranges.iter().map(|range| widened(&parameters.all[range.clone()]));
    let parameters: Vec<Vec<f64>> = all.collect();
    work(&OpPass {
        rows,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        parameters: parameters.iter().map(Vec::as_slice).collect(),
    })
}

impl Op for Custom {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|shape| shape.as_slice()).collect();
        if !(1..=MOST_INPUTS).contains(&inputs.len()) {
            let allowed = format!("one to {MOST_INPUTS}");
            return Err(self.refused("inputs", format!("inputs of shapes {inputs:?}"), allowed));
        }
        let output = self.op.output(&shapes)?;
        if output.contains(&0) {
            let allowed = "a shape without an axis of length 0".to_string();
            return Err(self.refused("the output", format!("{output:?}"), allowed));
        }
        let count = self.op.parameters(&shapes).len();
        if count > MOST_PARAMETERS {
            let allowed = format!("up to {MOST_PARAMETERS}");
            return Err(self.refused("parameters", count.to_string(), allowed));
        }
        Ok(output)
    }

    fn parameters(&self, inputs: &[&Shape]) -> Vec<ParameterSpec> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|shape| shape.as_slice()).collect();
        let spec = |parameter: OpParameter| ParameterSpec {
            name: parameter.name,
            shape: parameter.shape,
            initial: parameter.initial,
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        };
        self.op.parameters(&shapes).into_iter().map(spec).collect()
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: true, ..Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let inputs: Vec<Slice> = io.inputs.iter().map(|input| input.buffer.into()).collect();
        let widths: Vec<usize> = io.inputs.iter().map(|input| input.width).collect();
        let params = Params {
            elements: (io.rows * io.output.width) as u32,
            ..Params::new(io.rows, &widths, io.parameters.ranges, io.output.width)
        };
        let launch = Launch {
            function: "output_at",
            text: self.kernels()?.forward,
            inputs: &inputs,
            upstream: None,
            parameters: io.parameters.all,
            target: io.output.buffer,
            params,
        };
        self.launch(recorder, &launch)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let text = self.kernels()?.backward;
        let inputs: Vec<Slice> = io.inputs.iter().map(|input| input.buffer.into()).collect();
        let widths: Vec<usize> = io.inputs.iter().map(|input| input.width).collect();
        let common = Params::new(io.rows, &widths, io.parameters.ranges, io.output.width);
        let launch = |recorder: &mut Recorder, function: &str, target, params| {
            let (inputs, upstream) = (&inputs[..], Some(io.grad_output));
            let parameters = io.parameters.all;
            self.launch(
                recorder,
                &Launch { function, text, inputs, upstream, parameters, target, params },
            )
        };
        for (number, range) in io.parameters.ranges.iter().enumerate() {
            let params = Params {
                elements: range.len() as u32,
                target_offset: range.start as u32,
                accumulate: io.accumulate.into(),
                ..common
            };
            let function = format!("grad_parameter{number}_at");
            launch(recorder, &function, io.parameters.gradients, params)?;
        }
        for (number, (target, input)) in io.grad_inputs.iter().zip(io.inputs).enumerate() {
            let Some(target) = *target else { continue };
            let params = Params { elements: (io.rows * input.width) as u32, ..common };
            launch(recorder, &format!("grad_input{number}_at"), target, params)?;
        }
        Ok(())
    }
}

impl Params {
    fn new(rows: usize, inputs: &[usize], parameters: &[Range<usize>], output: usize) -> Self {
        /// The first numbers of a list, and zeros.
        fn four<const N: usize>(numbers: impl Iterator<Item = usize>) -> [u32; N] {
            let mut all = [0; N];
            all.iter_mut().zip(numbers).for_each(|(slot, number)| *slot = number as u32);
            all
        }
        Params {
            rows: rows as u32,
            parameters: four(parameters.iter().map(|range| range.start)),
            parameter_lengths: four(parameters.iter().map(Range::len)),
            input_lengths: four(inputs.iter().copied()),
            output_length: output as u32,
            ..Params::default()
        }
    }
}

impl<R: Real> Cpu<R> for Custom {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let found = with_pass(io.rows, io.inputs, &io.parameters, |pass| self.op.forward(pass));
        self.check("the output", found.len(), io.output.len())?;
        io.output.iter_mut().zip(found).for_each(|(slot, y)| *slot = R::new(y));
        Ok(())
    }

    fn backward(&self, mut io: Backward<R>) -> Result<()> {
        let upstream = widened(io.grad_output);
        let found =
            with_pass(io.rows, io.inputs, &io.parameters, |pass| self.op.backward(pass, &upstream));
        self.check("gradients of inputs", found.inputs.len(), io.inputs.len())?;
        let ranges = io.parameters.ranges;
        self.check("gradients of parameters", found.parameters.len(), ranges.len())?;
        for (number, (gradient, range)) in found.parameters.iter().zip(ranges).enumerate() {
            let what = format!("the gradient of parameter {number}");
            self.check(&what, gradient.len(), range.len())?;
            for (slot, &new) in io.grad_parameters.get(number).iter_mut().zip(gradient) {
                let before = if io.accumulate { slot.to_f64() } else { 0.0 };
                *slot = R::new(before + new);
            }
        }
        let inputs = io.grad_inputs.iter_mut().zip(found.inputs).zip(io.inputs);
        for (number, ((slots, gradient), input)) in inputs.enumerate() {
            self.check(&format!("the gradient of input {number}"), gradient.len(), input.len())?;
            if let Some(slots) = slots {
                slots.iter_mut().zip(gradient).for_each(|(slot, new)| *slot = R::new(new));
            }
        }
        Ok(())
    }
}

#[cfg(not(test))]
fn examples() -> Vec<Example> {
    Vec::new()
}

#[cfg(test)]
use tests::examples;

#[cfg(test)]
mod tests;
