use std::sync::Arc;

use prost::Message;

use crate::nn::graph::nodes::Node;
use crate::nn::onnx::format::ModelProto;
use crate::nn::onnx::ops::write;
use crate::nn::onnx::step::Step;
use crate::nn::onnx::writer::{Tensors, Writer};
use crate::nn::ops::OPS;
use crate::{Device, Sequential, layers};

#[test]
fn every_op_of_the_list_but_those_from_outside_has_its_nodes() {
    let mut written = 0;
    for entry in OPS {
        for example in (entry.examples)() {
            let (inputs, op) = (example.inputs, Arc::from(example.op));
            let op: Arc<dyn crate::nn::graph::op::Op> = op;
            let shapes: Vec<_> = inputs.iter().collect();
            let output = op.output(&shapes).unwrap();
            let mut length = 0;
            let mut place = |count: usize| {
                length += count;
                length - count..length
            };
            let parameters = op.parameters(&shapes);
            let sizes = parameters.iter().map(|spec| spec.shape.iter().product());
            let ranges: Vec<_> = sizes.map(&mut place).collect();
            let statistics_at = ranges.last().map_or(0, |range| range.end);
            let statistics = op.statistics(&shapes);
            let statistics: Vec<_> = statistics
                .iter()
                .map(|statistic| place(statistic.length))
                .map(|range| range.start - statistics_at..range.end - statistics_at)
                .collect();
            let numbers = vec![0.5; length];
            let ranges_of_node = ranges.clone();
            let node = Node {
                path: "op".into(),
                op,
                inputs: Vec::new(),
                number: 0,
                ranges: ranges_of_node,
                statistics,
            };
            let step = Step {
                node: &node,
                output: &output,
                ranges: &ranges,
                numbers: &numbers,
                statistics: statistics_at,
            };
            let name = |(number, shape)| Tensors::last(shape, format!("input{number}"));
            let mut tensors: Vec<_> = inputs.iter().enumerate().map(name).collect();
            let mut writer = Writer::default();
            writer.path = "op".into();
            let found = write(&mut writer, &step, &mut tensors);
            if entry.name == "custom" {
                assert!(found.unwrap_err().to_string().contains("`op` is an op `custom`"));
                continue;
            }
            let found = found.unwrap_or_else(|error| panic!("{}: {error}", entry.name));
            assert_eq!(found.shape(), &output, "{}", entry.name);
            written += 1;
            // Each name is made once, and before it is read.
            let mut known: Vec<&str> = writer.initializers.iter().map(|c| &*c.name).collect();
            known.extend(
                (0..inputs.len()).map(|number| ["input0", "input1", "input2", "input3"][number]),
            );
            for made in &writer.nodes {
                for name in &made.input {
                    assert!(known.contains(&name.as_str()), "{}: {name}", entry.name);
                }
                for name in &made.output {
                    assert!(!known.contains(&name.as_str()), "{}: {name}", entry.name);
                    known.push(name);
                }
            }
        }
    }
    assert!(written >= OPS.len() - 1);
}

#[test]
fn a_table_that_layers_share_is_written_once() {
    let model = Sequential::tokens(6)
        .named("wte", layers::TokenEmbedding::new(9, 4))
        .named("head", layers::TiedDense::new("wte"))
        .on(&Device::reference())
        .unwrap();
    let bytes = model.to_onnx().unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let tables = graph.initializer.iter().filter(|constant| constant.dims == [9, 4]);
    assert_eq!(tables.count(), 1);
    let read: Vec<f32> = graph.initializer[0]
        .raw_data
        .as_ref()
        .unwrap()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let wanted = model.named_parameters().unwrap().swap_remove(0).1;
    assert!(read.iter().zip(&wanted).all(|(&read, &wanted)| f64::from(read) == wanted));
    assert_eq!(read.len(), wanted.len());
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let model = |seed| {
        Sequential::images([6, 5, 2])
            .seed(seed)
            .then(layers::Conv2d::new(4, 3))
            .then(layers::BatchNorm::new())
            .then(layers::Flatten::new())
            .then(crate::Dense::new(3))
            .on(&Device::cpu())
            .unwrap()
            .to_onnx()
            .unwrap()
    };
    assert_eq!(model(1), model(1));
    assert_ne!(model(1), model(2));
}
