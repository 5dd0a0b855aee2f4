//! Plans: work resolved once and run many times, with kernels selected, pipelines built and memory
//! bound.
//!
//! A call like [`Criterion::backward`] allocates its gradient each time, which costs more than a
//! loss does: a driver returns new memory zeroed. A plan reuses the same memory in every run.

use crate::criterion::{Criterion, DeviceEvaluation, TensorInputs};
use crate::nn::activations::Identity;
use crate::nn::ops::dense::kernels;
use crate::nn::ops::dense::kernels::{Forward, InputGradient};
use crate::nn::ops::matmul::Params;
use crate::runtime::device::{Device, Gpu};
use crate::runtime::kernel::Command;
use crate::runtime::recorder::Recorder;
use crate::runtime::tensor::{Storage, Tensor};
use crate::{Error, Result};

/// A reusable computation on GPU tensors; each run overwrites `result`. A clone writes to the same
/// memory. On the host there is nothing to resolve: use [`Criterion::evaluate_into`] and
/// [`crate::cpu`] there.
///
/// ```
/// use gradus::{Device, Plan, Tensor};
/// use ndarray::array;
///
/// # if let Ok(device) = Device::gpu() {
/// let left = Tensor::from_array(&device, array![[1.0_f32, 2.0, 3.0]].view().into_dyn())?;
/// let right = Tensor::from_array(&device, array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]].view().into_dyn())?;
/// let plan = Plan::matmul(&left, &right)?;
/// plan.run()?;
/// assert_eq!(plan.result.to_array()?, array![[22.0, 28.0]].into_dyn());
/// # }
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan<T> {
    gpu: Gpu,
    commands: Vec<Command>,
    /// Output of a run. Reading it waits for the previous runs.
    pub result: T,
}

/// The outputs of a dense layer's plan: [`Plan::dense`].
#[derive(Clone, Debug)]
pub struct DensePass {
    /// input · W + b
    pub output: Tensor,
    /// The gradient of W, and of b as its last row: [inputs + 1, units].
    pub parameters: Tensor,
    /// The gradient of the input.
    pub input: Tensor,
}

impl<T> Plan<T> {
    fn new(gpu: &Gpu, commands: Vec<Command>, result: T) -> Self {
        Plan { gpu: gpu.clone(), commands, result }
    }

    /// Submits the work without waiting for it: [`Device::synchronize`] waits.
    ///
    /// # Errors
    /// Device errors.
    pub fn run(&self) -> Result<()> {
        self.gpu.submit(&self.commands)
    }
}

impl Plan<DeviceEvaluation> {
    /// Value and gradient of a loss, as [`Criterion::backward`].
    ///
    /// # Errors
    /// As [`Criterion::backward`]; tensors on the host, for which use [`Criterion::evaluate`].
    pub fn loss(criterion: &Criterion, predictions: &Tensor, targets: &Tensor) -> Result<Self> {
        let (gpu, commands, evaluation) =
            criterion.resolve(&TensorInputs::new(predictions, targets))?;
        Ok(Plan::new(gpu, commands, evaluation))
    }

    /// Value and gradients of a loss with weights, masks and all other inputs, as
    /// [`Criterion::evaluate_tensors`].
    ///
    /// # Errors
    /// As [`Plan::loss`].
    pub fn evaluation(criterion: &Criterion, inputs: &TensorInputs) -> Result<Self> {
        let (gpu, commands, evaluation) = criterion.resolve(inputs)?;
        Ok(Plan::new(gpu, commands, evaluation))
    }
}

impl Plan<Tensor> {
    /// The product of two matrices: [m, k] · [k, n].
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that are not matrices of matching shapes; [`Error::Input`] for
    /// tensors on the host, for which use [`crate::cpu::matmul`]; device errors.
    pub fn matmul(left: &Tensor, right: &Tensor) -> Result<Self> {
        const NAME: &str = "matmul";
        let ([m, k], [n]) = (matrix(NAME, "left", left)?, [matrix(NAME, "right", right)?[1]]);
        expect(NAME, "right", right, [k, n])?;
        let (gpu, left) = on_gpu(NAME, "left", left, None)?;
        let (_, right) = on_gpu(NAME, "right", right, Some(&gpu))?;
        let output = gpu.buffer("a product", m * n)?;
        let dummy = gpu.unread_binding()?;
        let params = Params { m: axis(m)?, n: axis(n)?, k: axis(k)?, ..Params::default() };
        let commands = Recorder::commands_of(&gpu, |recorder| {
            let layer = Forward {
                half: None,
                activation: &Identity,
                bias: false,
                params,
                x: &left,
                parameters: &right,
                y: &output,
                sums: &dummy,
            };
            kernels::forward(recorder, &layer)
        })?;
        let result = result(&gpu, &[m, n], output);
        Ok(Plan::new(&gpu, commands, result))
    }
}

