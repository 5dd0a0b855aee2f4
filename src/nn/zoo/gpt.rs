//! GPT.

use crate::activations::{Approximate, Gelu};
use crate::layers::{
    Dropout, LayerNorm, PositionEmbedding, Residual, SelfAttention, TiedDense, TokenEmbedding,
};
use crate::{Dense, Sequential};

/// A GPT with nanoGPT's names: token and position embeddings, blocks of causal self-attention and a
/// dense network with GELU, and a head that shares the table of tokens. Its outputs are logits
/// [tokens, vocabulary]; train it with [`crate::losses::CrossEntropy`] on the next tokens.
///
/// ```
/// use gradus::{Device, zoo::Gpt};
/// let model = Gpt::new(65, 64).layers(4).heads(4).width(128).bias(false).build();
/// assert_eq!(model.on(&Device::cpu())?.parameters(), 804_096);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gpt {
    vocabulary: usize,
    context: usize,
    layers: usize,
    heads: usize,
    width: usize,
    bias: bool,
    dropout: f64,
    positions: Option<usize>,
    is_gpt2: bool,
}

impl Gpt {
    /// A model of sequences of `context` ids below `vocabulary`: 4 blocks of 4 heads, 128 wide, with
    /// biases, no dropout.
    pub fn new(vocabulary: usize, context: usize) -> Self {
        let (layers, heads, width, bias, dropout) = (4, 4, 128, true, 0.0);
        let (positions, is_gpt2) = (None, false);
        Gpt { vocabulary, context, layers, heads, width, bias, dropout, positions, is_gpt2 }
    }

    /// Number of blocks (default 4).
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Heads of the attention (default 4).
    pub fn heads(mut self, heads: usize) -> Self {
        self.heads = heads;
        self
    }

    /// Numbers per token (default 128).
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Dense layers and norms have a bias (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Dropout behind the embeddings and in each branch (default 0: none).
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Rows of the position table (default: the context), for weights that were trained with a
    /// longer one.
    pub fn positions(mut self, positions: usize) -> Self {
        self.positions = Some(positions);
        self
    }

    /// GPT-2's GELU by tanh in place of the exact one (default false).
    pub fn tanh_gelu(mut self, is_gpt2: bool) -> Self {
        self.is_gpt2 = is_gpt2;
        self
    }

    /// Layer norm, then a layer, then dropout; added to the input.
    fn branch(&self, norm: &str, name: &str, inner: impl crate::layers::Layer) -> Residual {
        let branch =
            Sequential::block().named(norm, LayerNorm::new().bias(self.bias)).named(name, inner);
        Residual::new(self.dropped(branch, "drop"))
    }

    fn dropped(&self, block: Sequential, name: &str) -> Sequential {
        if self.dropout > 0.0 { block.named(name, Dropout::new(self.dropout)) } else { block }
    }

    fn block(&self) -> Sequential {
        let gelu = match self.is_gpt2 {
            true => Gelu::new().approximate(Approximate::Tanh),
            false => Gelu::new(),
        };
        let dense = |units| Dense::new(units).bias(self.bias);
        let attention = SelfAttention::new(self.heads).causal(true).bias(self.bias);
        let mlp = Sequential::block()
            .named("c_fc", dense(4 * self.width).activation(gelu))
            .named("c_proj", dense(self.width));
        Sequential::block()
            .named("", self.branch("ln_1", "attn", attention))
            .named("", self.branch("ln_2", "mlp", mlp))
    }

    /// The network.
    pub fn build(&self) -> Sequential {
        let positions = PositionEmbedding::new().rows(self.positions.unwrap_or(self.context));
        let embeddings = Sequential::block()
            .named("wte", TokenEmbedding::new(self.vocabulary, self.width))
            .named("wpe", positions);
        let blocks = (0..self.layers).fold(Sequential::block(), |all, _| all.then(self.block()));
        let transformer = self
            .dropped(embeddings, "drop")
            .named("h", blocks)
            .named("ln_f", LayerNorm::new().bias(self.bias));
        Sequential::tokens(self.context)
            .named("transformer", transformer)
            .named("lm_head", TiedDense::new("transformer.wte"))
    }
}
