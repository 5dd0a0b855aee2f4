//! Self-attention with its projections.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::criterion::inputs::shape_error;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::dense::Dense;
use crate::nn::layers::form::to_json;
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::{Builder, Layer, sequence};
use crate::nn::layers::lengths::lengths;
use crate::nn::ops;
use crate::nn::ops::attention::{Pairs, Rotary};
use crate::{Error, Result};

/// Multi-head self-attention over sequences [tokens, width]: queries, keys and values by one dense
/// layer (`c_attn`), softmax(q kᵀ/√d) v per head, then a dense layer (`c_proj`). nanoGPT's
/// `CausalSelfAttention`; PyTorch `nn.MultiheadAttention` with `need_weights=False`.
///
/// [`SelfAttention::separate`] makes queries, keys and values by a dense layer each;
/// [`SelfAttention::padding`] leaves out the padding of rows of ids.
///
/// No matrix of tokens × tokens is stored: the kernels run over keys with a running maximum and sum.
///
/// Sources: A. Vaswani et al., *Attention is all you need* (2017); T. Dao et al., *FlashAttention*
/// (2022).
///
/// ```
/// use gradus::layers::{SelfAttention, TokenEmbedding};
/// use gradus::{Device, Sequential};
/// let model = Sequential::tokens(5)
///     .named("wte", TokenEmbedding::new(9, 8))
///     .named("attn", SelfAttention::new(2).causal(true).rotary(10_000.0))
///     .on(&Device::cpu())?;
/// let names: Vec<_> = model.named_parameters()?.into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names[1..3], ["attn.c_attn.weight", "attn.c_attn.bias"]);
/// assert_eq!(model.parameters(), 9 * 8 + (8 * 24 + 24) + (8 * 8 + 8));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SelfAttention {
    heads: usize,
    causal: bool,
    bias: bool,
    /// Base of the rotary angles.
    rotary: Option<f64>,
    interleaved: bool,
    initializer: Initializer,
    names: [String; 2],
    /// Names of three dense layers in place of the first one.
    separate: Option<[String; 3]>,
    padding: Option<usize>,
    /// Files of models from before it do not have it.
    #[serde(default = "has_projections")]
    projections: bool,
}

fn has_projections() -> bool {
    true
}

impl SelfAttention {
    /// `heads` must divide the width. Every token sees every other, with biases.
    pub fn new(heads: usize) -> Self {
        SelfAttention {
            heads,
            causal: false,
            bias: true,
            rotary: None,
            interleaved: false,
            initializer: Initializer::default(),
            names: ["c_attn".into(), "c_proj".into()],
            separate: None,
            padding: None,
            projections: has_projections(),
        }
    }

    /// A token sees itself and those before it (default false).
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// The dense layers have a bias (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Rotary position embedding of queries and keys (default none), with its base, 10000 for the
    /// most part. Halves of a head are rotated together, as in Llama and Hugging Face.
    ///
    /// Source: J. Su et al., *RoFormer* (2021).
    pub fn rotary(mut self, base: f64) -> Self {
        (self.rotary, self.interleaved) = (Some(base), false);
        self
    }

    /// As [`SelfAttention::rotary`], rotating neighbours together, as in GPT-J.
    pub fn rotary_interleaved(mut self, base: f64) -> Self {
        (self.rotary, self.interleaved) = (Some(base), true);
        self
    }

    /// Initializer of the dense layers.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Names of the two dense layers in files (default `c_attn` and `c_proj`).
    pub fn names(mut self, qkv: &str, output: &str) -> Self {
        self.names = [qkv.into(), output.into()];
        self
    }

    /// Queries, keys and values by a dense layer each, with these names, in place of one for all
    /// three, as in BERT's files.
    pub fn separate(mut self, query: &str, key: &str, value: &str) -> Self {
        self.separate = Some([query.into(), key.into(), value.into()]);
        self
    }

    /// Name of the dense layer of the output (default `c_proj`).
    pub fn output(mut self, name: &str) -> Self {
        self.names[1] = name.into();
        self
    }

    /// No token sees the ids at the end of a row that are `padding` (default: every token is seen).
    /// The outputs at those places themselves are computed, and mean nothing. The model must take
    /// ids: [`Sequential::tokens`](crate::Sequential::tokens). PyTorch's `key_padding_mask`,
    /// Hugging Face's `attention_mask`.
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = Some(padding);
        self
    }

    /// Without dense layers around it (default with them): the input is queries, keys and values,
    /// one behind the other, [tokens, 3 width], the output [tokens, width], and there are no
    /// parameters. PyTorch's `scaled_dot_product_attention`, with the numbers of all heads of a token
    /// side by side.
    ///
    /// ```
    /// use gradus::{Device, layers::SelfAttention, testing::LayerPass};
    /// use ndarray::array;
    /// let attention = SelfAttention::new(1).causal(true).projections(false);
    /// let mut pass = LayerPass::new(&attention, &[2, 3], 1, &Device::cpu())?;
    /// // The first token sees itself alone; to the query 0 of the second both keys are equal.
    /// let y = pass.forward(&array![[[1.0, 1.0, 4.0], [0.0, 2.0, 6.0]]])?;
    /// assert_eq!(y, array![[[4.0], [5.0]]].into_dyn());
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn projections(mut self, projections: bool) -> Self {
        self.projections = projections;
        self
    }

    /// Queries, keys and values one behind the other: [tokens, 3 width].
    fn packed(&self, builder: &mut Builder, x: Value, width: usize) -> Result<Value> {
        let Some(names) = &self.separate else {
            return builder.layer(&self.names[0], &self.dense(3 * width), x);
        };
        let dense = self.dense(width);
        let parts = names.iter().map(|name| builder.layer(name, &dense, x));
        let parts = parts.collect::<Result<Vec<Value>>>()?;
        let shapes = parts.iter().map(|&part| builder.shape(part).to_vec()).collect();
        builder.op_at("concat", ops::concat::Concat::last_axis(shapes), &parts)
    }

    fn dense(&self, units: usize) -> Dense {
        Dense::new(units).bias(self.bias).initializer(self.initializer)
    }
}

impl Layer for SelfAttention {
    fn name(&self) -> &str {
        "self_attention"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let [tokens, mut width] = sequence(builder, x)?;
        if !self.projections {
            if self.separate.is_some() {
                let allowed = "projections, or no `separate`";
                return Err(Error::option(&builder.owner(), "projections", false, allowed));
            }
            if !width.is_multiple_of(3) {
                let allowed = "queries, keys and values, [tokens, 3 width]";
                let found = format!("an input of shape {:?}", builder.shape(x));
                return Err(shape_error(&builder.owner(), found, allowed));
            }
            width /= 3;
        }
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            let allowed = format!("a divisor of the width {width}");
            return Err(Error::option(&builder.owner(), "heads", self.heads, &allowed));
        }
        let mut inputs = match self.projections {
            true => vec![self.packed(builder, x, width)?],
            false => vec![x],
        };
        if let Some(padding) = self.padding {
            inputs.push(lengths(builder, padding, tokens)?);
        }
        let pairs = if self.interleaved { Pairs::Interleaved } else { Pairs::Halves };
        let op = ops::attention::Attention {
            causal: self.causal,
            has_lengths: self.padding.is_some(),
            rotary: self.rotary.map(|base| Rotary { base, pairs }),
            ..ops::attention::Attention::new(tokens, width, self.heads)
        };
        let y = builder.op_at("attention", op, &inputs)?;
        if !self.projections {
            return Ok(y);
        }
        builder.layer(&self.names[1], &self.dense(width), y)
    }
}
