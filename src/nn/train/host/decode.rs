//! Decoding on the CPU: passes over the next tokens of one sequence.

use crate::Result;
use crate::nn::graph::cpu::{CpuWalk, Weights};
use crate::nn::graph::decode::decoder;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::Precision;
use crate::nn::graph::plan::{BatchRows, Request, Tensor};

/// A sequence that is decoded.
#[derive(Debug)]
pub(super) struct Decoder<R> {
    /// What the ops keep of earlier tokens.
    cache: Vec<R>,
    /// The graph over one token, and its memory.
    graph: Graph,
    walk: CpuWalk<R>,
}

impl<R: Precision> Decoder<R> {
    /// `None` for a graph that cannot be decoded token by token.
    pub fn new(graph: &Graph) -> Result<Option<Self>> {
        let of_graph = |graph: Graph| {
            let cache = vec![R::ZERO; graph.statistic_length()];
            Decoder { cache, graph, walk: CpuWalk::default() }
        };
        Ok(decoder(graph, 1)?.map(of_graph))
    }

    /// The outputs of the last of some tokens, of which the first one stands at `place`, by the
    /// whole graph's parameters.
    pub fn decode(
        &mut self,
        whole: &Graph,
        parameters: &[R],
        ids: &[i32],
        place: usize,
    ) -> Result<Option<Vec<f64>>> {
        let Decoder { cache, graph, walk } = self;
        let weights =
            Weights { all: parameters, table: &[], ids, noise: [0; 4], place, loss_scale: None };
        if ids.len() == 1 {
            return pass(graph, walk, weights, cache).map(Some);
        }
        // Of the length of a prompt, which the next one does not share.
        let Some(graph) = decoder(whole, ids.len())? else { return Ok(None) };
        pass(&graph, &mut CpuWalk::default(), weights, cache).map(Some)
    }
}

/// The outputs of a pass's last token.
fn pass<R: Precision>(
    graph: &Graph,
    walk: &mut CpuWalk<R>,
    weights: Weights<R>,
    cache: &mut [R],
) -> Result<Vec<f64>> {
    let request = Request {
        scores: false,
        learns: false,
        chunked: false,
        in_place_forward: false,
        input_elsewhere: true,
        shares: true,
        input_gradient: false,
        evaluates: false,
    };
    walk.begin(graph, request, BatchRows::whole(1));
    let nodes = graph.nodes.len();
    walk.forward(graph, weights, cache, 0..nodes)?;
    let (all, columns) = (graph.outputs(), graph.columns());
    let outputs = walk.tensor(Tensor::Value(nodes), all);
    Ok(outputs[all - columns..].iter().map(|value| value.to_f64()).collect())
}
