//! Every op of the list inside a graph: central differences, a value used twice, each device
//! against the reference; and fused against unfused, shared memory against separate memory.

mod branch;
mod mixed;
mod scale;
mod sequences;
mod shared;

use std::sync::Arc;

use crate::cpu::random::Random;
use crate::nn::activations::activation::Activation;
use crate::nn::activations::{Gelu, Relu, Tanh};
use crate::nn::graph::cpu::{CpuWalk, Weights};
use crate::nn::graph::fuse;
use crate::nn::graph::gpu;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::{Example, MOST_INPUTS, Noise, Precision, Shape};
use crate::nn::graph::plan::{BatchRows, Plan, Request, Tensor};
use crate::nn::graph::tests::branch::Branch;
use crate::nn::graph::tests::scale::Scale;
use crate::nn::layers::{Builder, Dense, Layer};
use crate::nn::loss_scale::LossScale;
use crate::nn::ops;
use crate::nn::ops::OPS;
use crate::nn::ops::add::Add;
use crate::nn::ops::flatten::Flatten;
use crate::runtime::device::Gpu;
use crate::runtime::recorder::{Recorder, UNIFORM_STRIDE};

const ROWS: usize = 6;

/// The random numbers of every walk.
const NOISE: Noise = [7, 0, 3, 64];

const SUM: Add = Add { relu: false };

/// The inputs of a walk.
struct Case {
    graph: Graph,
    x: Vec<f64>,
    ids: Vec<i32>,
    parameters: Vec<f64>,
    /// dL/dy of the graph's output.
    upstream: Vec<f64>,
    /// False for passes that predict.
    learns: bool,
    /// In mixed precision.
    loss_scale: Option<f64>,
}

/// Results of a walk: the output and the gradients of all parameters (for a table, the sum over the
/// positions of each of its rows).
#[derive(Debug, PartialEq)]
struct Found {
    output: Vec<f64>,
    gradients: Vec<f64>,
}

fn drawn(count: usize, stream: u64) -> Vec<f64> {
    let mut random = Random::new(11, stream);
    // Rounded to f32, so that all devices begin with the same numbers.
    (0..count).map(|_| f64::from((2.0 * random.uniform() - 1.0) as f32)).collect()
}

impl Case {
    fn new(graph: Graph) -> Case {
        let rows_of_table = graph.ids_below().unwrap_or(1);
        let ids = drawn(ROWS * graph.inputs(), 1)
            .into_iter()
            .map(|x| ((x + 1.0) / 2.0 * rows_of_table as f64) as i32);
        let (x, ids) = (drawn(ROWS * graph.inputs(), 2), ids.collect());
        let (parameters, upstream) =
            (drawn(graph.all_length(), 3), drawn(ROWS * graph.outputs(), 4));
        Case { x, ids, parameters, upstream, graph, learns: true, loss_scale: None }
    }

    /// The running statistics at the beginning.
    fn statistics(&self) -> Vec<f64> {
        let of = self.graph.statistics.iter();
        of.flat_map(|statistic| statistic.range.clone().map(|_| statistic.initial)).collect()
    }

