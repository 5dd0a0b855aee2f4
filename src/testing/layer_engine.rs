//! The graph of a single layer with its memory on a device, walked forward and backward.

use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::nn::graph::cpu;
use crate::nn::graph::cpu::CpuWalk;
use crate::nn::graph::fuse;
use crate::nn::graph::gpu;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::{Noise, Precision};
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::recorder::{Recorder, UNIFORM_STRIDE};

/// Seed of the initial parameters: that of [`Sequential`](crate::Sequential).
pub(super) const SEED: u64 = 7;

/// Source of the random numbers of every pass, so that each drops the same elements.
const NOISE: Noise = [SEED as u32, 0, 0, 0];

/// Gradients of a walk: of the graph's input, and the flat buffer of the parameters'.
pub(super) struct Found {
    pub input: Vec<f64>,
    pub parameters: Vec<f64>,
}

/// A graph with its memory on a device. Numbers are rounded to its precision.
pub(super) trait Engine {
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
        evaluates: false,
    }
}

/// In the precision `R`, in host memory.
pub(super) struct OnCpu<R> {
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
    pub fn new(graph: &Graph, statistics: &[f64], rows: usize) -> Result<Self> {
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
        let weights = cpu::Weights {
            all: &self.parameters,
            table: &[],
            ids: &[],
            noise: NOISE,
            place: 0,
            loss_scale: None,
        };
        self.walk.forward(graph, weights, &mut self.statistics, 0..graph.nodes.len())
    }

    fn walk_backward(&mut self) -> Result<()> {
        let graph = &self.graph;
        let weights = cpu::Weights {
            all: &self.parameters,
            table: &[],
            ids: &[],
            noise: NOISE,
            place: 0,
            loss_scale: None,
        };
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
pub(super) struct OnGpu {
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
    pub fn new(gpu: &Gpu, graph: &Graph, statistics: &[f64], rows: usize) -> Result<Self> {
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
            loss_scale: None,
        };
        let mut recorder = Recorder::new(gpu);
        let batch = BatchRows::whole(rows);
        let walk = gpu::GpuWalk::new(
            &mut recorder,
            &graph,
            weights,
            request(true),
            batch,
            &gpu::Pool::default(),
        )?;
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
