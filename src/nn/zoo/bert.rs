//! BERT.

use crate::activations::Gelu;
use crate::layers::{
    Dropout, Layer, LayerNorm, MaskedMean, PositionEmbedding, Residual, SelfAttention,
    TokenEmbedding, TokenTypeEmbedding,
};
use crate::{Dense, Sequential};

/// BERT's encoder with Hugging Face's names (`BertModel`): embeddings of tokens, positions and token
/// types with a layer norm, then blocks of self-attention and a dense network with GELU, each with a
/// residual and a layer norm behind it.
///
/// Its outputs are the vectors of the tokens [tokens, width], or with [`Bert::mean_pooling`] their
/// mean `[width]`. Rows of ids are padded at their end; no token sees the padding, and what the
/// network gives at its places means nothing. All tokens have type 0: a single sentence. Hugging
/// Face's `pooler` is no part of it: more layers go behind [`Bert::build`] by
/// [`Sequential::named`], and [`Model::load_weights_with`](crate::Model::load_weights_with) leaves
/// out what a file has besides.
///
/// Source: J. Devlin et al., *BERT: pre-training of deep bidirectional transformers for language
/// understanding* (2018).
///
/// ```no_run
/// use gradus::{Device, LoadWeights, zoo::Bert};
/// use ndarray::array;
///
/// // sentence-transformers/all-MiniLM-L6-v2, for sentences of up to 8 ids.
/// let mini_lm = Bert::new(30_522, 8).layers(6).heads(12).width(384).hidden(1536);
/// let mut model = mini_lm.mean_pooling().build().on(&Device::cpu())?;
/// let without = LoadWeights::new().ignore("pooler.").ignore("embeddings.position_ids");
/// model.load_weights_with("model.safetensors", &without)?;
/// // "[CLS] someone plays an instrument [SEP]", and padding.
/// let ids = array![[101.0, 2619.0, 3248.0, 2019.0, 6602.0, 102.0, 0.0, 0.0]];
/// let embedding = model.predict(&ids)?; // [1, 384]
/// assert_eq!(embedding.dim(), (1, 384));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bert {
    vocabulary: usize,
    tokens: usize,
    layers: usize,
    heads: usize,
    width: usize,
    hidden: Option<usize>,
    epsilon: f64,
    positions: usize,
    types: usize,
    padding: usize,
    dropout: f64,
    pools: bool,
}

impl Bert {
    /// A model of rows of `tokens` ids below `vocabulary`: `bert-base`'s 12 blocks of 12 heads, 768
    /// wide, no dropout.
    ///
    /// ```
    /// use gradus::{Device, zoo::Bert};
    /// let bert = Bert::new(100, 16).layers(2).heads(2).width(8).hidden(16);
    /// let model = bert.build().on(&Device::cpu())?;
    /// assert_eq!((model.parameters(), model.outputs()), (6128, 16 * 8));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn new(vocabulary: usize, tokens: usize) -> Self {
        Bert {
            vocabulary,
            tokens,
            layers: 12,
            heads: 12,
            width: 768,
            hidden: None,
            epsilon: 1e-12,
            positions: 512,
            types: 2,
            padding: 0,
            dropout: 0.0,
            pools: false,
        }
    }

    /// Number of blocks (default 12): `num_hidden_layers`.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Heads of the attention (default 12): `num_attention_heads`.
    pub fn heads(mut self, heads: usize) -> Self {
        self.heads = heads;
        self
    }

    /// Numbers per token (default 768): `hidden_size`.
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Units of the dense network in a block (default four times the width): `intermediate_size`.
    pub fn hidden(mut self, hidden: usize) -> Self {
        self.hidden = Some(hidden);
        self
    }

    /// ε of the layer norms (default 1e-12): `layer_norm_eps`.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Rows of the position table (default 512), at least the tokens of a row:
    /// `max_position_embeddings`.
    pub fn positions(mut self, positions: usize) -> Self {
        self.positions = positions;
        self
    }

    /// Rows of the table of token types (default 2): `type_vocab_size`.
    pub fn types(mut self, types: usize) -> Self {
        self.types = types;
        self
    }

    /// The id at the end of rows that are shorter than the model's (default 0): `pad_token_id`.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Dropout behind the embeddings and in each branch (default 0: none); `hidden_dropout_prob`,
    /// 0.1 where BERT is trained. The probabilities of the attention have none.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Gives the mean of the vectors of a row's tokens, without its padding, in place of the
    /// vectors: a sentence embedding, without the L2 normalization that often follows.
    pub fn mean_pooling(mut self) -> Self {
        self.pools = true;
        self
    }

    fn norm(&self) -> LayerNorm {
        LayerNorm::new().epsilon(self.epsilon)
    }

    fn dropped(&self, block: Sequential) -> Sequential {
        if self.dropout > 0.0 { block.named("dropout", Dropout::new(self.dropout)) } else { block }
    }

    /// A layer with dropout, added to its input.
    fn branch(&self, name: &str, inner: impl Layer) -> Residual {
        Residual::new(self.dropped(Sequential::block().named(name, inner)))
    }

    fn embeddings(&self) -> Sequential {
        let tokens = TokenEmbedding::new(self.vocabulary, self.width);
        let embeddings = Sequential::block()
            .named("word_embeddings", tokens)
            .named("position_embeddings", PositionEmbedding::new().rows(self.positions))
            .named("token_type_embeddings", TokenTypeEmbedding::new(self.types))
            .named("LayerNorm", self.norm());
        self.dropped(embeddings)
    }

    fn block(&self) -> Sequential {
        let attention = SelfAttention::new(self.heads)
            .separate("self.query", "self.key", "self.value")
            .output("output.dense")
            .padding(self.padding);
        let hidden = self.hidden.unwrap_or(4 * self.width);
        let network = Sequential::block()
            .named("intermediate.dense", Dense::new(hidden).activation(Gelu::new()))
            .named("output.dense", Dense::new(self.width));
        Sequential::block()
            .named("", self.branch("attention", attention))
            .named("attention.output.LayerNorm", self.norm())
            .named("", self.branch("", network))
            .named("output.LayerNorm", self.norm())
    }

    /// The network.
    pub fn build(&self) -> Sequential {
        let blocks = (0..self.layers).fold(Sequential::block(), |all, _| all.then(self.block()));
        let model = Sequential::tokens(self.tokens)
            .named("embeddings", self.embeddings())
            .named("encoder.layer", blocks);
        match self.pools {
            true => model.named("pooling", MaskedMean::new(self.padding)),
            false => model,
        }
    }
}