    /// The uniform buffer of the random numbers.
    fn noise(&self, device: &Gpu) -> wgpu::Buffer {
        let buffer = device.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("random numbers"),
            size: UNIFORM_STRIDE,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        device.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&NOISE));
        buffer
    }

    fn request(&self, chunked: bool, shares: bool, is_gpu: bool) -> Request {
        let input_elsewhere = !is_gpu && self.graph.takes_ids();
        Request {
            scores: true,
            learns: self.learns,
            chunked,
            in_place_forward: is_gpu,
            input_elsewhere,
            shares,
            input_gradient: false,
            evaluates: false,
        }
    }

    /// The gradients of all parameters from those of the flat buffer and of the table's output.
    fn all_gradients(&self, mut flat: Vec<f64>, of_output: &[f64]) -> Vec<f64> {
        flat.resize(self.graph.all_length(), 0.0);
        let Some(table) = self.graph.embedding() else { return flat };
        for (id, gradient) in self.ids.iter().zip(of_output.chunks_exact(table.width)) {
            let row = self.graph.length + *id as usize * table.width;
            flat[row..row + table.width].iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        flat
    }

    fn on_cpu<R: Precision>(&self, graph: &Graph, chunk: usize, shares: bool) -> Found {
        let real = |values: &[f64]| values.iter().map(|&x| R::new(x)).collect::<Vec<R>>();
        let (all, mut walk) = (real(&self.parameters), CpuWalk::<R>::default());
        let (own, table) = all.split_at(graph.length);
        let (ids, loss_scale) = (&self.ids[..], self.loss_scale);
        let weights = Weights { all: own, table, ids, noise: NOISE, place: 0, loss_scale };
        let mut statistics = real(&self.statistics());
        let (last, request) = (graph.nodes.len(), self.request(chunk < ROWS, shares, false));
        walk.begin(graph, request, BatchRows { rows: ROWS, chunk });
        walk.fill_with_nan();
        let x = walk
            .tensor_mut(Tensor::Value(0), if request.input_elsewhere { 0 } else { self.x.len() });
        x.iter_mut().zip(real(&self.x)).for_each(|(slot, x)| *slot = x);
        let ahead = last - usize::from(chunk < ROWS);
        walk.forward(graph, weights, &mut statistics, 0..ahead).unwrap();
        let (width, mut output) = (graph.outputs(), Vec::new());
        let mut gradients = vec![R::new(f64::NAN); graph.length];
        for first in (0..ROWS).step_by(chunk) {
            let rows = first..ROWS.min(first + chunk);
            if chunk < ROWS {
                walk.forward_rows(graph, weights, &mut statistics, ahead, rows.clone()).unwrap();
            }
            let found = walk.tensor(Tensor::Value(last), rows.len() * width);
            output.extend(found.iter().map(|y| y.to_f64()));
            let upstream = real(&self.upstream[rows.start * width..rows.end * width]);
            walk.tensor_mut(Tensor::Gradient(last), upstream.len()).copy_from_slice(&upstream);
            if chunk < ROWS {
                walk.backward_rows(graph, weights, &mut gradients, ahead, rows, first > 0).unwrap();
            }
        }
        walk.backward(graph, weights, &mut gradients, 0..ahead, false).unwrap();
        let of_output = graph.table().map_or_else(Vec::new, |(node, table)| {
            walk.tensor(Tensor::Gradient(node + 1), ROWS * table.outputs())
                .iter()
                .map(|g| g.to_f64())
                .collect()
        });
        Found {
            output,
            gradients: self
                .all_gradients(gradients.iter().map(|g| g.to_f64()).collect(), &of_output),
        }
    }

    fn on_gpu(&self, device: &Gpu, graph: &Graph, chunk: usize, shares: bool) -> Found {
        let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (own, table) = self.parameters.split_at(graph.length);
        let nan = |length: usize| device.upload("NaN", &vec![f32::NAN; length.max(1)]).unwrap();
        let (all, gradients) =
            (device.upload("parameters", &[single(own), vec![0.0; 4]].concat()), nan(graph.length));
        let (all, table_rows) =
            (all.unwrap(), device.upload("a table", &[single(table), vec![0.0]].concat()).unwrap());
        let statistics =
            device.upload("statistics", &[single(&self.statistics()), vec![0.0]].concat());
        let (statistics, noise) = (statistics.unwrap(), self.noise(device));
        let factor = self.loss_scale.unwrap_or(1.0);
        let scale = LossScale { factor, finite_steps: 0 };
        let loss_scale = device.upload("a loss scale", &scale.words()).unwrap();
        let weights = gpu::Weights {
            all: &all,
            gradients: &gradients,
            table: Some(&table_rows),
            statistics: &statistics,
            noise: &noise,
            place: None,
            loss_scale: self.loss_scale.map(|_| &loss_scale),
        };
        let (last, request) = (graph.nodes.len(), self.request(chunk < ROWS, shares, true));
        let mut recorder = Recorder::new(device);
        let walk = gpu::GpuWalk::new(
            &mut recorder,
            graph,
            weights,
            request,
            BatchRows { rows: ROWS, chunk },
            &gpu::Pool::default(),
        )
        .unwrap();
        for slot in walk.slots() {
            device.queue().write_buffer(
                slot,
                0,
                bytemuck::cast_slice(&vec![f32::NAN; slot.size() as usize / 4]),
            );
        }
        let input = walk.tensor(Tensor::Value(0)).unwrap();
        match graph.takes_ids() {
            true => device.queue().write_buffer(input, 0, bytemuck::cast_slice(&self.ids)),
            false => device.queue().write_buffer(input, 0, bytemuck::cast_slice(&single(&self.x))),
        }
        let ahead = last - usize::from(chunk < ROWS);
        walk.forward(&mut recorder, 0..ahead).unwrap();
        let upstream = device.upload("a gradient", &single(&self.upstream)).unwrap();
        let (width, output) = (graph.outputs(), nan(ROWS * graph.outputs()));
        for first in (0..ROWS).step_by(chunk) {
            let rows = first..ROWS.min(first + chunk);
            let [y, dy] = [Tensor::Value(last), Tensor::Gradient(last)]
                .map(|tensor| walk.tensor(tensor).unwrap());
            if chunk < ROWS {
                walk.forward_rows(&mut recorder, ahead, rows.clone()).unwrap();
            }
            recorder.copy((y, 0), (&output, first * width), rows.len() * width);
            recorder.copy((&upstream, first * width), (dy, 0), rows.len() * width);
            if chunk < ROWS {
                walk.backward_rows(&mut recorder, ahead, rows, first > 0).unwrap();
            }
        }
        walk.backward(&mut recorder, 0..ahead, false).unwrap();
        device.submit(&recorder.finish().commands).unwrap();
        let read = |buffer: &wgpu::Buffer, length: usize| -> Vec<f64> {
            let found: Vec<f32> = pollster::block_on(device.download(buffer, 0, length)).unwrap();
            found.into_iter().map(f64::from).collect()
        };
        let of_output = graph.table().map_or_else(Vec::new, |(node, table)| {
            read(walk.tensor(Tensor::Gradient(node + 1)).unwrap(), ROWS * table.outputs())
        });
        let flat = if graph.length > 0 { read(&gradients, graph.length) } else { Vec::new() };
        Found {
            output: read(&output, ROWS * width),
            gradients: self.all_gradients(flat, &of_output),
        }
    }

    /// Σ upstream · output.
    fn loss(&self, parameters: Vec<f64>) -> f64 {
        let moved = Case {
            graph: self.graph.clone(),
            x: self.x.clone(),
            ids: self.ids.clone(),
            parameters,
            upstream: self.upstream.clone(),
            learns: self.learns,
            loss_scale: self.loss_scale,
        };
        let found = moved.on_cpu::<f64>(&self.graph, ROWS, true);
        found.output.iter().zip(&self.upstream).map(|(y, g)| y * g).sum()
    }

    /// True if an element of the flat buffer belongs to a parameter and not to a gap.
    fn is_parameter(&self, place: usize) -> bool {
        self.graph.parameters.iter().any(|parameter| self.graph.range(parameter).contains(&place))
    }

    /// The largest difference over output and gradients, relative to the size of the expected
    /// values.
    fn difference(&self, found: &Found, expected: &Found) -> f64 {
        assert_eq!(
            (found.output.len(), found.gradients.len()),
            (expected.output.len(), expected.gradients.len())
        );
        let gradients = found.gradients.iter().zip(&expected.gradients).enumerate();
        let gradients =
            gradients.filter(|(place, _)| self.is_parameter(*place)).map(|(_, pair)| pair);
        let pairs = found.output.iter().zip(&expected.output).chain(gradients);
        pairs
            .map(|(f, e)| (f - e).abs() / e.abs().max(1.0))
            .fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
    }
}

