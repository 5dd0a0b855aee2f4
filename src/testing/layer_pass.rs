//! A layer outside of a model: its output, its gradients, and the time it takes.

use std::fmt;
use std::time::Duration;

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

use crate::criterion::inputs::{FloatElement, shape_error};
use crate::nn::graph::nodes::{Graph, Parameter, Value};
use crate::nn::graph::op::GradientKind;
use crate::nn::layers::{Builder, Layer};
use crate::runtime::device::Device;
use crate::testing::layer_engine::{Engine, OnCpu, OnGpu, SEED};
use crate::{Error, Result};

/// The name of this operation in errors.
const NAME: &str = "a pass of a layer";

/// The path of the layer in its graph; names of parameters are what follows it.
const PATH: &str = "layer";

/// A layer run forward and backward outside of a model: to test a layer of your own, to look at the
/// numbers of one, or to measure it.
///
/// The layer runs as in a training step (dropout drops, batch norm reads the batch and moves its
/// running statistics), in the kernels that a model runs it in. Memory is allocated once. Dropout
/// drops the same elements in each pass.
///
/// ```
/// use gradus::{Dense, Device, testing::LayerPass};
/// use ndarray::array;
///
/// let mut pass = LayerPass::new(&Dense::new(2), &[3], 1, &Device::cpu())?;
/// pass.set_parameter("weight", &array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
/// let y = pass.forward(&array![[1.0, 0.0, -1.0]])?;
/// assert_eq!(y, array![[-4.0, -4.0]].into_dyn());
///
/// let gradients = pass.backward(&array![[1.0, 0.5]])?;
/// assert_eq!(gradients.input, array![[2.0, 5.0, 8.0]].into_dyn());
/// let (name, of_weight) = &gradients.parameters[0];
/// assert_eq!(name, "weight");
/// assert_eq!(*of_weight, array![[1.0, 0.5], [0.0, 0.0], [-1.0, -0.5]].into_dyn());
///
/// println!("{:?} for a hundred passes", pass.run(100)?);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct LayerPass {
    graph: Graph,
    rows: usize,
    /// The flat buffer of the graph, as it was last written to the device.
    parameters: Vec<f64>,
    progress: Progress,
    engine: Box<dyn Engine>,
}

/// Gradients of Σ upstream · output.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGradients {
    /// For the layer's input, in its shape: [rows, …].
    pub input: ArrayD<f64>,
    /// For each parameter, by name and in its shape; in the order of [`LayerPass::parameters`].
    pub parameters: Vec<(String, ArrayD<f64>)>,
}

/// Passes that have run, in order: backward reads what forward leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    Forward,
    Backward,
}

impl LayerPass {
    /// A layer for batches of `rows` samples of shape `input` ([height, width, channels] of images,
    /// [tokens, width] of sequences, `[features]` of rows), with the initial parameters of a model.
    ///
    /// # Errors
    /// Those of the layer; [`Error::Shape`] for an axis of length 0 or more than 2³² − 1 numbers;
    /// [`Error::Option`] for no rows; [`Error::Input`] for a layer that reads ids, which have no
    /// gradient; device errors.
    pub fn new(layer: &dyn Layer, input: &[usize], rows: usize, device: &Device) -> Result<Self> {
        if rows == 0 {
            return Err(Error::option(NAME, "rows", rows, ">= 1"));
        }
        let elements = input.iter().try_fold(rows, |all, &axis| all.checked_mul(axis));
        if elements.is_none_or(|elements| elements == 0 || elements > u32::MAX as usize) {
            let found = format!("{rows} rows of shape {input:?}");
            return Err(shape_error(NAME, found, "axes of at least 1, up to 2³² − 1 numbers"));
        }
        let mut graph = Graph::new(input.to_vec());
        let x = graph.input();
        let y = layer.build(&mut Builder::new(&mut graph, PATH, Default::default()), x)?;
        graph.check_output(y)?;
        if graph.takes_ids() {
            return Err(Error::Input {
                operation: NAME.into(),
                name: "the layer".into(),
                found: format!("`{}` reads ids", layer.name()),
                allowed: "layers of numbers, whose input has a gradient".into(),
            });
        }
        let mut parameters = graph.initial_parameters(SEED);
        let statistics = parameters.split_off(graph.all_length());
        let mut engine: Box<dyn Engine> = match device {
            Device::Gpu(gpu) => Box::new(OnGpu::new(gpu, &graph, &statistics, rows)?),
            Device::Cpu => Box::new(OnCpu::<f32>::new(&graph, &statistics, rows)?),
            Device::Reference => Box::new(OnCpu::<f64>::new(&graph, &statistics, rows)?),
        };
        engine.set_parameters(&parameters)?;
        Ok(LayerPass { graph, rows, parameters, progress: Progress::Nothing, engine })
    }

