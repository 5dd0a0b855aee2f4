//! An op from outside the crate: its shape rule and both passes on the CPU, and if it has one, its
//! WGSL. Everything around them is made here: memory, gradients of values that are used twice,
//! dispatches, and the checks of what the op returns.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, MOST_INPUTS, Op, ParameterSpec, Parameters, Penalties, Saves, Shape,
};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::File;
use crate::{Error, Result};

/// Parameters of an op at most: their places are one vector of the uniform.
const MOST_PARAMETERS: usize = 4;

pub(crate) static ENTRY: Entry = Entry { name: "custom", examples, programs: Vec::new };

/// An op of your own: a function of values with its derivatives, for layers that the ops of the
/// crate cannot express. [`Builder::custom`](crate::layers::Builder::custom) adds it to a model.
///
/// It needs both passes on the CPU, in f64: `reference` runs them as they are, `cpu` rounds their
/// results to f32. With [`CustomOp::kernels`] it runs on a GPU too; without, a GPU refuses the model.
/// [`testing::check_layer`](crate::testing::check_layer) compares the gradients with central
/// differences, and the kernels with the CPU.
///
/// ```
/// use gradus::layers::{CustomOp, OpGradients, OpKernels, OpParameter, OpPass, closure};
/// use gradus::{Device, Result, Sequential, testing::check_layer};
///
/// /// y = x e^g, with a learned g for each number of a row.
/// #[derive(Debug)]
/// struct ExpGain;
///
/// impl CustomOp for ExpGain {
///     fn name(&self) -> &str {
///         "exp_gain"
///     }
///
///     fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
///         Ok(inputs[0].to_vec())
///     }
///
///     fn parameters(&self, inputs: &[&[usize]]) -> Vec<OpParameter> {
///         vec![OpParameter::constant("gain", inputs[0], 0.1)]
///     }
///
///     fn forward(&self, pass: &OpPass) -> Vec<f64> {
///         let (x, g) = (pass.inputs[0], pass.parameters[0]);
///         x.iter().zip(g.iter().cycle()).map(|(x, g)| x * g.exp()).collect()
///     }
///
///     fn backward(&self, pass: &OpPass, grad_output: &[f64]) -> OpGradients {
///         let (x, g) = (pass.inputs[0], pass.parameters[0]);
///         let mut of_gain = vec![0.0; g.len()];
///         let mut of_x = Vec::new();
///         for (i, (x, dy)) in x.iter().zip(grad_output).enumerate() {
///             let factor = g[i % g.len()].exp();
///             of_x.push(dy * factor);
///             of_gain[i % g.len()] += dy * x * factor;
///         }
///         OpGradients { inputs: vec![of_x], parameters: vec![of_gain] }
///     }
///
///     fn kernels(&self) -> Option<OpKernels> {
///         // A thread computes one number. The sum over the rows is a loop.
///         Some(OpKernels {
///             forward: "fn output_at(i: u32) -> f32 {
///                 return input0(i) * exp(parameter0(i % parameter0_length()));
///             }",
///             backward: "fn grad_input0_at(i: u32) -> f32 {
///                 return grad_output(i) * exp(parameter0(i % parameter0_length()));
///             }
///             fn grad_parameter0_at(i: u32) -> f32 {
///                 var sum = 0.0;
///                 for (var row = 0u; row < rows(); row++) {
///                     let at = row * output_length() + i;
///                     sum += grad_output(at) * input0(at);
///                 }
///                 return sum * exp(parameter0(i));
///             }",
///         })
///     }
/// }
///
/// let layer = closure(|builder, x| builder.custom(ExpGain, &[x]));
/// assert!(check_layer(&layer, &[5], &Device::auto())?.passed);
/// let model = Sequential::new(5).named("gain", layer).on(&Device::cpu())?;
/// assert_eq!(model.named_parameters()?[0].0, "gain.gain");
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait CustomOp: Debug + Send + Sync + 'static {
    /// Its name in errors.
    fn name(&self) -> &str;

    /// The shape of the output for inputs of these shapes, without the batch axis.
    ///
    /// # Errors
    /// Shapes that the op does not take.
    fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>>;

    /// Its parameters, up to four (default: none). They are trained, saved and loaded as all others.
    fn parameters(&self, _inputs: &[&[usize]]) -> Vec<OpParameter> {
        Vec::new()
    }

    /// The output of all rows: rows × numbers of its shape.
    fn forward(&self, pass: &OpPass) -> Vec<f64>;

    /// The gradients of the inputs and of the parameters, summed over the rows, from that of the
    /// output.
    fn backward(&self, pass: &OpPass, grad_output: &[f64]) -> OpGradients;

    /// The WGSL of both passes (default: none).
    fn kernels(&self) -> Option<OpKernels> {
        None
    }
}

/// A parameter of a [`CustomOp`].
#[derive(Clone, Debug)]
pub struct OpParameter {
    name: &'static str,
    shape: Shape,
    initial: Initial,
}

impl OpParameter {
    /// A parameter whose numbers are all `value` at the beginning. Its path is that of the layer and
    /// this name.
    pub fn constant(name: &'static str, shape: &[usize], value: f64) -> Self {
        OpParameter { name, shape: shape.to_vec(), initial: Initial::Constant(value) }
    }

    /// A parameter whose numbers are drawn from N(0, deviation²).
    pub fn normal(name: &'static str, shape: &[usize], deviation: f64) -> Self {
        OpParameter { name, shape: shape.to_vec(), initial: Initial::Normal(deviation) }
    }
}