/// Examples of each op: those of the list and of this module.
fn examples() -> Vec<Example> {
    let entries = OPS.iter().copied().chain([&scale::ENTRY]);
    entries.flat_map(|entry| (entry.examples)()).collect()
}

/// An op with each of its inputs made by a branch of the graph's input and a scale, followed by a
/// scale, with its output used twice.
fn in_the_middle(example: Example) -> Graph {
    // Ids are not numbers and cannot be scaled.
    let mut graph;
    let inputs = if example.op.takes_ids().is_some() {
        graph = Graph::new(example.inputs[0].clone());
        vec![graph.input()]
    } else {
        let widths = example.inputs.iter().map(|shape| shape.iter().product::<usize>());
        graph = Graph::new(vec![widths.sum()]);
        let mut start = 0;
        let mut branch = |(number, shape): (usize, &Shape)| {
            let op = Branch { start, shape: shape.clone() };
            start += shape.iter().product::<usize>();
            let x = graph.add(&format!("before.{number}"), op, &[Value(0)]).unwrap();
            graph.add(&format!("factor.{number}"), Scale(0.7), &[x]).unwrap()
        };
        example.inputs.iter().enumerate().map(&mut branch).collect()
    };
    let y = graph.add_boxed("op", example.op.into(), &inputs).unwrap();
    let z = graph.add("behind", Scale(-1.3), &[y]).unwrap();
    graph.add("twice", SUM, &[z, y]).unwrap();
    graph
}

/// A model of layers.
fn model(inputs: usize, layers: &[Dense]) -> Graph {
    model_of(vec![inputs], layers)
}

