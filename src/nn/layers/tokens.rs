//! Sequences of ids: their vectors, their positions, and a head that shares the table.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;
use crate::{Error, Result};

/// The vectors of ids from a table: `[tokens]` → [tokens, width]. PyTorch `nn.Embedding`, Keras
/// `Embedding`. It is the first layer of a model of [`Sequential::tokens`](crate::Sequential::tokens).
///
/// The gradient of the table is as large as the table: with Adam every row moves in each step, as
/// in PyTorch. [`Sequential::of_ids`](crate::Sequential::of_ids) moves the rows of the batch alone.
///
/// ```
/// use gradus::{Device, Sequential, layers::{PositionEmbedding, TiedDense, TokenEmbedding}};
/// let model = Sequential::tokens(6)
///     .named("wte", TokenEmbedding::new(9, 4))
///     .named("wpe", PositionEmbedding::new())
///     .named("head", TiedDense::new("wte"))
///     .on(&Device::cpu())?;
/// assert_eq!(model.outputs(), 6 * 9); // logits [tokens, vocabulary]
/// assert_eq!(model.parameters(), 9 * 4 + 6 * 4); // the head shares the table
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TokenEmbedding {
    vocabulary: usize,
    width: usize,
}

impl TokenEmbedding {
    /// A vector of `width` for each of `vocabulary` ids, drawn from N(0, 0.02).
    pub fn new(vocabulary: usize, width: usize) -> Self {
        TokenEmbedding { vocabulary, width }
    }
}

impl Layer for TokenEmbedding {
    fn name(&self) -> &str {
        "token_embedding"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        if x != builder.graph.input() {
            return Err(Error::Input {
                operation: builder.owner(),
                name: "the input".into(),
                found: "is the output of a layer".into(),
                allowed: "the ids of the model: it must be the first layer".into(),
            });
        }
        for (name, size) in [("vocabulary", self.vocabulary), ("width", self.width)] {
            if size == 0 || size > 1 << 24 {
                return Err(Error::option(&builder.owner(), name, size, "from 1 to 16777216"));
            }
        }
        builder.op(ops::token_embedding::TokenEmbedding::new(self.vocabulary, self.width), &[x])
    }
}

/// Adds a learned vector to each position of a sequence [tokens, width]: GPT's and BERT's position
/// embedding.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PositionEmbedding {
    rows: Option<usize>,
}

impl PositionEmbedding {
    /// As many rows as a sequence has tokens, drawn from N(0, 0.02).
    pub fn new() -> Self {
        PositionEmbedding { rows: None }
    }

    /// Rows of the table (default: the tokens of a sequence), for weights that were trained with
    /// longer sequences.
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows);
        self
    }
}

impl Layer for PositionEmbedding {
    fn name(&self) -> &str {
        "position_embedding"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let op = ops::positions::Positions { rows: self.rows, ..ops::positions::Positions::new() };
        builder.op(op, &[x])
    }
}

/// Adds the first row of a table [types, width] to each token of [tokens, width]: BERT's token type
/// embedding of a single sentence, whose tokens all have type 0. The other rows are those of
/// weights that were trained with pairs of sentences; their gradient is 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TokenTypeEmbedding {
    types: usize,
}

impl TokenTypeEmbedding {
    /// A table of `types` rows, at least 1, drawn from N(0, 0.02); BERT has 2.
    pub fn new(types: usize) -> Self {
        TokenTypeEmbedding { types }
    }
}

impl Layer for TokenTypeEmbedding {
    fn name(&self) -> &str {
        "token_type_embedding"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        builder.op(ops::token_types::TokenTypes { types: self.types }, &[x])
    }
}

/// A dense layer without a bias whose weights are the table of a [`TokenEmbedding`]: logits over
/// the vocabulary from [tokens, width]. The gradients of both uses are added.
///
/// Source: O. Press, L. Wolf, *Using the output embedding to improve language models* (2017).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TiedDense {
    path: String,
}

impl TiedDense {
    /// Shares the table of the layer with this path: `transformer.wte`.
    pub fn new(path: &str) -> Self {
        TiedDense { path: path.into() }
    }
}

impl Layer for TiedDense {
    fn name(&self) -> &str {
        "tied_dense"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let of_path = |node: &crate::nn::graph::nodes::Node| node.path == self.path;
        let owner = builder.graph.nodes.iter().position(of_path);
        let table = builder.graph.parameter(&format!("{}.weight", self.path));
        let (Some(owner), Some(&[units, width])) = (owner, table.map(|table| &table.shape[..]))
        else {
            return Err(Error::Input {
                operation: builder.owner(),
                name: "the shared layer".into(),
                found: format!("`{}` is no layer with a table", self.path),
                allowed: "the path of a TokenEmbedding before it".into(),
            });
        };
        let path = builder.path.clone();
        builder.graph.add_shared(&path, ops::tied_dense::TiedDense { units, width }, &[x], owner)
    }
}