    /// The shape of the input: [rows, …].
    pub fn input_shape(&self) -> Vec<usize> {
        with_rows(self.rows, self.graph.shape(self.graph.input()))
    }

    /// The shape of the output: [rows, …].
    pub fn output_shape(&self) -> Vec<usize> {
        with_rows(self.rows, self.graph.shape(self.graph.last()))
    }

    /// The parameters by name (`weight`; inside of a block `conv1.weight`), in the layer's order and
    /// shapes: [inputs, units] of a dense layer, [height, width, inputs, filters] of a convolution.
    pub fn parameters(&self) -> Vec<(String, ArrayD<f64>)> {
        self.named(&self.parameters)
    }

    /// Sets a parameter; f32 on a device other than the reference.
    ///
    /// # Errors
    /// [`Error::Input`] for a name that the layer does not have, [`Error::Shape`] for another shape;
    /// device errors.
    pub fn set_parameter<S: Data<Elem: FloatElement>, D: Dimension>(
        &mut self,
        name: &str,
        values: &ArrayBase<S, D>,
    ) -> Result<()> {
        let Some(parameter) = self.graph.parameter(&format!("{PATH}.{name}")) else {
            let names: Vec<String> = self.parameters().into_iter().map(|(name, _)| name).collect();
            return Err(Error::Input {
                operation: NAME.into(),
                name: name.into(),
                found: "is no parameter of the layer".into(),
                allowed: if names.is_empty() { "it has none".into() } else { names.join(", ") },
            });
        };
        expect(name, values.shape(), &parameter.shape)?;
        let range = self.graph.range(parameter);
        self.parameters[range].iter_mut().zip(values).for_each(|(slot, &x)| *slot = x.into());
        self.engine.set_parameters(&self.parameters)
    }

    /// The output for `x`, [rows, …] both.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape than [`LayerPass::input_shape`]; errors of the layer and of
    /// the device.
    pub fn forward<S: Data<Elem: FloatElement>, D: Dimension>(
        &mut self,
        x: &ArrayBase<S, D>,
    ) -> Result<ArrayD<f64>> {
        expect("x", x.shape(), &self.input_shape())?;
        let found = self.engine.forward(&flat(x))?;
        self.progress = self.progress.max(Progress::Forward);
        array(&self.output_shape(), found)
    }

    /// The gradients of Σ upstream · output, for the input of the last [`LayerPass::forward`];
    /// `upstream` has the shape of the output.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape than [`LayerPass::output_shape`], [`Error::Input`] before
    /// any forward; errors of the layer and of the device.
    pub fn backward<S: Data<Elem: FloatElement>, D: Dimension>(
        &mut self,
        upstream: &ArrayBase<S, D>,
    ) -> Result<LayerGradients> {
        self.must_have(Progress::Forward, "backward", "forward")?;
        expect("upstream", upstream.shape(), &self.output_shape())?;
        let found = self.engine.backward(&flat(upstream))?;
        self.progress = Progress::Backward;
        let input = array(&self.input_shape(), found.input)?;
        Ok(LayerGradients { input, parameters: self.named(&found.parameters) })
    }