/// As [`model`], for inputs of any shape.
fn model_of(input: Shape, layers: &[Dense]) -> Graph {
    let mut graph = Graph::new(input);
    let build = |x: Value, (index, layer): (usize, &Dense)| {
        let path = format!("layers.{index}");
        layer.build(&mut Builder::new(&mut graph, &path, Default::default()), x).unwrap()
    };
    layers.iter().enumerate().fold(Value(0), build);
    graph
}

fn models() -> [Graph; 4] {
    [
        model(
            5,
            &[Dense::new(7).activation(Relu), Dense::new(4).activation(Gelu::new()), Dense::new(3)],
        ),
        model(
            4,
            &[
                Dense::new(6).activation(crate::activations::Softmax),
                Dense::new(3).activation(Tanh),
            ],
        ),
        model(
            3,
            &[
                Dense::new(8).activation(Gelu::new()).bias(false),
                Dense::new(8).activation(Tanh),
                Dense::new(5),
            ],
        ),
        model_of(
            vec![2, 4],
            &[
                Dense::new(8).activation(Gelu::new()),
                Dense::new(3).activation(crate::activations::Softmax),
                Dense::new(4).activation(Tanh),
                Dense::new(5),
            ],
        ),
    ]
}

fn device() -> Gpu {
    Gpu::open_with(crate::GpuOptions::default().checked(true))
        .expect("these tests need an adapter, a software one will do")
}

#[test]
fn the_gradients_of_every_op_in_a_graph_are_those_of_central_differences() {
    for example in examples() {
        let name = format!("{example:?}");
        let case = Case::new(in_the_middle(example));
        let found = case.on_cpu::<f64>(&case.graph, ROWS, true);
        for place in (0..case.parameters.len()).filter(|&place| case.is_parameter(place)) {
            let h = 1e-6;
            let at = |step: f64| {
                let mut moved = case.parameters.clone();
                moved[place] += step;
                case.loss(moved)
            };
            let expected = (at(h) - at(-h)) / (2.0 * h);
            // h² of a third derivative below about ten, and 2⁻⁵³/h of a loss of about ten.
            assert!(
                (found.gradients[place] - expected).abs() <= 1e-8,
                "{name}, {place}: {}, {expected}",
                found.gradients[place]
            );
        }
    }
}

#[test]
fn a_value_that_is_used_twice_has_the_sum_of_both_gradients() {
    let mut graph = Graph::new(vec![2]);
    let x = graph.add("before", ops::dense::Dense::new(2, false), &[graph.input()]).unwrap();
    let y = graph.add("factor", Scale(3.0), &[x]).unwrap();
    let z = graph.add("self", SUM, &[y, y]).unwrap();
    graph.add("last", SUM, &[z, x]).unwrap();
    let mut alone = Graph::new(vec![2]);
    let x = alone.add("before", ops::dense::Dense::new(2, false), &[alone.input()]).unwrap();
    alone.add("factor", Scale(7.0), &[x]).unwrap();
    // 2 · 3 + 1 times the layer's single contribution.
    let (twice, once) = (Case::new(graph), Case::new(alone));
    let expected = once.on_cpu::<f64>(&once.graph, ROWS, true);
    assert!(twice.difference(&twice.on_cpu::<f64>(&twice.graph, ROWS, true), &expected) <= 1e-15);
    crate::runtime::device::test_adapter::needs_gpu!();
    assert!(
        twice.difference(&twice.on_gpu(&device(), &twice.graph, ROWS, true), &expected) <= 1e-6
    );
}

#[test]
fn every_op_gives_on_each_device_what_the_reference_gives() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let device = device();
    let hardware = crate::GpuOptions::default().checked(true).hardware_variants(true);
    let hardware = Gpu::open_with(hardware).unwrap();
    for example in examples() {
        let name = format!("{example:?}");
        let case = Case::new(in_the_middle(example));
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        // Sums of some ten products of order one, rounded to 6e-8 each, and functions of error
        // 2e-7.
        let of_cpu = case.difference(&case.on_cpu::<f32>(&case.graph, ROWS, true), &expected);
        let of_gpu = case.difference(&case.on_gpu(&device, &case.graph, ROWS, true), &expected);
        assert!(of_cpu <= 4e-6 && of_gpu <= 4e-6, "{name}: {of_cpu}, {of_gpu}");
        // The kernels that hardware runs.
        let found = case.on_gpu(&hardware, &case.graph, ROWS, true);
        let of_hardware = case.difference(&found, &expected);
        assert!(of_hardware <= 4e-6, "{name}, hardware's kernels: {of_hardware}");
    }
}

