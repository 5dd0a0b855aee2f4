//! Rows of ids of different lengths: attention without the padding, and the mean of the rest.

use super::*;
use crate::nn::layers::{MaskedMean, SelfAttention};
use crate::nn::ops::token_embedding::TokenEmbedding;
use crate::nn::ops::token_types::TokenTypes;

/// Ids below 2, so that most rows end in padding, and all numbers of a small BERT.
fn padded(width: usize) -> Graph {
    let mut graph = Graph::new(vec![5]);
    let x = graph.add("words", TokenEmbedding::new(2, width), &[Value(0)]).unwrap();
    let x = graph.add("types", TokenTypes { types: 2 }, &[x]).unwrap();
    let mut builder = Builder::new(&mut graph, "self", Default::default());
    let attention = SelfAttention::new(2).separate("query", "key", "value").padding(0);
    let y = builder.layer("attention", &attention, x).unwrap();
    let sum = builder.op_at("sum", SUM, &[y, x]).unwrap();
    builder.layer("mean", &MaskedMean::new(0), sum).unwrap();
    graph
}

#[test]
fn gradients_of_padded_rows_are_those_of_central_differences_on_each_device() {
    // Numbers one by one, and in vectors.
    for width in [6, 8] {
        let case = Case::new(padded(width));
        let lengths: Vec<usize> = case
            .ids
            .chunks(5)
            .map(|ids| ids.iter().rposition(|&id| id != 0).map_or(0, |place| place + 1))
            .collect();
        assert!(lengths.iter().any(|&length| length < 5) && lengths.iter().any(|&l| l > 1));
        let expected = case.on_cpu::<f64>(&case.graph, ROWS, true);
        for place in (0..case.parameters.len()).filter(|&place| case.is_parameter(place)) {
            let h = 1e-6;
            let at = |step: f64| {
                let mut moved = case.parameters.clone();
                moved[place] += step;
                case.loss(moved)
            };
            let difference = (at(h) - at(-h)) / (2.0 * h);
            // As for shared parameters.
            let error = (expected.gradients[place] - difference).abs();
            assert!(error <= 1e-7, "{place}: {} {difference}", expected.gradients[place]);
        }
        let own = case.on_cpu::<f64>(&case.graph, ROWS, false);
        assert_eq!(case.difference(&own, &expected), 0.0);
        let found = case.difference(&case.on_cpu::<f32>(&case.graph, ROWS, true), &expected);
        assert!(found <= 4e-6, "{found}");
        crate::runtime::device::test_adapter::needs_gpu!();
        for shares in [true, false] {
            let found = case.on_gpu(&device(), &case.graph, ROWS, shares);
            let found = case.difference(&found, &expected);
            assert!(found <= 4e-6, "{found}");
        }
    }
}

#[test]
fn the_gradient_of_types_that_no_token_has_is_0() {
    let graph = padded(6);
    let types = graph.parameter("types.weight").map(|parameter| graph.range(parameter)).unwrap();
    let case = Case::new(graph);
    let gradients = case.on_cpu::<f64>(&case.graph, ROWS, true).gradients;
    assert!(gradients[types.start..types.start + 6].iter().all(|&g| g != 0.0));
    assert_eq!(gradients[types.start + 6..types.end], [0.0; 6]);
}
