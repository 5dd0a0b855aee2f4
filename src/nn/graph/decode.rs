//! Decoding: a graph over a whole sequence of ids as a graph over its next tokens.
//!
//! A pass over a few tokens gives the same outputs as these tokens have in a pass over the whole
//! sequence: what an op needs of earlier tokens it has kept from the passes over them, as
//! attention its keys and values. So a token of generation costs a pass over one token. Each op
//! says by [`Op::decoder`](crate::nn::graph::op::Op::decoder) how, or that it cannot.

use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::{Error, Result};

/// The graph over `tokens` consecutive tokens of a sequence, with the parameters of the whole
/// one. What its ops keep lies in its running statistics, the same for any number of tokens.
/// `None` if an op needs the whole sequence, or a value has other axes than [tokens, ...].
pub(crate) fn decoder(graph: &Graph, tokens: usize) -> Result<Option<Graph>> {
    let &[context] = &graph.shape(graph.input())[..] else { return Ok(None) };
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (number, node) in graph.nodes.iter().enumerate() {
        let output = graph.shape(Value(number + 1));
        let is_sequence = output.len() > 1 && output[0] == context;
        let op = node.op.decoder(&graph.input_shapes(number), tokens).filter(|_| is_sequence);
        let Some(op) = op else { return Ok(None) };
        nodes.push(Node { op, ..node.clone() });
    }
    graph.with_input(vec![tokens], nodes).map(Some)
}

/// Rejects tokens that do not fit a context of `context` tokens from their place on, and several
/// that are not the first ones.
pub(crate) fn check_next(context: usize, tokens: usize, place: usize) -> Result<()> {
    let fits = tokens > 0 && tokens <= context && place <= context - tokens;
    if fits && (tokens == 1 || place == 0) {
        return Ok(());
    }
    Err(Error::Input {
        operation: "decoding".into(),
        name: "the next tokens".into(),
        found: format!("are {tokens} from place {place} on"),
        allowed: format!("the first ones, or one, of up to {context}"),
    })
}