/// What a pass of a [`CustomOp`] on the CPU reads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpPass<'a> {
    /// Rows of the batch.
    pub rows: usize,
    /// Each input: rows × numbers of its shape, row-major.
    pub inputs: Vec<&'a [f64]>,
    /// Each parameter, row-major.
    pub parameters: Vec<&'a [f64]>,
}

/// The gradients that a [`CustomOp`] returns, each as long as what it belongs to.
#[derive(Clone, Debug, Default)]
pub struct OpGradients {
    /// Of each input.
    pub inputs: Vec<Vec<f64>>,
    /// Of each parameter, summed over the rows.
    pub parameters: Vec<Vec<f64>>,
}

/// The WGSL of a [`CustomOp`]: functions of the index of the number that a thread computes. No two
/// threads write the same number, so no result depends on their order.
///
/// They may call `input0(i)`, `input1(i)` …, `parameter0(i)` … and in backward `grad_output(i)`, all of
/// f32 by flat index as on the CPU; and `rows()`, `input0_length()`, `output_length()`, the numbers of
/// a row, and `parameter0_length()`. wgpu's checks of bounds and loops are on. On software adapters a
/// loop of more than 65,535 turns is cut by the driver without a word.
#[derive(Clone, Copy, Debug)]
pub struct OpKernels {
    /// `fn output_at(i: u32) -> f32`, and what it calls.
    pub forward: &'static str,
    /// `fn grad_input0_at(i: u32) -> f32` for each input, `fn grad_parameter0_at(i: u32) -> f32` for
    /// each parameter, and what they call.
    pub backward: &'static str,
}

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
mod tests {
    use super::*;

    /// y = a b g of two inputs, with a g for each number of a row.
    #[derive(Debug)]
    struct Product;

    impl CustomOp for Product {
        fn name(&self) -> &str {
            "product"
        }

        fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
            match inputs {
                [a, b] if a == b => Ok(a.to_vec()),
                _ => Err(Error::Shape {
                    operation: "product (custom)".into(),
                    found: format!("inputs of shapes {inputs:?}"),
                    allowed: "two of one shape".into(),
                }),
            }
        }

        fn parameters(&self, inputs: &[&[usize]]) -> Vec<OpParameter> {
            vec![OpParameter::normal("gain", inputs[0], 0.5)]
        }

        fn forward(&self, pass: &OpPass) -> Vec<f64> {
            let pairs = pass.inputs[0].iter().zip(pass.inputs[1]);
            pairs.zip(pass.parameters[0].iter().cycle()).map(|((a, b), g)| a * b * g).collect()
        }

        fn backward(&self, pass: &OpPass, grad_output: &[f64]) -> OpGradients {
            let (a, b, g) = (pass.inputs[0], pass.inputs[1], pass.parameters[0]);
            let at = |i: usize| g[i % g.len()] * grad_output[i];
            let mut gain = vec![0.0; g.len()];
            (0..a.len()).for_each(|i| gain[i % g.len()] += grad_output[i] * a[i] * b[i]);
            let inputs = [b, a].map(|other| (0..a.len()).map(|i| at(i) * other[i]).collect());
            OpGradients { inputs: inputs.into(), parameters: vec![gain] }
        }

        fn kernels(&self) -> Option<OpKernels> {
            Some(OpKernels {
                forward: "fn output_at(i: u32) -> f32 {
    return input0(i) * input1(i) * parameter0(i % parameter0_length());
}",
                backward: "fn scaled(i: u32) -> f32 {
    return grad_output(i) * parameter0(i % parameter0_length());
}
fn grad_input0_at(i: u32) -> f32 { return scaled(i) * input1(i); }
fn grad_input1_at(i: u32) -> f32 { return scaled(i) * input0(i); }
fn grad_parameter0_at(i: u32) -> f32 {
    var sum = 0.0;
    for (var row = 0u; row < rows(); row++) {
        let at = row * output_length() + i;
        sum += grad_output(at) * input0(at) * input1(at);
    }
    return sum;
}",
            })
        }
    }

    /// An op that returns too little, and has no kernels.
    #[derive(Debug)]
    struct Short;

    impl CustomOp for Short {
        fn name(&self) -> &str {
            "short"
        }

        fn output(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
            Ok(inputs[0].to_vec())
        }

        fn forward(&self, pass: &OpPass) -> Vec<f64> {
            pass.inputs[0][1..].to_vec()
        }

        fn backward(&self, _: &OpPass, _: &[f64]) -> OpGradients {
            OpGradients::default()
        }
    }

    #[test]
    fn what_an_op_must_not_return_is_named() {
        use crate::layers::closure;
        use crate::{Device, Sequential};
        let layer = || closure(|builder, x| builder.custom(Short, &[x]));
        let network = || Sequential::new(3).then(layer());
        let x = ndarray::Array2::<f32>::zeros((2, 3));
        let message = network().on(&Device::cpu()).unwrap().predict(&x).unwrap_err().to_string();
        assert!(message.contains("short") && message.contains("5 numbers; 6"), "{message}");
        crate::runtime::device::test_adapter::needs_gpu!();
        let gpu = Device::gpu().unwrap();
        let message = network().on(&gpu).unwrap().predict(&x).unwrap_err().to_string();
        assert!(message.contains("short") && message.contains("kernels"), "{message}");
    }

    pub(super) fn examples() -> Vec<Example> {
        let example = |shape: &[usize]| Example {
            op: Box::new(Custom { op: Arc::new(Product) }),
            inputs: vec![shape.to_vec(); 2],
        };
        vec![example(&[5]), example(&[3, 2])]
    }
}