#[test]
fn fused_epilogues_and_derivatives_give_what_the_ops_give_one_by_one() {
    for graph in models() {
        let case = Case::new(graph);
        let epilogues = fuse::epilogues(&case.graph).unwrap();
        let derivatives = fuse::derivatives(&epilogues, false).unwrap();
        assert!(epilogues.nodes.len() < case.graph.nodes.len(), "nothing was fused");
        let (exact, single) = (
            case.on_cpu::<f64>(&case.graph, ROWS, true),
            case.on_cpu::<f32>(&case.graph, ROWS, true),
        );
        for fused in [&epilogues, &derivatives] {
            // On the CPU the same operations in the same order: the same bits.
            assert_eq!(case.difference(&case.on_cpu::<f64>(fused, ROWS, true), &exact), 0.0);
            assert_eq!(case.difference(&case.on_cpu::<f32>(fused, ROWS, true), &single), 0.0);
        }
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = device();
        let unfused = case.on_gpu(&device, &case.graph, ROWS, true);
        for fused in [&epilogues, &derivatives] {
            let found = case.on_gpu(&device, fused, ROWS, true);
            // A compiler may fuse a product and a sum in one kernel but not across two.
            assert!(
                case.difference(&found, &unfused) <= 1e-6,
                "{}",
                case.difference(&found, &unfused)
            );
            assert!(case.difference(&found, &exact) <= 4e-6, "{}", case.difference(&found, &exact));
        }
    }
}

#[test]
fn derivatives_are_fused_only_where_nobody_else_reads_the_activation() {
    let mut graph = model(3, &[Dense::new(4).activation(Relu)]);
    let a = graph.last();
    let y = graph.add("next", ops::dense::Dense::new(4, true), &[a]).unwrap();
    graph.add("residual", SUM, &[y, a]).unwrap();
    let case = Case::new(graph);
    let fused = fuse::derivatives(&fuse::epilogues(&case.graph).unwrap(), false).unwrap();
    assert_eq!(fused.nodes.len(), case.graph.nodes.len() - 1);
    let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
    assert_eq!(case.difference(&case.on_cpu::<f64>(&fused, ROWS, true), &expected), 0.0);
    crate::runtime::device::test_adapter::needs_gpu!();
    assert!(case.difference(&case.on_gpu(&device(), &fused, ROWS, true), &expected) <= 4e-6);
}

#[test]
fn relu_behind_max_pooling_gives_the_bits_of_relu_before_it() {
    let mut graph = Graph::new(vec![4, 6, 2]);
    let convolution =
        ops::conv2d::Conv2d { padding: [1; 4], ..ops::conv2d::Conv2d::new([4, 6, 2], 3, [3, 3]) };
    let x = graph.add("convolution", convolution, &[Value(0)]).unwrap();
    let relu = ops::activation::Activate { activation: std::sync::Arc::new(Relu) };
    let y = graph.add("relu", relu.clone(), &[x]).unwrap();
    let pooling = ops::pool::max::MaxPool2d {
        input: [4, 6, 3],
        kernel: [3, 2],
        stride: [2, 2],
        padding: [1, 0],
        ceil_mode: false,
    };
    let pooled = graph.add("pooling", pooling, &[y]).unwrap();
    graph.add("scale", Scale(1.5), &[pooled]).unwrap();
    let case = Case::new(graph);
    let swapped = fuse::relu_behind_pooling(&case.graph).unwrap();
    let names: Vec<&str> = swapped.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(names, ["convolution", "pooling", "relu", "scale"]);
    let (double, single) =
        (case.on_cpu::<f64>(&case.graph, ROWS, true), case.on_cpu::<f32>(&case.graph, ROWS, true));
    assert!(double.output.contains(&0.0) && double.output.iter().any(|&y| y > 0.0));
    assert_eq!(case.difference(&case.on_cpu::<f64>(&swapped, ROWS, true), &double), 0.0);
    assert_eq!(case.difference(&case.on_cpu::<f32>(&swapped, ROWS, true), &single), 0.0);
    // A relu that is read twice stays where it is.
    let mut twice = Graph::new(vec![4, 6, 3]);
    let y = twice.add("relu", relu, &[Value(0)]).unwrap();
    twice.add("pooling", pooling, &[y]).unwrap();
    twice.add("again", Scale(1.0), &[y]).unwrap();
    assert_eq!(fuse::relu_behind_pooling(&twice).unwrap().nodes[0].path, "relu");
    crate::runtime::device::test_adapter::needs_gpu!();
    let device = device();
    let before = case.on_gpu(&device, &case.graph, ROWS, true);
    assert_eq!(case.difference(&case.on_gpu(&device, &swapped, ROWS, true), &before), 0.0);
}