    /// Runs forward and backward `times` times, for the last input and the last upstream gradient;
    /// the time of all.
    ///
    /// A backward may overwrite its upstream gradient, so that it is copied before each. On the CPU
    /// the clock stops meanwhile; on a GPU, where passes are queued and waited for at the end, the
    /// copy is part of the time.
    ///
    /// # Errors
    /// [`Error::Input`] before any backward; errors of the layer and of the device.
    pub fn run(&mut self, times: usize) -> Result<Duration> {
        self.must_have(Progress::Backward, "run", "forward and backward")?;
        self.engine.run(times)
    }

    /// Results of the last pass of [`LayerPass::run`]: the output and the gradients.
    ///
    /// # Errors
    /// [`Error::Input`] before any backward; device errors.
    pub fn last(&mut self) -> Result<(ArrayD<f64>, LayerGradients)> {
        self.must_have(Progress::Backward, "last", "forward and backward")?;
        let (output, found) = (self.engine.output()?, self.engine.gradients()?);
        let input = array(&self.input_shape(), found.input)?;
        let gradients = LayerGradients { input, parameters: self.named(&found.parameters) };
        Ok((array(&self.output_shape(), output)?, gradients))
    }

    /// For each node the most terms of a sum in it, forward or backward. A sum runs inside of a
    /// sample (a product, a row's norm, a window), over at most its numbers, or over the batch for one
    /// place of the last axis (a weight's gradient, a channel's mean).
    pub(super) fn longest_sums(&self) -> Vec<usize> {
        let longest = |value: Value| {
            let (shape, width) = (self.graph.shape(value), self.graph.width(value));
            let places = width / shape.last().copied().unwrap_or(1).max(1);
            width.max(self.rows * places)
        };
        let nodes = self.graph.nodes.iter().enumerate();
        let of_node = nodes.map(|(number, node)| {
            let values = node.inputs.iter().copied().chain([Value(number + 1)]);
            values.map(longest).max().unwrap_or(1)
        });
        of_node.collect()
    }

    fn must_have(&self, progress: Progress, asked: &str, first: &str) -> Result<()> {
        if self.progress >= progress {
            return Ok(());
        }
        Err(Error::Input {
            operation: NAME.into(),
            name: asked.into(),
            found: "has nothing to start from".into(),
            allowed: format!("{first} first"),
        })
    }

    /// The parts of a flat buffer that belong to parameters.
    fn named(&self, flat: &[f64]) -> Vec<(String, ArrayD<f64>)> {
        let parameters = self.graph.parameters.iter();
        // Tables with gradients by rows belong to models of ids.
        let dense = parameters.filter(|parameter| parameter.gradient == GradientKind::Dense);
        let part = |parameter: &Parameter| {
            let name = parameter.path.strip_prefix(PATH).unwrap_or(&parameter.path);
            let values = flat[self.graph.range(parameter)].to_vec();
            let values = ArrayD::from_shape_vec(IxDyn(&parameter.shape), values).ok()?;
            Some((name.trim_start_matches('.').to_string(), values))
        };
        dense.filter_map(part).collect()
    }
}

impl fmt::Debug for LayerPass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("LayerPass")
            .field("input", &self.input_shape())
            .field("output", &self.output_shape())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

fn with_rows(rows: usize, shape: &[usize]) -> Vec<usize> {
    [&[rows], shape].concat()
}

fn flat<S: Data<Elem: FloatElement>, D: Dimension>(values: &ArrayBase<S, D>) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

fn array(shape: &[usize], values: Vec<f64>) -> Result<ArrayD<f64>> {
    let found = format!("{} numbers", values.len());
    ArrayD::from_shape_vec(IxDyn(shape), values)
        .map_err(|_| shape_error(NAME, found, &format!("an array of shape {shape:?}")))
}

fn expect(name: &str, found: &[usize], allowed: &[usize]) -> Result<()> {
    if found == allowed {
        return Ok(());
    }
    Err(shape_error(NAME, format!("{name} of shape {found:?}"), &format!("{allowed:?}")))
}
