//! An op from outside the crate: what it says of itself. [`node`] runs it in a graph.

pub(crate) mod node;

use std::fmt::Debug;

use crate::Result;
use crate::nn::graph::op::{Initial, Shape};

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