#[test]
fn a_residual_sum_in_batch_norm_gives_the_bits_of_both_ops() {
    let norm = ops::batch_norm::BatchNorm::new(3);
    for relu in [false, true] {
        let mut graph = Graph::new(vec![4, 3]);
        let x = graph.add("scale", Scale(1.5), &[Value(0)]).unwrap();
        let a = graph.add("norm1", norm, &[x]).unwrap();
        let b = graph.add("norm2", norm, &[a]).unwrap();
        let y = graph.add("sum", ops::add::Add { relu }, &[a, b]).unwrap();
        graph.add("end", Scale(-0.5), &[y]).unwrap();
        let case = Case::new(graph);
        let fused = fuse::residual_norm(&case.graph).unwrap();
        // The first batch norm is read twice; the second one takes in the sum.
        let names: Vec<&str> = fused.nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(names, ["scale", "norm1", "norm2", "end"]);
        assert_eq!(fused.nodes[2].inputs, [Value(2), Value(2)]);
        let double = case.on_cpu::<f64>(&case.graph, ROWS, true);
        let single = case.on_cpu::<f32>(&case.graph, ROWS, true);
        assert_eq!(case.difference(&case.on_cpu::<f64>(&fused, ROWS, true), &double), 0.0);
        assert_eq!(case.difference(&case.on_cpu::<f32>(&fused, ROWS, true), &single), 0.0);
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = device();
        assert!(case.difference(&case.on_gpu(&device, &fused, ROWS, true), &double) <= 1e-5);
    }
}

#[test]
fn batch_norm_folded_into_a_convolution_predicts_what_both_ops_predict() {
    let padding = [1; 4];
    let convolution = |bias, groups| ops::conv2d::Conv2d {
        padding,
        bias,
        groups,
        ..ops::conv2d::Conv2d::new([4, 6, 4], 4, [3, 3])
    };
    let norm = ops::batch_norm::BatchNorm::new(4);
    for (bias, groups, affine) in
        [(true, 1, true), (false, 1, true), (true, 1, false), (false, 2, true)]
    {
        let mut graph = Graph::new(vec![4, 6, 4]);
        let x = graph.add("conv1", convolution(bias, groups), &[Value(0)]).unwrap();
        let relu = ops::batch_norm::BatchNorm { affine, relu: true, ..norm };
        let x = graph.add("norm1", relu, &[x]).unwrap();
        let y = graph.add("conv2", convolution(bias, groups), &[x]).unwrap();
        let residual = ops::batch_norm::BatchNorm { affine, relu: true, residual: true, ..norm };
        let y = graph.add("norm2", residual, &[y, x]).unwrap();
        graph.add("flat", Flatten, &[y]).unwrap();
        let case = Case { learns: false, ..Case::new(graph) };
        let folded = fuse::predicting(&case.graph).unwrap().expect("two norms to fold");
        assert!(
            folded
                .nodes
                .iter()
                .all(|node| !node.path.starts_with("norm") || node.ranges.is_empty())
        );
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true).output;
        let most = |found: &[f64]| {
            let pairs = found.iter().zip(&expected);
            pairs.map(|(found, exact)| (found - exact).abs()).fold(0.0, f64::max)
        };
        assert!(expected.iter().any(|y| *y > 0.1));
        // The same sums in another order; in f32 some eighty products of order one.
        assert!(most(&case.on_cpu::<f64>(&folded, ROWS, true).output) <= 1e-13);
        assert!(most(&case.on_cpu::<f32>(&folded, ROWS, true).output) <= 80.0 * 6e-8);
        crate::runtime::device::test_adapter::needs_gpu!();
        assert!(most(&case.on_gpu(&device(), &folded, ROWS, true).output) <= 80.0 * 6e-8);
    }
}

#[test]
fn a_convolution_that_is_read_beside_its_batch_norm_is_not_folded() {
    let mut graph = Graph::new(vec![4, 6, 4]);
    let convolution = ops::conv2d::Conv2d::new([4, 6, 4], 3, [3, 3]);
    let x = graph.add("conv", convolution, &[Value(0)]).unwrap();
    let y = graph.add("norm", ops::batch_norm::BatchNorm::new(3), &[x]).unwrap();
    graph.add("sum", Add { relu: true }, &[y, x]).unwrap();
    let fused = fuse::everywhere(&graph).unwrap();
    // The batch norm has taken in the sum: it reads the convolution twice.
    assert_eq!(fused.nodes[1].inputs, [Value(1), Value(1)]);
    assert!(fuse::predicting(&fused).unwrap().is_none());
    let case = Case { learns: false, ..Case::new(graph) };
    let expected = case.on_cpu::<f64>(&case.graph, ROWS, true).output;
    let found = case.on_cpu::<f64>(&fused, ROWS, true).output;
    assert!(expected.iter().any(|y| *y > 0.1));
    assert!(expected.iter().zip(&found).all(|(e, f)| (e - f).abs() <= 1e-13));
}

