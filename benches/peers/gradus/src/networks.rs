//! Training steps of the networks of `zoo`: `fit`, as a user calls it, timed by the clock of its
//! epochs, from the weights of a file in PyTorch's names that both libraries read.

use gradus::losses::CrossEntropy;
use gradus::optimizers::{Adam, AdamW};
use gradus::{Device, Fit, History, Model, Sequential, zoo};
use ndarray::{ArrayD, IxDyn};

use crate::protocol::{Found, Prepared, Request, Result};

/// The file of the initial weights, in the folder of the inputs.
pub const WEIGHTS: &str = "weights.safetensors";

/// The network of a case; `None` for any other case.
pub fn network(request: &Request) -> Result<Option<Sequential>> {
    let images = |make: fn([usize; 3], usize) -> Sequential| -> Result<Sequential> {
        let [_, height, width, channels, classes] = request.sizes()?;
        Ok(make([height, width, channels], classes))
    };
    Ok(Some(match request.case.as_str() {
        "lenet5" => images(zoo::lenet5)?,
        "small_cnn" => images(zoo::small_cnn)?,
        "resnet8" => images(|image, classes| zoo::resnet(1, image, classes))?,
        "resnet20" => images(|image, classes| zoo::resnet(3, image, classes))?,
        "gpt" => {
            let [_, context, vocabulary, layers, heads, width] = request.sizes()?;
            let gpt = zoo::Gpt::new(vocabulary, context).layers(layers).heads(heads).width(width);
            gpt.bias(false).build()
        }
        _ => return Ok(None),
    }))
}

/// The parameter that is compared after the steps: the first with more than one axis behind the
/// tables.
fn compared(case: &str) -> &'static str {
    if case == "gpt" { "transformer.h.0.attn.c_attn.weight" } else { "conv1.weight" }
}

pub struct Network {
    model: Model,
    features: ArrayD<f32>,
    labels: ArrayD<i64>,
    batch: usize,
    compared: &'static str,
    is_gpt: bool,
    losses: Vec<f64>,
}

impl Network {
    pub fn new(request: &Request, network: Sequential, device: &Device) -> Result<Self> {
        let is_gpt = request.case == "gpt";
        let (&batch, sizes) = request.shape.split_first().ok_or("a network without a batch")?;
        let rows = batch * request.steps;
        let labels: Vec<i64> = request.integers("labels")?.into_iter().map(i64::from).collect();
        let (features, shape, label_shape) = match is_gpt {
            // Ids are whole numbers far below 2²⁴.
            true => {
                let ids = request.integers("ids")?.into_iter().map(|id| id as f32).collect();
                (ids, vec![rows, sizes[0]], vec![rows, sizes[0]])
            }
            false => (request.floats("features")?, [&[rows], &sizes[..3]].concat(), vec![rows]),
        };
        let model = network.on(device)?;
        let mut model = match is_gpt {
            true => {
                let optimizer = AdamW::new().learning_rate(1e-3).beta1(0.9).beta2(0.99);
                model.compile(CrossEntropy::new(), optimizer.weight_decay(0.1))?
            }
            false => model.compile(CrossEntropy::new(), Adam::new().learning_rate(1e-3))?,
        };
        model.load_weights(request.inputs.join(WEIGHTS))?;
        Ok(Network {
            model,
            features: ArrayD::from_shape_vec(IxDyn(&shape), features)?,
            labels: ArrayD::from_shape_vec(IxDyn(&label_shape), labels)?,
            batch,
            compared: compared(&request.case),
            is_gpt,
            losses: Vec::new(),
        })
    }

    fn fit(&mut self, times: usize) -> Result<History> {
        let fit = Fit::new().epochs(times).batch_size(self.batch).shuffle(false).progress(false);
        let fit = if self.is_gpt { fit.clip_norm(1.0) } else { fit };
        let history = self.model.fit(&self.features, &self.labels, fit)?;
        self.losses.clone_from(&history.steps);
        Ok(history)
    }
}

impl Prepared for Network {
    fn run(&mut self, times: usize) -> Result<()> {
        self.fit(times).map(|_| ())
    }

    fn clock(&mut self, times: usize) -> Result<f64> {
        Ok(self.fit(times)?.epochs.iter().map(|epoch| epoch.seconds * 1e3).sum())
    }

    fn found(&mut self) -> Result<Found> {
        let named = self.model.named_parameters()?.into_iter();
        let weight = named.into_iter().find(|(name, _)| name == self.compared);
        let (_, weight) = weight.ok_or_else(|| format!("no parameter {}", self.compared))?;
        let narrow = |x: &f64| *x as f32;
        Ok(Found {
            value: self.losses.last().copied(),
            tensors: vec![
                ("losses", self.losses.iter().map(narrow).collect()),
                ("weight0", weight.iter().map(narrow).collect()),
            ],
        })
    }
}
