//! Weights in PyTorch's names and order of axes: safetensors files of a `state_dict`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::{ArrayD, Axis, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::nn::graph::op::{FileOrder, Op};
use crate::nn::model::Model;
use crate::nn::ops;
use crate::runtime::file_tensors::{check_seal, numbers};
use crate::runtime::files;
use crate::{Error, Result};

/// Order of the axes of a dense layer's weights in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightOrder {
    /// [outputs, inputs]: PyTorch's `nn.Linear`.
    #[default]
    Linear,
    /// [inputs, outputs]: Hugging Face's `Conv1D`, in GPT-2's files.
    Conv1d,
}

/// How [`Model::load_weights_with`] reads a file: what it leaves out, and how names differ.
///
/// ```
/// use gradus::{LoadWeights, WeightOrder};
/// // A Hugging Face BERT with a head, into a model of the encoder alone.
/// let encoder = LoadWeights::new().prefix("bert.").ignore("bert.pooler.").ignore("cls.");
/// // A network with a new last layer, which keeps its initial weights.
/// let other_classes = LoadWeights::new().ignore("fc.").keep("fc.");
/// let gpt2 = LoadWeights::new().order(WeightOrder::Conv1d);
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadWeights {
    order: WeightOrder,
    prefix: String,
    ignored: Vec<String>,
    kept: Vec<String>,
}

impl LoadWeights {
    /// The file has exactly the model's tensors, by their names.
    pub fn new() -> Self {
        LoadWeights::default()
    }

    /// Order of the axes of dense weights in the file (default [`WeightOrder::Linear`]).
    pub fn order(mut self, order: WeightOrder) -> Self {
        self.order = order;
        self
    }

    /// Begin of the names of the model's tensors in the file (default: nothing): `bert.` for a file
    /// that has `bert.encoder.…` where the model has `encoder.…`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Leaves out the file's tensors whose names begin with this; each call adds to the last ones.
    /// A tensor that the model has is missing then, unless it is kept.
    pub fn ignore(mut self, names: &str) -> Self {
        self.ignored.push(names.into());
        self
    }

    /// The model's tensors whose paths begin with this keep their values if the file does not have
    /// them, or if they are ignored there; each call adds to the last ones.
    pub fn keep(mut self, paths: &str) -> Self {
        self.kept.push(paths.into());
        self
    }

    fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| name.starts_with(ignored))
    }

    fn keeps(&self, path: &str) -> bool {
        self.kept.iter().any(|kept| path.starts_with(kept))
    }
}

/// PyTorch's count of batch norm's steps, which changes nothing with a constant momentum.
const COUNTER: &str = "num_batches_tracked";

/// A tensor of a model and where it is: a parameter or a running statistic.
struct Place {
    range: std::ops::Range<usize>,
    shape: Vec<usize>,
    order: FileOrder,
    /// The image that the first axis was flattened from, if any.
    image: Option<[usize; 3]>,
}

impl Place {
    /// The shape in a file.
    fn file_shape(&self) -> Vec<usize> {
        match (self.order, &self.shape[..]) {
            (FileOrder::Transposed, &[inputs, outputs]) => vec![outputs, inputs],
            (FileOrder::Kernel, &[height, width, inputs, outputs]) => {
                vec![outputs, inputs, height, width]
            }
            _ => self.shape.clone(),
        }
    }

    /// The permutation of axes from a file to the model.
    fn axes(&self) -> Vec<usize> {
        match (self.order, self.shape.len()) {
            (FileOrder::Transposed, 2) => vec![1, 0],
            (FileOrder::Kernel, 4) => vec![2, 3, 1, 0],
            (_, axes) => (0..axes).collect(),
        }
    }

    /// A file's numbers in the model's order.
    fn in_model_order(&self, values: Vec<f64>) -> Option<Vec<f64>> {
        let array = ArrayD::from_shape_vec(IxDyn(&self.file_shape()), values).ok()?;
        let array = array.permuted_axes(self.axes());
        let Some([height, width, channels]) = self.image else {
            return Some(array.iter().copied().collect());
        };
        // Channels are outermost in a file.
        let rows = (0..height * width * channels)
            .map(|at| at % channels * height * width + at / channels)
            .collect::<Vec<_>>();
        Some(array.select(Axis(0), &rows).iter().copied().collect())
    }

    /// The model's numbers in a file's order.
    fn in_file_order(&self, values: &[f64]) -> Option<Vec<f64>> {
        let mut array = ArrayD::from_shape_vec(IxDyn(&self.shape), values.to_vec()).ok()?;
        if let Some([height, width, channels]) = self.image {
            let area = height * width;
            let rows = (0..area * channels).map(|at| at % area * channels + at / area);
            array = array.select(Axis(0), &rows.collect::<Vec<_>>());
        }
        let mut inverse = vec![0; self.shape.len()];
        self.axes().into_iter().enumerate().for_each(|(to, from)| inverse[from] = to);
        Some(array.permuted_axes(inverse).iter().copied().collect())
    }
}

