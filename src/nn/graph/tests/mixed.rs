//! Mixed precision: each op with products gives what it gives of operands that were rounded before.

use std::any::Any;

use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::Example;
use crate::nn::graph::tests::{Case, Found, ROWS, device};
use crate::nn::ops::conv2d::Conv2d;
use crate::nn::ops::dense::Dense;
use crate::nn::ops::prelu::Prelu;
use crate::nn::ops::{conv2d, dense, tied_dense};

const SCALE: f64 = 1024.0;

fn rounded(x: &mut f64, scale: f64) {
    // All numbers are f32, which the crate rounds once.
    *x = half::f16::from_f32((*x * scale) as f32).to_f64() / scale;
}

/// Each example of an op with products behind a PReLU, whose gradient shows that of the op's input.
/// Without an activation, whose derivative would stand between the upstream gradient and the product.
fn products() -> Vec<(String, Graph)> {
    let examples =
        [&dense::ENTRY, &conv2d::ENTRY, &tied_dense::ENTRY].map(|entry| (entry.examples)());
    let is_plain = |example: &Example| {
        let op: &dyn Any = &*example.op;
        op.downcast_ref::<Dense>().is_none_or(|op| op.activation.is_none())
            && op.downcast_ref::<Conv2d>().is_none_or(|op| op.activation.is_none())
    };
    let graph = |example: Example| {
        let (name, mut graph) = (format!("{example:?}"), Graph::new(example.inputs[0].clone()));
        let channels = *example.inputs[0].last().unwrap();
        let before = Prelu { channels, shared: true };
        let x = graph.add("before", before, &[graph.input()]).unwrap();
        graph.add_boxed("op", example.op.into(), &[x]).unwrap();
        (name, graph)
    };
    examples.into_iter().flatten().filter(is_plain).map(graph).collect()
}

/// The gradients of parameters, without the gaps between them.
fn without_gaps(case: &Case, found: Found) -> Found {
    let all = found.gradients.into_iter().enumerate();
    let gradients = all.filter(|(place, _)| case.is_parameter(*place)).map(|(_, g)| g).collect();
    Found { gradients, ..found }
}

/// Results in mixed precision, and those in single precision of rounded operands. The op's input is
/// exact, so that what stands before it is the same.
fn both(graph: &Graph, run: impl Fn(&Case) -> Found) -> [Found; 2] {
    let case = || {
        let mut case = Case::new(graph.clone());
        case.x.iter_mut().for_each(|x| rounded(x, 1.0));
        case.parameters[case.graph.nodes[0].ranges[0].start] = 0.25;
        case
    };
    let mixed = Case { loss_scale: Some(SCALE), ..case() };
    let mut single = case();
    let weight = single.graph.nodes[1].ranges[0].clone();
    single.parameters[weight].iter_mut().for_each(|w| rounded(w, 1.0));
    single.upstream.iter_mut().for_each(|g| rounded(g, SCALE));
    assert!(single.parameters != mixed.parameters && single.upstream != mixed.upstream);
    let [mixed, single] = [mixed, single].map(|case| (run(&case), case));
    [mixed, single].map(|(found, case)| without_gaps(&case, found))
}

#[test]
fn operands_are_rounded_and_nothing_else() {
    for (name, graph) in products() {
        let [mixed, single] = both(&graph, |case| case.on_cpu::<f64>(&case.graph, ROWS, true));
        assert_eq!(mixed, single, "{name}, reference");
        let [mixed, single] = both(&graph, |case| case.on_cpu::<f32>(&case.graph, ROWS, true));
        assert_eq!(mixed, single, "{name}, cpu");
    }
}

#[test]
fn a_gpu_rounds_the_same_operands() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = device();
    for (name, graph) in products() {
        let [mixed, single] = both(&graph, |case| case.on_gpu(&gpu, &case.graph, ROWS, true));
        assert_eq!(mixed, single, "{name}");
    }
}

#[test]
fn an_input_is_rounded_too() {
    // 1 + 2^-12 is 1 in f16, and 3 + 2^-12 is 3.
    let mut graph = Graph::new(vec![2]);
    graph.add("op", Dense::new(1, true), &[graph.input()]).unwrap();
    let mut case = Case::new(graph);
    case.loss_scale = Some(SCALE);
    case.x = [1.0 + 2.0_f64.powi(-12), 3.0].repeat(ROWS);
    case.upstream = vec![1.0; ROWS];
    // The bias is no operand.
    let bias = 0.5 + 2.0_f64.powi(-20);
    case.parameters[..3].copy_from_slice(&[3.0 + 2.0_f64.powi(-12), 2.0, bias]);
    let check = |found: Found| {
        let found = without_gaps(&case, found);
        assert_eq!(found.output, vec![9.0 + bias; ROWS]);
        assert_eq!(found.gradients, [1.0, 3.0, 1.0].map(|g| g * ROWS as f64));
    };
    check(case.on_cpu::<f64>(&case.graph, ROWS, true));
    check(case.on_cpu::<f32>(&case.graph, ROWS, true));
    crate::runtime::device::test_adapter::needs_gpu!();
    check(case.on_gpu(&device(), &case.graph, ROWS, true));
}

#[test]
fn small_gradients_are_kept_and_large_ones_are_infinite() {
    let graph = || {
        let mut graph = Graph::new(vec![1]);
        graph.add("op", Dense::new(1, false), &[graph.input()]).unwrap();
        graph
    };
    let of = |upstream: f64, scale: f64| {
        let mut case = Case::new(graph());
        (case.x, case.upstream) = (vec![1.0; ROWS], vec![upstream; ROWS]);
        case.loss_scale = Some(scale);
        case
    };
    let tiny = 2.0_f64.powi(-30);
    let cases = [
        (of(tiny, 1.0), 0.0),
        (of(tiny, 65536.0), tiny * ROWS as f64),
        (of(1.0, 65536.0), f64::INFINITY),
        (of(1.0, 32768.0), ROWS as f64),
    ];
    let check = |found: Found, expected: f64| assert_eq!(found.gradients[0], expected);
    for (case, expected) in &cases {
        check(case.on_cpu::<f64>(&case.graph, ROWS, true), *expected);
        check(case.on_cpu::<f32>(&case.graph, ROWS, true), *expected);
    }
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = device();
    for (case, expected) in &cases {
        check(case.on_gpu(&gpu, &case.graph, ROWS, true), *expected);
    }
}