impl Plan<DensePass> {
    /// A dense layer without activation: its output, and from the gradient of that output those of
    /// W, b and the input.
    ///
    /// `input` is [batch, inputs]; `parameters` is W with b as its last row, [inputs + 1, units];
    /// `upstream` is [batch, units].
    ///
    /// # Errors
    /// As [`Plan::matmul`].
    pub fn dense(input: &Tensor, parameters: &Tensor, upstream: &Tensor) -> Result<Self> {
        const NAME: &str = "dense";
        let ([batch, inputs], [_, units]) =
            (matrix(NAME, "input", input)?, matrix(NAME, "upstream", upstream)?);
        expect(NAME, "parameters", parameters, [inputs + 1, units])?;
        expect(NAME, "upstream", upstream, [batch, units])?;
        let (gpu, x) = on_gpu(NAME, "input", input, None)?;
        let (_, weights) = on_gpu(NAME, "parameters", parameters, Some(&gpu))?;
        let (_, dy) = on_gpu(NAME, "upstream", upstream, Some(&gpu))?;
        let y = gpu.buffer("an output", batch * units)?;
        let below = gpu.buffer("a gradient", batch * inputs)?;
        let gradients = gpu.buffer("gradients", (inputs + 1) * units)?;
        let dummy = gpu.unread_binding()?;
        let [m, k, n] = [axis(batch)?, axis(inputs)?, axis(units)?];
        let params = Params { m, n, k, bias_offset: k * n, ..Params::default() };
        let commands = Recorder::commands_of(&gpu, |recorder| {
            let layer = Forward {
                half: None,
                activation: &Identity,
                bias: true,
                params,
                x: &x,
                parameters: &weights,
                y: &y,
                sums: &dummy,
            };
            kernels::forward(recorder, &layer)?;
            // A row of ones below the transposed input gives the gradient of b in the same product.
            let params = Params { m: k + 1, n, k: m, ones: 1, ..Params::default() };
            kernels::weight_gradient(recorder, &params, None, [&x, &dy, &gradients])?;
            let layer = InputGradient {
                half: None,
                activation: None,
                params: Params { m, n: k, k: n, ..Params::default() },
                grad_sums: &dy,
                parameters: &weights,
                grad_input: &below,
                sums_of_input: &dummy,
                x: &x,
            };
            kernels::input_gradient(recorder, &layer)
        })?;
        let pass = DensePass {
            output: result(&gpu, &[batch, units], y),
            parameters: result(&gpu, &[inputs + 1, units], gradients),
            input: result(&gpu, &[batch, inputs], below),
        };
        Ok(Plan::new(&gpu, commands, pass))
    }
}

fn result(gpu: &Gpu, shape: &[usize], buffer: wgpu::Buffer) -> Tensor {
    Tensor::new(&Device::Gpu(gpu.clone()), shape, Storage::Gpu(buffer))
}

/// The length of an axis as the kernels' u32.
fn axis(length: usize) -> Result<u32> {
    // One more for the row of ones.
    u32::try_from(length + 1).map(|_| length as u32).map_err(|_| Error::Shape {
        operation: "a plan".into(),
        found: format!("an axis of {length}"),
        allowed: "axes are shorter than 2^32 - 1".into(),
    })
}

