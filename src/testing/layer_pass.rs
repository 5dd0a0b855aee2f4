//! A layer outside of a model: its output, its gradients, and the time it takes.

use std::fmt;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

use crate::criterion::inputs::{FloatElement, shape_error};
use crate::nn::graph::cpu;
use crate::nn::graph::cpu::CpuWalk;
use crate::nn::graph::fuse;
use crate::nn::graph::gpu;
use crate::nn::graph::nodes::{Graph, Parameter, Value};
use crate::nn::graph::op::{GradientKind, Noise, Precision};
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::nn::layers::{Builder, Layer};
use crate::runtime::device::{Device, Gpu};
use crate::runtime::kernel::Command;
use crate::runtime::recorder::{Recorder, UNIFORM_STRIDE};
use crate::{Error, Result};

/// The name of this operation in errors.
const NAME: &str = "a pass of a layer";

/// The path of the layer in its graph; names of parameters are what follows it.
const PATH: &str = "layer";

/// Seed of the initial parameters: that of [`Sequential`](crate::Sequential).
const SEED: u64 = 7;

/// Source of the random numbers of every pass, so that each drops the same elements.
const NOISE: Noise = [SEED as u32, 0, 0, 0];

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

    /// The number of nodes, and the most terms of a sum in one: the numbers of a batch of a node's
    /// widest input or output.
    pub(super) fn nodes_and_longest_sum(&self) -> [usize; 2] {
        let nodes = &self.graph.nodes;
        let values = (0..=nodes.len()).map(|value| self.graph.width(Value(value)));
        [nodes.len(), self.rows * values.max().unwrap_or(1)]
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

/// Gradients of a walk: of the graph's input, and the flat buffer of the parameters'.
struct Found {
    input: Vec<f64>,
    parameters: Vec<f64>,
}

/// A graph with its memory on a device. Numbers are rounded to its precision.
trait Engine {
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()>;
    fn forward(&mut self, x: &[f64]) -> Result<Vec<f64>>;
    fn backward(&mut self, upstream: &[f64]) -> Result<Found>;
    fn run(&mut self, times: usize) -> Result<Duration>;
    fn output(&mut self) -> Result<Vec<f64>>;
    fn gradients(&mut self) -> Result<Found>;
}

/// A whole pass. Tensors do not share memory: the input and the output outlive it.
fn request(in_place_forward: bool) -> Request {
    Request {
        scores: true,
        learns: true,
        chunked: false,
        in_place_forward,
        input_elsewhere: false,
        shares: false,
        input_gradient: true,
    }
}

/// In the precision `R`, in host memory.
struct OnCpu<R> {
    /// As the CPU engine of a model rewrites it.
    graph: Arc<Graph>,
    walk: CpuWalk<R>,
    parameters: Vec<R>,
    gradients: Vec<R>,
    statistics: Vec<R>,
    upstream: Vec<R>,
    /// Numbers of a batch of inputs and of outputs.
    sizes: [usize; 2],
}

fn real<R: Precision>(values: &[f64]) -> Vec<R> {
    values.iter().map(|&x| R::new(x)).collect()
}

fn wide<R: Precision>(values: &[R]) -> Vec<f64> {
    values.iter().map(|x| x.to_f64()).collect()
}

impl<R: Precision> OnCpu<R> {
    fn new(graph: &Graph, statistics: &[f64], rows: usize) -> Result<Self> {
        let graph = fuse::everywhere(graph)?;
        let mut walk = CpuWalk::default();
        walk.begin(&graph, request(false), BatchRows::whole(rows));
        Ok(OnCpu {
            walk,
            parameters: Vec::new(),
            gradients: vec![R::ZERO; graph.length],
            statistics: real(statistics),
            upstream: Vec::new(),
            sizes: [rows * graph.inputs(), rows * graph.outputs()],
            graph: Arc::new(graph),
        })
    }

    fn last(&self) -> usize {
        self.graph.nodes.len()
    }

    fn walk_forward(&mut self) -> Result<()> {
        let graph = &self.graph;
        let weights =
            cpu::Weights { all: &self.parameters, table: &[], ids: &[], noise: NOISE, place: 0 };
        self.walk.forward(graph, weights, &mut self.statistics, 0..graph.nodes.len())
    }

    fn walk_backward(&mut self) -> Result<()> {
        let graph = &self.graph;
        let weights =
            cpu::Weights { all: &self.parameters, table: &[], ids: &[], noise: NOISE, place: 0 };
        let nodes = 0..graph.nodes.len();
        self.walk.backward(graph, weights, &mut self.gradients, nodes, false)
    }

    fn place_upstream(&mut self) {
        let (last, [_, outputs]) = (self.last(), self.sizes);
        let upstream = take(&mut self.upstream);
        self.walk.tensor_mut(Tensor::Gradient(last), outputs).copy_from_slice(&upstream);
        self.upstream = upstream;
    }
}

impl<R: Precision> Engine for OnCpu<R> {
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.parameters = real(&parameters[..self.graph.length]);
        Ok(())
    }

    fn forward(&mut self, x: &[f64]) -> Result<Vec<f64>> {
        let place = self.walk.tensor_mut(Tensor::Value(0), x.len());
        place.iter_mut().zip(x).for_each(|(slot, &x)| *slot = R::new(x));
        self.walk_forward()?;
        self.output()
    }

    fn backward(&mut self, upstream: &[f64]) -> Result<Found> {
        self.upstream = real(upstream);
        self.place_upstream();
        self.walk_backward()?;
        self.gradients()
    }

    fn run(&mut self, times: usize) -> Result<Duration> {
        let mut time = Duration::ZERO;
        for _ in 0..times {
            self.place_upstream();
            let begun = Instant::now();
            self.walk_forward()?;
            self.walk_backward()?;
            time += begun.elapsed();
        }
        Ok(time)
    }

    fn output(&mut self) -> Result<Vec<f64>> {
        Ok(wide(self.walk.tensor(Tensor::Value(self.last()), self.sizes[1])))
    }

    fn gradients(&mut self) -> Result<Found> {
        let input = wide(self.walk.tensor(Tensor::Gradient(0), self.sizes[0]));
        Ok(Found { input, parameters: wide(&self.gradients) })
    }
}

