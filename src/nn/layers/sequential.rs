//! Sequential: layers one behind the other, as a model or as a block of one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::criterion::inputs::shape_error;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::{Penalties, Shape};
use crate::nn::layers::embedding::Embedding;
use crate::nn::layers::form::{LayerForm, NamedLayer};
use crate::nn::layers::layer::{Builder, Layer};
use crate::nn::ops;
use crate::{Error, Result};

/// A description of a model: the shape of its input, then layers. Without an input it is a block:
/// a layer inside of another ([`Sequential::block`]).
///
/// ```
/// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Adam};
/// use gradus::activations::{Relu, Softmax};
/// use ndarray::array;
///
/// let x = array![[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.8, 0.3]];
/// let y = array![[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
/// let mut model = Sequential::new(2)
///     .then(Dense::new(10).activation(Relu))
///     .then(Dense::new(2).activation(Softmax))
///     .on(&Device::cpu())?
///     .compile(Mse::new(), Adam::new().learning_rate(0.01))?;
/// let history = model.fit(&x, &y, Fit::new().epochs(50).batch_size(2))?;
/// assert!(history.epochs[49].loss < history.epochs[0].loss);
/// assert_eq!(model.evaluate(&x, &y)?.accuracy, Some(1.0));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct Sequential {
    /// The shape of a sample; `None` for a block inside of another layer.
    pub(crate) input: Option<Shape>,
    pub(crate) embedding: Option<Embedding>,
    pub(crate) layers: Vec<NamedLayer>,
    pub(crate) l1: f64,
    pub(crate) l2: f64,
    pub(crate) proximal_l1: f64,
    pub(crate) seed: u64,
}

impl Sequential {
    /// A model with `inputs` features per row.
    pub fn new(inputs: usize) -> Self {
        Sequential::of_shape(Some(vec![inputs]))
    }

    /// A model of images: a row of features has the shape [height, width, channels].
    pub fn images(shape: [usize; 3]) -> Self {
        Sequential::of_shape(Some(shape.into()))
    }

    /// A model of sequences of `tokens` ids, for a first layer that looks them up
    /// ([`TokenEmbedding`](crate::layers::TokenEmbedding)).
    pub fn tokens(tokens: usize) -> Self {
        Sequential::new(tokens)
    }

    /// A sequence of layers that is a layer itself: its input is the output of the layer before it.
    /// Seed and input of a block are those of the model.
    pub fn block() -> Self {
        Sequential::of_shape(None)
    }

    fn of_shape(input: Option<Shape>) -> Self {
        Sequential {
            input,
            embedding: None,
            layers: Vec::new(),
            l1: 0.0,
            l2: 0.0,
            proximal_l1: 0.0,
            seed: 7,
        }
    }