#[test]
fn an_activation_in_a_convolution_gives_what_both_ops_give() {
    for activation in [Arc::new(Relu) as Arc<dyn Activation>, Arc::new(Gelu::new())] {
        let mut graph = Graph::new(vec![4, 6, 2]);
        let convolution = ops::conv2d::Conv2d {
            padding: [1; 4],
            ..ops::conv2d::Conv2d::new([4, 6, 2], 3, [3, 3])
        };
        let x = graph.add("convolution", convolution, &[Value(0)]).unwrap();
        let y = graph.add("f", ops::activation::Activate { activation }, &[x]).unwrap();
        graph.add("scale", Scale(1.5), &[y]).unwrap();
        let case = Case::new(graph);
        let fused = fuse::epilogues(&case.graph).unwrap();
        assert_eq!(fused.nodes.len(), 2);
        let double = case.on_cpu::<f64>(&case.graph, ROWS, true);
        let single = case.on_cpu::<f32>(&case.graph, ROWS, true);
        assert_eq!(case.difference(&case.on_cpu::<f64>(&fused, ROWS, true), &double), 0.0);
        assert_eq!(case.difference(&case.on_cpu::<f32>(&fused, ROWS, true), &single), 0.0);
        crate::runtime::device::test_adapter::needs_gpu!();
        assert!(case.difference(&case.on_gpu(&device(), &fused, ROWS, true), &double) <= 4e-6);
    }
}

#[test]
fn a_head_in_chunks_gives_what_all_rows_at_once_give() {
    for graph in
        [model(4, &[Dense::new(5)]), models()[0].clone(), models()[2].clone(), models()[3].clone()]
    {
        let case = Case::new(graph);
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        let head = fuse::chunked_head(&case.graph).unwrap().expect("it ends in a dense layer");
        let fused = fuse::chunked_head(&fuse::epilogues(&case.graph).unwrap()).unwrap().unwrap();
        let fused = fuse::derivatives(&fused, true).unwrap();
        // A shorter last chunk, and one row at a time.
        for chunk in [4, 1] {
            // The bias is added before the product instead of after it.
            assert!(
                case.difference(&case.on_cpu::<f64>(&head, chunk, true), &expected) <= 1e-15 * 16.0
            );
            assert!(case.difference(&case.on_cpu::<f32>(&head, chunk, true), &expected) <= 4e-6);
        }
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = device();
        for chunk in [4, 1] {
            assert!(case.difference(&case.on_gpu(&device, &fused, chunk, true), &expected) <= 4e-6);
        }
    }
    assert!(fuse::chunked_head(&models()[1]).unwrap().is_none(), "it ends in an activation");
}

/// Memory is full of NaN before a walk, to expose reads of unwritten memory and premature
/// overwrites.
#[test]
fn tensors_that_share_memory_give_the_bits_of_tensors_that_do_not() {
    let of_examples = examples().into_iter().map(in_the_middle);
    for graph in models().into_iter().chain(of_examples) {
        let case = Case::new(graph);
        let own = case.on_cpu::<f64>(&case.graph, ROWS, false);
        assert_eq!(case.difference(&case.on_cpu::<f64>(&case.graph, ROWS, true), &own), 0.0);
        let elements = |shares: bool| {
            let plan = Plan::new(&case.graph, case.request(false, shares, true));
            plan.slots.iter().map(|slot| slot.elements(ROWS, ROWS)).sum::<usize>()
        };
        assert!(elements(true) < elements(false), "{} of {}", elements(true), elements(false));
        crate::runtime::device::test_adapter::needs_gpu!();
        let device = device();
        let fused = fuse::derivatives(&fuse::epilogues(&case.graph).unwrap(), false).unwrap();
        for graph in [&case.graph, &fused] {
            let (shared, own) =
                (case.on_gpu(&device, graph, ROWS, true), case.on_gpu(&device, graph, ROWS, false));
            assert_eq!(case.difference(&shared, &own), 0.0);
        }
    }
}