/// Commands recorded once, and the buffers that they read and write.
struct OnGpu {
    gpu: Gpu,
    forward: Vec<Command>,
    /// With the copy of the upstream gradient at its beginning.
    backward: Vec<Command>,
    x: wgpu::Buffer,
    y: wgpu::Buffer,
    upstream: wgpu::Buffer,
    grad_x: wgpu::Buffer,
    parameters: wgpu::Buffer,
    gradients: wgpu::Buffer,
    /// Numbers of a batch of inputs and of outputs, and of the flat buffer.
    sizes: [usize; 3],
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

impl OnGpu {
    fn new(gpu: &Gpu, graph: &Graph, statistics: &[f64], rows: usize) -> Result<Self> {
        // As the GPU engine of a model rewrites it.
        let graph = fuse::epilogues(&fuse::everywhere(graph)?)?;
        let graph = fuse::derivatives(&graph, false)?;
        let sizes = [rows * graph.inputs(), rows * graph.outputs(), graph.length];
        let [_, outputs, length] = sizes;
        // Kernels may read a vector beyond the last parameter.
        let parameters = gpu.buffer("parameters of a layer", length + 4)?;
        let gradients = gpu.buffer("gradients of a layer", length.max(1))?;
        let statistics = narrow(statistics).into_iter().chain([0.0]).collect::<Vec<f32>>();
        let statistics = gpu.upload("running statistics of a layer", &statistics)?;
        let noise = noise(gpu)?;
        let upstream = gpu.buffer("an upstream gradient", outputs)?;
        let weights = gpu::Weights {
            all: &parameters,
            gradients: &gradients,
            table: None,
            statistics: &statistics,
            noise: &noise,
            place: None,
        };
        let mut recorder = Recorder::new(gpu);
        let batch = BatchRows::whole(rows);
        let walk = gpu::GpuWalk::new(&mut recorder, &graph, weights, request(true), batch)?;
        let last = graph.nodes.len();
        let tensor = |tensor: Tensor| walk.tensor(tensor).cloned();
        let [x, y] = [tensor(Tensor::Value(0))?, tensor(Tensor::Value(last))?];
        let [grad_x, grad_y] = [tensor(Tensor::Gradient(0))?, tensor(Tensor::Gradient(last))?];
        walk.forward(&mut recorder, 0..last)?;
        let forward = recorder.finish().commands;
        let mut recorder = Recorder::new(gpu);
        recorder.copy((&upstream, 0), (&grad_y, 0), outputs);
        walk.backward(&mut recorder, 0..last, false)?;
        let backward = recorder.finish().commands;
        let gpu = gpu.clone();
        Ok(OnGpu { gpu, forward, backward, x, y, upstream, grad_x, parameters, gradients, sizes })
    }

    fn write(&self, buffer: &wgpu::Buffer, values: &[f64]) {
        if !values.is_empty() {
            self.gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&narrow(values)));
        }
    }

    fn read(&self, buffer: &wgpu::Buffer, elements: usize) -> Result<Vec<f64>> {
        let found: Vec<f32> = pollster::block_on(self.gpu.download(buffer, 0, elements))?;
        Ok(found.into_iter().map(f64::from).collect())
    }
}

/// The uniform buffer of the random numbers.
fn noise(gpu: &Gpu) -> Result<wgpu::Buffer> {
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("random numbers of a layer"),
        size: UNIFORM_STRIDE,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.check("random numbers of a layer", UNIFORM_STRIDE)?;
    gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&NOISE));
    Ok(buffer)
}

impl Engine for OnGpu {
    fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.write(&self.parameters, &parameters[..self.sizes[2]]);
        self.gpu.check("parameters of a layer", 0)
    }

    fn forward(&mut self, x: &[f64]) -> Result<Vec<f64>> {
        self.write(&self.x, x);
        self.gpu.submit(&self.forward)?;
        self.output()
    }

    fn backward(&mut self, upstream: &[f64]) -> Result<Found> {
        self.write(&self.upstream, upstream);
        self.gpu.submit(&self.backward)?;
        self.gradients()
    }

    fn run(&mut self, times: usize) -> Result<Duration> {
        self.gpu.wait()?;
        let begun = Instant::now();
        for _ in 0..times {
            self.gpu.submit(self.forward.iter().chain(&self.backward))?;
        }
        self.gpu.wait()?;
        Ok(begun.elapsed())
    }

    fn output(&mut self) -> Result<Vec<f64>> {
        self.read(&self.y, self.sizes[1])
    }

    fn gradients(&mut self) -> Result<Found> {
        let input = self.read(&self.grad_x, self.sizes[0])?;
        Ok(Found { input, parameters: self.read(&self.gradients, self.sizes[2])? })
    }
}