/// The image that a value was flattened from, if its numbers are still those.
fn flattened(graph: &Graph, value: Value) -> Option<[usize; 3]> {
    let node = &graph.nodes[value.0.checked_sub(1)?];
    let op: &dyn Op = &*node.op;
    let below = *node.inputs.first()?;
    if (op as &dyn Any).is::<ops::flatten::Flatten>() {
        return graph.shape(below)[..].try_into().ok();
    }
    let keeps = node.inputs.len() == 1 && graph.shape(below) == graph.shape(value);
    let mixes = (op as &dyn Any).is::<ops::dense::Dense>();
    (keeps && !mixes).then(|| flattened(graph, below)).flatten()
}

/// The first node that joins a flattened image with other numbers: their order cannot be PyTorch's
/// for both, since what comes from elsewhere has no channels.
fn joins_flattened(graph: &Graph) -> Option<&Node> {
    let is_reordered = |value: &Value| {
        flattened(graph, *value)
            .is_some_and(|[height, width, channels]| height * width > 1 && channels > 1)
    };
    graph.nodes.iter().find(|node| node.inputs.len() > 1 && node.inputs.iter().any(is_reordered))
}

/// The tensors of a model by their names in files.
fn places(graph: &Graph, order: WeightOrder) -> BTreeMap<String, Place> {
    let mut all = BTreeMap::new();
    let owner = |path: &str| -> Option<&Node> {
        let (node, _) = path.rsplit_once('.')?;
        graph.nodes.iter().find(|candidate| candidate.path == node)
    };
    // The image behind a parameter along whose first axis the features of its node's input lie.
    let image = |path: &str, shape: &[usize]| {
        let node = owner(path)?;
        let op: &dyn Op = &*node.op;
        let is_dense = (op as &dyn Any).is::<ops::dense::Dense>();
        let image = flattened(graph, *node.inputs.first()?)?;
        let along = if is_dense { shape.len() == 2 } else { shape.len() == 1 };
        (along && shape[0] == image.iter().product::<usize>()).then_some(image)
    };
    for parameter in &graph.parameters {
        let transposed = parameter.file_order == FileOrder::Transposed;
        let is_plain = transposed && order == WeightOrder::Conv1d;
        let place = Place {
            range: graph.range(parameter),
            shape: parameter.shape.clone(),
            order: if is_plain { FileOrder::Same } else { parameter.file_order },
            image: image(&parameter.path, &parameter.shape),
        };
        all.insert(parameter.path.clone(), place);
    }
    for statistic in &graph.statistics {
        let first = graph.all_length();
        let shape = vec![statistic.range.len()];
        let place = Place {
            range: first + statistic.range.start..first + statistic.range.end,
            image: image(&statistic.path, &shape),
            shape,
            order: FileOrder::Same,
        };
        all.insert(statistic.path.clone(), place);
    }
    all
}