/// The two lengths of a matrix, both nonzero.
fn matrix(operation: &str, name: &str, tensor: &Tensor) -> Result<[usize; 2]> {
    match *tensor.shape() {
        [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
        ref other => Err(Error::Shape {
            operation: operation.into(),
            found: format!("{name} is {other:?}"),
            allowed: format!("{name} must have two axes, neither of length 0"),
        }),
    }
}

fn expect(operation: &str, name: &str, tensor: &Tensor, shape: [usize; 2]) -> Result<()> {
    if tensor.shape() == shape {
        return Ok(());
    }
    Err(Error::Shape {
        operation: operation.into(),
        found: format!("{name} is {:?}", tensor.shape()),
        allowed: format!("{name} must be {shape:?}"),
    })
}

/// The GPU and the buffer of a tensor of numbers; on `gpu`, if given.
fn on_gpu(
    operation: &str,
    name: &str,
    tensor: &Tensor,
    wanted: Option<&Gpu>,
) -> Result<(Gpu, wgpu::Buffer)> {
    let refused = |found: String, allowed: &str| Error::Input {
        operation: operation.into(),
        name: name.into(),
        found,
        allowed: allowed.into(),
    };
    match (&tensor.storage, tensor.device()) {
        (Storage::Gpu(buffer), device @ Device::Gpu(gpu)) => match wanted {
            Some(wanted) if !device.is_same(&Device::Gpu(wanted.clone())) => Err(refused(
                format!("lives on another device ({})", device.name()),
                "all tensors of one GPU",
            )),
            _ => Ok((gpu.clone(), buffer.clone())),
        },
        (Storage::GpuLabels(_) | Storage::Labels(_), _) => {
            Err(refused("holds labels".into(), "numbers"))
        }
        (Storage::GpuHalf(_), _) => Err(refused("holds f16".into(), "f32")),
        (_, device) => {
            Err(refused(format!("lives on the host ({})", device.name()), "a tensor of a GPU"))
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayD, array};

    use super::*;
    use crate::losses::{CrossEntropy, Loss, Mse};

    fn gpu() -> Device {
        Device::Gpu(
            Gpu::open_with(crate::GpuOptions::default().checked(true))
                .expect("these tests need an adapter, a software one will do"),
        )
    }

    fn numbers(rows: usize, columns: usize, factor: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            factor * ((7 * i + 3 * j) % 11) as f32 - 1.0
        })
    }

    fn upload(device: &Device, values: &Array2<f32>) -> Tensor {
        Tensor::from_array(device, values.view().into_dyn()).unwrap()
    }

    #[test]
    fn a_dense_pass_gives_output_and_all_gradients() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = gpu();
        // Numbers of few bits: sums in any order are exact.
        let (x, parameters, upstream) =
            (numbers(5, 7, 0.5), numbers(8, 6, 0.25), numbers(5, 6, 1.0));
        let [input, weights, dy] =
            [&x, &parameters, &upstream].map(|values| upload(&device, values));
        let plan = Plan::dense(&input, &weights, &dy).unwrap();
        plan.run().unwrap();
        plan.run().unwrap();
        let (w, b) = (parameters.slice(ndarray::s![..7, ..]), parameters.row(7));
        let found = |tensor: &Tensor| -> ArrayD<f32> { tensor.to_array().unwrap() };
        assert_eq!(found(&plan.result.output), (x.dot(&w) + b).into_dyn());
        assert_eq!(found(&plan.result.input), upstream.dot(&w.t()).into_dyn());
        let mut gradients = Array2::zeros((8, 6));
        gradients.slice_mut(ndarray::s![..7, ..]).assign(&x.t().dot(&upstream));
        gradients.row_mut(7).assign(&upstream.sum_axis(ndarray::Axis(0)));
        assert_eq!(found(&plan.result.parameters), gradients.into_dyn());
    }

    #[test]
    fn a_planned_loss_gives_the_bits_of_backward_in_every_run() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = gpu();
        let (p, t) = (numbers(9, 13, 0.3), numbers(9, 13, 0.7));
        let criterion = Mse::new().on(&device).unwrap();
        let (p, t) = (upload(&device, &p), upload(&device, &t));
        let once = criterion.backward(&p, &t).unwrap();
        let plan = Plan::loss(&criterion, &p, &t).unwrap();
        for _ in 0..3 {
            plan.run().unwrap();
            assert_eq!(plan.result.value().unwrap(), once.value().unwrap());
            assert_eq!(plan.result.gradient.to_array().unwrap(), once.gradient.to_array().unwrap());
        }
    }

    #[test]
    fn a_planned_loss_over_labels_reports_a_label_that_is_no_class() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = gpu();
        let logits = upload(&device, &numbers(2, 3, 0.5));
        let labels = Tensor::from_labels(&device, &[1, 3]).unwrap();
        let plan = Plan::loss(&CrossEntropy::new().on(&device).unwrap(), &logits, &labels).unwrap();
        plan.run().unwrap();
        let error = plan.result.value().unwrap_err().to_string();
        assert!(error.contains("row 1"), "{error}");
    }

    #[test]
    fn invalid_operands_of_a_plan_are_refused_by_name() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = gpu();
        let (square, flat) =
            (upload(&device, &numbers(2, 2, 1.0)), upload(&device, &numbers(1, 3, 1.0)));
        let host = upload(&Device::cpu(), &numbers(2, 2, 1.0));
        let labels = Tensor::from_labels(&device, &[0, 1]).unwrap();
        let message = |left, right| Plan::matmul(left, right).unwrap_err().to_string();
        assert!(message(&square, &flat).contains("right is [1, 3]"), "{}", message(&square, &flat));
        assert!(
            message(&square, &host).contains("right lives on the host"),
            "{}",
            message(&square, &host)
        );
        assert!(message(&labels, &square).contains("left is [2]"), "{}", message(&labels, &square));
        let empty =
            Tensor::from_array(&device, Array2::<f32>::zeros((2, 0)).view().into_dyn()).unwrap();
        assert!(
            message(&empty, &square).contains("neither of length 0"),
            "{}",
            message(&empty, &square)
        );
        let criterion = Mse::new().on(&Device::cpu()).unwrap();
        let error = Plan::loss(&criterion, &host, &host).unwrap_err().to_string();
        assert!(error.contains("host"), "{error}");
        let other = upload(&gpu(), &array![[1.0, 2.0], [3.0, 4.0]]);
        assert!(
            message(&square, &other).contains("another device"),
            "{}",
            message(&square, &other)
        );
    }
}
