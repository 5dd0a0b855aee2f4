//! Rows of ids that are padded at their end: their lengths, and the mean of what is before it.

use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::nn::graph::nodes::{Node, Value};
use crate::nn::graph::op::Op;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer, sequence};
use crate::nn::ops;
use crate::nn::ops::lengths::Lengths;
use crate::{Error, Result};

/// The number of ids of each row before its trailing padding: one node for all layers with the same
/// padding.
///
/// # Errors
/// [`Error::Input`] in a model that takes no ids, or another number of them than `tokens`;
/// [`Error::Option`] for a padding that is no id.
pub(crate) fn lengths(builder: &mut Builder, padding: usize, tokens: usize) -> Result<Value> {
    let (ids, below) = (builder.graph.inputs(), builder.graph.ids_below());
    let Some(vocabulary) = below.filter(|_| ids == tokens) else {
        let kind = if below.is_some() { "ids" } else { "numbers that are no ids" };
        return Err(Error::Input {
            operation: builder.owner(),
            name: "padding".into(),
            found: format!("of {tokens} tokens in a model of {ids} {kind}"),
            allowed: "a model of ids, as many as tokens: Sequential::tokens with a TokenEmbedding"
                .into(),
        });
    };
    if padding >= vocabulary {
        let allowed = format!("an id below {vocabulary}");
        return Err(Error::option(&builder.owner(), "padding", padding, &allowed));
    }
    let is_same = |node: &Node| {
        let op: &dyn Op = &*node.op;
        let found = (op as &dyn Any).downcast_ref::<Lengths>();
        found.is_some_and(|found| found.padding == padding)
    };
    match builder.graph.nodes.iter().position(is_same) {
        Some(node) => Ok(Value(node + 1)),
        None => {
            let input = builder.graph.input();
            builder.op_at("lengths", Lengths { padding, vocabulary }, &[input])
        }
    }
}

/// The mean of the vectors of a row's ids without its padding: [tokens, width] → `[width]`. The mean
/// pooling of sentence embeddings; the mean of a row of nothing but padding is 0.
///
/// ```
/// use gradus::layers::{MaskedMean, TokenEmbedding};
/// use gradus::{Device, Sequential};
/// use ndarray::array;
///
/// let mut model = Sequential::tokens(3)
///     .then(TokenEmbedding::new(10, 4))
///     .then(MaskedMean::new(0))
///     .on(&Device::cpu())?;
/// let means = model.predict(&array![[7.0, 7.0, 7.0], [7.0, 0.0, 0.0]])?;
/// assert!((&means.row(0) - &means.row(1)).iter().all(|difference| difference.abs() < 1e-6));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MaskedMean {
    padding: usize,
}

impl MaskedMean {
    /// Leaves out the ids at the end of a row that are `padding`.
    pub fn new(padding: usize) -> Self {
        MaskedMean { padding }
    }
}

impl Layer for MaskedMean {
    fn name(&self) -> &str {
        "masked_mean"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let [tokens, _] = sequence(builder, x)?;
        let lengths = lengths(builder, self.padding, tokens)?;
        builder.op(ops::masked_mean::MaskedMean, &[x, lengths])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::nodes::Graph;
    use crate::nn::layers::SelfAttention;
    use crate::nn::layers::TokenEmbedding;

    #[test]
    fn tokens_that_are_no_ids_have_no_padding() {
        let mut graph = Graph::new(vec![3, 4]);
        let mut builder = Builder::new(&mut graph, "first", Default::default());
        let attention = SelfAttention::new(2).padding(0);
        for layer in [&attention as &dyn Layer, &MaskedMean::new(0)] {
            let message = builder.layer("", layer, Value(0)).unwrap_err().to_string();
            assert!(message.contains("first") && message.contains("numbers"), "{message}");
        }
    }

    #[test]
    fn one_node_has_the_lengths_of_a_padding() {
        let mut graph = Graph::new(vec![3]);
        let mut builder = Builder::new(&mut graph, "", Default::default());
        let x = builder.layer("words", &TokenEmbedding::new(5, 4), Value(0)).unwrap();
        let first = lengths(&mut builder, 0, 3).unwrap();
        assert_eq!(lengths(&mut builder, 0, 3).unwrap(), first);
        let other = lengths(&mut builder, 1, 3).unwrap();
        assert!(other != first && first != x);
        assert_eq!(builder.shape(other), [1]);
        let message = lengths(&mut builder, 0, 2).unwrap_err().to_string();
        assert!(message.contains("2 tokens in a model of 3 ids"), "{message}");
    }
}