impl Model {
    /// Sets all weights from a safetensors file of PyTorch's `state_dict`: names are the paths of
    /// [`Model::named_parameters`], kernels are [outputs, inputs, height, width], dense weights
    /// [outputs, inputs] (behind a flatten of images with the inputs in PyTorch's order); f64, f32, f16
    /// or bf16. Running statistics are weights too; nothing else of the model changes.
    ///
    /// The file must have exactly the model's tensors; `num_batches_tracked` is ignored, and so is a
    /// second copy of a shared table that equals it. In PyTorch such a file is
    /// `safetensors.torch.save_file({k: v.clone().contiguous() for k, v in
    /// model.state_dict().items()}, path)`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that is damaged, and for one of another model: it
    /// lists which tensors are missing, unexpected and of another shape.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.load_weights_with(path, &LoadWeights::new())
    }

    /// As [`Model::load_weights`], for a file with more tensors, other names or another order of
    /// axes.
    ///
    /// # Errors
    /// As [`Model::load_weights`]; the lists have the names of the file.
    pub fn load_weights_with(
        &mut self,
        path: impl AsRef<Path>,
        options: &LoadWeights,
    ) -> Result<()> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let refused = |position: &str, found: String, expected: &str| Error::Data {
            path: path.into(),
            position: position.into(),
            found,
            expected: expected.into(),
        };
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| refused("the header", error.to_string(), "a safetensors file"))?;
        // Of a model that gradus saved the checksum is known.
        let metadata = SafeTensors::read_metadata(&bytes).ok().map(|(_, metadata)| metadata);
        let text = metadata.as_ref().and_then(|found| found.metadata().as_ref()?.get("gradus"));
        text.map_or(Ok(()), |text| check_seal(path, text, &tensors))?;
        self.check_order()?;
        let in_file = |(path, place)| (format!("{}{path}", options.prefix), (path, place));
        let places = places(&self.graph, options.order).into_iter().map(in_file);
        let places: BTreeMap<String, (String, Place)> = places.collect();
        let mut missing: Vec<&str> = Vec::new();
        let mut shapes = Vec::new();
        let mut parameters = self.engine.parameters()?;
        for (name, (path, place)) in &places {
            let found = tensors.tensor(name).ok().filter(|_| !options.ignores(name));
            let Some(view) = found else {
                missing.extend((!options.keeps(path)).then_some(name.as_str()));
                continue;
            };
            let expected = place.file_shape();
            if view.shape() != expected {
                shapes.push(format!("{name} is {:?}, not {expected:?}", view.shape()));
                continue;
            }
            let position = format!("tensor `{name}`");
            let values = numbers(&view).and_then(|values| place.in_model_order(values));
            let values = values.ok_or_else(|| {
                refused(&position, format!("{:?}", view.dtype()), "F64, F32, F16 or BF16")
            })?;
            parameters[place.range.clone()].copy_from_slice(&values);
        }
        let mut unexpected: Vec<String> = Vec::new();
        for name in tensors.names().into_iter().filter(|name| !options.ignores(name)) {
            let is_known = places.contains_key(name) || name.rsplit('.').next() == Some(COUNTER);
            if !is_known && !self.is_shared_copy(&tensors, name, &options.prefix) {
                unexpected.push(name.to_string());
            }
        }
        unexpected.sort_unstable();
        if missing.is_empty() && unexpected.is_empty() && shapes.is_empty() {
            self.engine.set_parameters(&parameters)?;
            return self.forget_training();
        }
        let mut lists = Vec::new();
        for (what, names) in [
            ("missing", missing.join(", ")),
            ("unexpected", unexpected.join(", ")),
            ("of another shape", shapes.join(", ")),
        ] {
            if !names.is_empty() {
                lists.push(format!("{what}: {names}"));
            }
        }
        Err(refused("the tensors", lists.join("; "), "the weights of this model"))
    }

    /// Rejects models whose features have no order in PyTorch's files.
    fn check_order(&self) -> Result<()> {
        match joins_flattened(&self.graph) {
            None => Ok(()),
            Some(node) => Err(Error::Input {
                operation: "PyTorch's weight files".into(),
                name: "the model".into(),
                found: format!("adds other numbers to a flattened image in `{}`", node.path),
                allowed: "pool the image to one pixel, or put a dense layer behind the flatten"
                    .into(),
            }),
        }
    }

    /// Drops what belongs to the weights before: the snapshots of a training, and averages, which
    /// begin again at these weights.
    fn forget_training(&mut self) -> Result<()> {
        self.training = None;
        let average = self.average;
        self.keep_average(None)?;
        self.keep_average(average)
    }

    /// True for the weights of a layer that shares those of another, if they are a copy of them.
    fn is_shared_copy(&self, tensors: &SafeTensors, name: &str, prefix: &str) -> bool {
        let path = name.strip_prefix(prefix).and_then(|path| path.rsplit_once('.'));
        let Some((path, "weight")) = path else { return false };
        let Some(node) = self.graph.nodes.iter().find(|node| node.path == path) else {
            return false;
        };
        let shares = |parameter: &&crate::nn::graph::nodes::Parameter| {
            node.ranges.first() == Some(&self.graph.range(parameter))
        };
        let owner = self.graph.parameters.iter().find(shares);
        let owner = owner.map(|owner| tensors.tensor(&format!("{prefix}{}", owner.path)));
        let pair = owner.map(|owner| (owner, tensors.tensor(name)));
        match pair {
            Some((Ok(owner), Ok(copy))) => {
                owner.shape() == copy.shape() && owner.data() == copy.data()
            }
            _ => false,
        }
    }

    /// Writes all weights as [`Model::load_weights`] reads them, in f32; a table that layers share is
    /// written once. `safetensors.torch.load_model(model, path)` takes them, and where nothing is
    /// shared `model.load_state_dict(safetensors.torch.load_file(path))`. The file is replaced as a
    /// whole.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; device errors.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed =
            |error: String| Error::Io { path: path.into(), source: std::io::Error::other(error) };
        self.check_order()?;
        let (parameters, mut entries) = (self.engine.parameters()?, Vec::new());
        for (name, place) in places(&self.graph, WeightOrder::Linear) {
            let values = place.in_file_order(&parameters[place.range.clone()]);
            let values = values.ok_or_else(|| failed(format!("`{name}` has no order of axes")))?;
            let bytes: Vec<u8> =
                values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
            entries.push((name, Dtype::F32, place.file_shape(), bytes));
        }
        for statistic in &self.graph.statistics {
            if let Some(layer) = statistic.path.strip_suffix("running_mean") {
                let count = self.progress.steps.to_le_bytes().to_vec();
                entries.push((format!("{layer}{COUNTER}"), Dtype::I64, Vec::new(), count));
            }
        }
        let views = entries
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| failed(error.to_string()))?;
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| failed(error.to_string()))?;
        files::write(path, &bytes)
    }
}
