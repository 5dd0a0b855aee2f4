//! Parameters that several nodes share, and tables by ids.

use super::*;
use crate::nn::ops::positions::Positions;
use crate::nn::ops::prelu::Prelu;
use crate::nn::ops::tied_dense::TiedDense;
use crate::nn::ops::token_embedding::TokenEmbedding;

/// Ids, their rows, a dense layer, and logits by the same table.
fn tied() -> Graph {
    let mut graph = Graph::new(vec![4]);
    let x = graph.add("wte", TokenEmbedding::new(5, 3), &[Value(0)]).unwrap();
    let x = graph.add("wpe", Positions::new(), &[x]).unwrap();
    let x = graph.add("fc", ops::dense::Dense::new(3, true), &[x]).unwrap();
    graph.add_shared("lm_head", TiedDense { units: 5, width: 3 }, &[x], 0).unwrap();
    graph
}

/// Two nodes of each op that adds to a gradient by itself.
fn repeated() -> Graph {
    let mut graph = Graph::new(vec![2, 4]);
    let x = graph.add("first", ops::dense::Dense::new(4, true), &[Value(0)]).unwrap();
    let x = graph.add("positions", Positions::new(), &[x]).unwrap();
    let x = graph.add("prelu", Prelu { channels: 4, shared: false }, &[x]).unwrap();
    let x = graph.add("one", Prelu { channels: 4, shared: true }, &[x]).unwrap();
    let x = graph.add_shared("again", ops::dense::Dense::new(4, true), &[x], 0).unwrap();
    let x = graph.add_shared("positions.2", Positions::new(), &[x], 1).unwrap();
    let x = graph.add_shared("prelu.2", Prelu { channels: 4, shared: false }, &[x], 2).unwrap();
    graph.add_shared("one.2", Prelu { channels: 4, shared: true }, &[x], 3).unwrap();
    graph
}

#[test]
fn the_gradient_of_shared_parameters_is_the_sum_over_their_nodes() {
    for graph in [tied(), repeated()] {
        let case = Case::new(graph);
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        for place in (0..case.parameters.len()).filter(|&place| case.is_parameter(place)) {
            let h = 1e-6;
            let at = |step: f64| {
                let mut moved = case.parameters.clone();
                moved[place] += step;
                case.loss(moved)
            };
            let difference = (at(h) - at(-h)) / (2.0 * h);
            // As for each op, for losses of up to about a hundred.
            let error = (expected.gradients[place] - difference).abs();
            assert!(error <= 1e-7, "{place}: {} {difference}", expected.gradients[place]);
        }
        let own = case.on_cpu::<f64>(&case.graph, ROWS, false);
        assert_eq!(case.difference(&own, &expected), 0.0);
        let found = case.difference(&case.on_cpu::<f32>(&case.graph, ROWS, true), &expected);
        assert!(found <= 4e-6, "{found}");
        crate::runtime::device::test_adapter::needs_gpu!();
        let found = case.difference(&case.on_gpu(&device(), &case.graph, ROWS, true), &expected);
        assert!(found <= 4e-6, "{found}");
    }
}

#[test]
fn shared_parameters_count_once_and_must_have_the_shapes_of_the_op() {
    let graph = tied();
    assert_eq!(graph.parameter_count(), 5 * 3 + 4 * 3 + 3 * 3 + 3);
    assert_eq!((graph.ids_below(), graph.takes_ids()), (Some(5), true));
    assert_eq!(graph.nodes[3].ranges, graph.nodes[0].ranges);
    assert_eq!(graph.shape(graph.last()), &[4, 5]);
    let mut other = graph.clone();
    let wrong = TiedDense { units: 3, width: 5 };
    let error = other.add_shared("head", wrong, &[graph.last()], 0).unwrap_err().to_string();
    assert!(error.contains("wte") && error.contains("[[5, 3]]"), "{error}");
    assert!(error.contains("[[3, 5]]"), "{error}");
    assert!(other.add_shared("head", wrong, &[graph.last()], 99).is_err());
    let mut twice = Graph::new(vec![3]);
    let x = twice.add("first", ops::dense::Dense::new(3, true), &[Value(0)]).unwrap();
    assert!(twice.as_dense_chain().is_some());
    twice.add_shared("again", ops::dense::Dense::new(3, true), &[x], 0).unwrap();
    assert!(twice.as_dense_chain().is_none());
}

#[test]
fn tables_begin_with_normal_numbers_of_their_deviation() {
    let mut graph = Graph::new(vec![3]);
    graph.add("wte", TokenEmbedding::new(1000, 16), &[Value(0)]).unwrap();
    graph.add("prelu", Prelu { channels: 16, shared: false }, &[Value(1)]).unwrap();
    let all = graph.initial_parameters(7);
    let (table, weights) = all.split_at(16_000);
    let mean = table.iter().sum::<f64>() / 16_000.0;
    let variance = table.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 16_000.0;
    // Five standard deviations of the mean, σ/√n, and of σ, σ/√(2n).
    assert!(mean.abs() <= 8e-4 && (variance.sqrt() - 0.02).abs() <= 5.6e-4, "{mean} {variance}");
    assert_eq!(weights, [0.25; 16]);
    assert_ne!(graph.initial_parameters(8)[..16_000], *table);
}

/// Runs longer than the blocks of their sums, and more rows than a slab of a sum.
#[test]
fn sums_over_many_places_are_those_of_the_reference() {
    let mut graphs = Vec::new();
    for (vocabulary, width) in [(1, 4), (3, 3), (300, 4)] {
        let mut graph = Graph::new(vec![130]);
        let x = graph.add("wte", TokenEmbedding::new(vocabulary, width), &[Value(0)]).unwrap();
        graph.add("prelu", Prelu { channels: width, shared: width == 3 }, &[x]).unwrap();
        graphs.push(graph);
    }
    for graph in graphs {
        let case = Case::new(graph);
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        // Sums of up to 780 numbers of order one in any order: 2⁻²⁴ times the square root of their
        // count for each, relative to sums of order √780.
        let found = case.difference(&case.on_cpu::<f32>(&case.graph, ROWS, true), &expected);
        assert!(found <= 8e-6, "{found}");
        crate::runtime::device::test_adapter::needs_gpu!();
        let found = case.difference(&case.on_gpu(&device(), &case.graph, ROWS, true), &expected);
        assert!(found <= 8e-6, "{found}");
    }
}

#[test]
fn a_dense_layer_gives_at_each_position_the_bits_of_a_row() {
    let shaped = model_of(vec![2, 3, 4], &[Dense::new(8).activation(Gelu::new()), Dense::new(5)]);
    let rows = Case::new(model(4, &[Dense::new(8).activation(Gelu::new()), Dense::new(5)]));
    let shaped = Case { parameters: rows.parameters.clone(), ..Case::new(shaped) };
    assert!(shaped.graph.as_dense_chain().is_none());
    let found = shaped.on_cpu::<f64>(&shaped.graph, ROWS, true).output;
    // The first sample's six positions as the six rows.
    let rows = Case { x: shaped.x[..ROWS * 4].to_vec(), ..rows };
    assert_eq!(rows.on_cpu::<f64>(&rows.graph, ROWS, true).output, found[..ROWS * 5]);
}