/// Softmax runs in place on a GPU, and the derivative of tanh reads the output of tanh.
#[test]
fn a_view_of_a_value_that_is_read_again_is_not_overwritten() {
    let graph = |reads_twice: bool, of_input: bool| {
        let mut graph = Graph::new(vec![5]);
        let mut x = graph.input();
        if !of_input {
            x = graph.add("before", ops::dense::Dense::new(5, true), &[x]).unwrap();
            let activation = ops::activation::Activate { activation: Arc::new(Tanh) };
            x = graph.add("activation", activation, &[x]).unwrap();
        }
        let view = graph.add("flatten", Flatten, &[x]).unwrap();
        let again = graph.add("flatten again", Flatten, &[view]).unwrap();
        let y = graph
            .add("softmax", ops::softmax::Softmax { width: graph.width(again) }, &[again])
            .unwrap();
        let y = graph.add("next", ops::dense::Dense::new(5, true), &[y]).unwrap();
        if reads_twice {
            graph.add("sum", SUM, &[y, x]).unwrap();
        }
        graph
    };
    for (reads_twice, of_input) in [(false, false), (true, false), (false, true), (true, true)] {
        let case = Case::new(graph(reads_twice, of_input));
        let plan = Plan::new(&case.graph, case.request(false, true, true));
        let first = case.graph.nodes.iter().position(|node| node.path == "flatten").unwrap();
        let slot = |value: usize| plan.slot(Tensor::Value(value));
        assert_eq!(slot(first + 1), slot(first));
        assert_eq!(slot(first + 2), slot(first));
        assert_ne!(slot(first + 3), slot(first));
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        for place in (0..case.parameters.len()).filter(|&place| case.is_parameter(place)) {
            let at = |step: f64| {
                let mut moved = case.parameters.clone();
                moved[place] += step;
                case.loss(moved)
            };
            let central = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((expected.gradients[place] - central).abs() <= 1e-8, "{place}: {central}");
        }
        crate::runtime::device::test_adapter::needs_gpu!();
        let found = case.on_gpu(&device(), &case.graph, ROWS, true);
        assert!(case.difference(&found, &expected) <= 4e-6);
    }
}

#[test]
fn parameters_have_paths_and_lie_where_vectors_may_be_read() {
    let graph = model(3, &[Dense::new(5).activation(Relu), Dense::new(2).bias(false)]);
    let paths: Vec<&str> =
        graph.parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    assert_eq!(paths, ["layers.0.weight", "layers.0.bias", "layers.1.weight"]);
    assert_eq!(
        graph.parameters.iter().map(|p| graph.range(p)).collect::<Vec<_>>(),
        [0..15, 15..20, 20..30]
    );
    assert_eq!((graph.length, graph.parameter_count()), (32, 30));
    let ends: Vec<_> =
        graph.spans.iter().map(|span| (span.end, span.columns, span.padding)).collect();
    assert_eq!(ends, [(15, 5, 0), (20, 0, 0), (30, 2, 0), (32, 0, 2)]);
    assert!(graph.as_dense_chain().is_some_and(|chain| chain.layers.len() == 2));
}

#[test]
fn unknown_values_and_wrong_shapes_are_refused_by_name() {
    let mut graph = Graph::new(vec![3]);
    let error = graph.add("sum", SUM, &[Value(0), Value(4)]).unwrap_err().to_string();
    assert!(error.contains("sum (add)") && error.contains("Value(4)"), "{error}");
    for entry in OPS.iter().filter(|entry| entry.name != "activation") {
        let op = (entry.examples)().remove(0).op;
        // No op has so many inputs. One of this shape is refused or understood.
        let too_many = op.output(&[&vec![2, 3]; MOST_INPUTS + 1]).expect_err(entry.name);
        for error in [Some(too_many), op.output(&[&vec![2, 3]]).err()].into_iter().flatten() {
            let error = error.to_string();
            assert!(error.contains(entry.name) && error.contains("[2, 3]"), "{error}");
        }
    }
    let x = graph.add("factor", Scale(2.0), &[Value(0)]).unwrap();
    graph.add("sum", SUM, &[x, Value(0)]).unwrap();
    assert!(graph.as_dense_chain().is_none());
}

#[test]
fn the_list_of_ops_is_in_order_and_every_entry_has_an_example() {
    assert!(OPS.is_sorted_by(|a, b| a.name < b.name));
    for entry in OPS {
        for example in (entry.examples)() {
            assert!(std::ptr::eq(example.op.entry(), *entry), "{}", entry.name);
        }
        assert!(!(entry.examples)().is_empty(), "{}", entry.name);
    }
}