    /// A model that begins with an embedding: a row of features is `ids` whole numbers from 0 to
    /// `rows` − 1, and the input of the first layer is their vectors of `width` numbers,
    /// concatenated: `ids` · `width` numbers. Keras `Embedding` followed by `Flatten`. The table is
    /// initialized uniformly in [−0.05, 0.05).
    ///
    /// A step updates only the table rows in the batch, with the optimizer of
    /// [`Model::compile`](crate::Model::compile); the limits are those of [`crate::Embedding::update`]. Penalties apply to the layers only.
    /// Ids are ordinary features in f32, which holds whole numbers up to 2²⁴. Options that need all
    /// gradients or weights at once are rejected: clips, `skip_non_finite` and averages of
    /// [`crate::Fit`], and populations.
    ///
    /// With [`crate::losses::LinearCrossEntropy`] the last layer, which then must not have an
    /// activation, is fused with the loss: its outputs, one per class, exist only for a chunk of
    /// rows at a time.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::LinearCrossEntropy, optimizers::Adam};
    /// use ndarray::array;
    ///
    /// // Which of four words comes next: 0 1 2 3 0 1 2 3 …
    /// let words = array![[0.0], [1.0], [2.0], [3.0]];
    /// let next = array![1_i64, 2, 3, 0];
    /// let mut model = Sequential::of_ids(1, [4, 8])
    ///     .then(Dense::new(4))
    ///     .on(&Device::cpu())?
    ///     .compile(LinearCrossEntropy::new(), Adam::new().learning_rate(0.1))?;
    /// model.fit(&words, &next, Fit::new().epochs(30))?;
    /// assert_eq!(model.evaluate(&words, &next)?.accuracy, Some(1.0));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn of_ids(ids: usize, [rows, width]: [usize; 2]) -> Self {
        Sequential { embedding: Some(Embedding { ids, rows, width }), ..Sequential::new(ids) }
    }

    /// Appends a layer. Its parameters are `layers.N.weight` and so on with its number, in a block
    /// `N.weight` behind the block's own path.
    pub fn then(mut self, layer: impl Layer) -> Self {
        self.layers.push(NamedLayer { name: None, layer: Arc::new(layer) });
        self
    }

    /// As [`Sequential::then`], with a name in place of the number, as in PyTorch's files: `conv1`
    /// makes `conv1.weight`.
    pub fn named(mut self, name: &str, layer: impl Layer) -> Self {
        self.layers.push(NamedLayer { name: Some(name.into()), layer: Arc::new(layer) });
        self
    }

    /// As [`Sequential::then`], or as [`Sequential::named`] with a name, for a layer created by name
    /// ([`from_name`](crate::layers::from_name)).
    ///
    /// ```
    /// use gradus::{Device, Sequential, layers};
    /// let flatten = layers::from_name("flatten", serde_json::json!({}))?;
    /// let model = Sequential::images([2, 2, 3]).then_shared(None, flatten).on(&Device::cpu())?;
    /// assert_eq!(model.outputs(), 12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn then_shared(mut self, name: Option<&str>, layer: Arc<dyn Layer>) -> Self {
        self.layers.push(NamedLayer { name: name.map(str::to_string), layer });
        self
    }

    /// Adds l1 Σ|w| over the weights of every layer without its own l1 (default 0).
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = l1;
        self
    }

    /// Adds l2 Σw² over the weights of every layer without its own l2 (default 0).
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    /// Both penalties: λ(ρ Σ|w| + (1 − ρ) Σw²) over the weights of every layer without its own,
    /// with λ ≥ 0 and the l1 ratio ρ in [0, 1]; see
    /// [`Dense::elastic_net`](crate::Dense::elastic_net).
    pub fn elastic_net(self, factor: f64, l1_ratio: f64) -> Self {
        self.l1(factor * l1_ratio).l2(factor * (1.0 - l1_ratio))
    }

    /// l1 Σ|w| as a proximal step after each update, which gives exact zeros, over the weights of
    /// every layer without its own (default 0); see
    /// [`Dense::proximal_l1`](crate::Dense::proximal_l1).
    pub fn proximal_l1(mut self, l1: f64) -> Self {
        self.proximal_l1 = l1;
        self
    }

    /// Seed of the initial weights and of the order of batches (default 7). The results are equal
    /// on every device.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The layers as a graph: `embedding`, then `layers.0`, `layers.1` and so on, or their names.
    pub(crate) fn graph(&self) -> Result<Graph> {
        if self.layers.is_empty() {
            return Err(Error::Empty { operation: "a model".into(), name: "its layers".into() });
        }
        let Some(input) = self.input.clone() else {
            return Err(Error::Input {
                operation: "a model".into(),
                name: "the input".into(),
                found: "is that of a block".into(),
                allowed:
                    "Sequential::new(inputs), Sequential::images([height, width, channels]) or \
                          Sequential::tokens(count)"
                        .into(),
            });
        };
        // Its errors name the embedding's sizes.
        self.embedding.as_ref().map_or(Ok(()), Embedding::check)?;
        let sizes = input.iter().try_fold(1_usize, |all, &axis| all.checked_mul(axis));
        if sizes.is_none_or(|size| size == 0 || size > u32::MAX as usize) {
            let found = format!("an input of shape {input:?}");
            return Err(shape_error("a model", found, "axes of at least 1, up to 2³² numbers"));
        }
        let Sequential { l1, l2, proximal_l1, .. } = *self;
        let penalties = Penalties { l1, l2, proximal_l1 };
        let mut graph = Graph::new(input);
        let mut x = graph.input();
        if let Some(embedding) = &self.embedding {
            let table = ops::embedding::Embedding { rows: embedding.rows, width: embedding.width };
            x = graph.add("embedding", table, &[x])?;
        }
        for (name, layer) in self.paths("layers.") {
            x = layer.build(&mut Builder::new(&mut graph, &name, penalties), x)?;
        }
        graph.check_output(x)?;
        Ok(graph)
    }

    /// Each layer and its name; those without one are numbered behind a prefix.
    pub(crate) fn paths<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (String, &'s dyn Layer)> + 's {
        self.layers.iter().enumerate().map(move |(index, NamedLayer { name, layer })| {
            (name.clone().unwrap_or_else(|| format!("{prefix}{index}")), &**layer)
        })
    }

    /// The layers of a summary, with their paths: those inside of blocks in place of the blocks.
    pub(crate) fn lines(&self) -> Vec<(String, &dyn Layer)> {
        let mut lines = Vec::new();
        for (path, layer) in self.paths("layers.") {
            add_lines(path, layer, true, &mut lines);
        }
        lines
    }
}

/// Adds the lines of a layer. A block is one line if the blocks around it number it, as those of a
/// deep network, or if its layers have no names of their own.
fn add_lines<'s>(
    path: String,
    layer: &'s dyn Layer,
    opens: bool,
    lines: &mut Vec<(String, &'s dyn Layer)>,
) {
    let block = (layer as &dyn Any).downcast_ref::<Sequential>().filter(|_| opens);
    let is_named = |layer: &NamedLayer| layer.name.as_deref() != Some("");
    match block.filter(|block| !block.layers.is_empty() && block.layers.iter().all(is_named)) {
        None => lines.push((path, layer)),
        Some(block) => {
            for (of, (name, layer)) in block.layers.iter().zip(block.paths("")) {
                add_lines(format!("{path}.{name}"), layer, of.name.is_some(), lines);
            }
        }
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let layers: Vec<String> =
            self.paths("").map(|(name, layer)| format!("{name}: {}", layer.name())).collect();
        f.debug_struct("Sequential").field("input", &self.input).field("layers", &layers).finish()
    }
}

impl Layer for Sequential {
    fn name(&self) -> &str {
        "sequential"
    }

    fn options(&self) -> Json {
        json!({ "layers": self.layers.iter().map(LayerForm::of).collect::<Vec<_>>() })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        if self.input.is_some() {
            return Err(Error::Input {
                operation: builder.owner(),
                name: "the input of a Sequential".into(),
                found: format!("is {:?}", self.input),
                allowed: "Sequential::block() inside of another layer".into(),
            });
        }
        self.paths("").try_fold(x, |x, (name, layer)| builder.layer(&name, layer, x))
    }
}
