//! Benchmark cases: losses, products, layers, steps and epochs on realistic shapes, with matching
//! inputs.

use crate::cpu::matmul::Layout;
use crate::cpu::random::Random;
use crate::losses::{Domain, LossDefinition, OneInput, SeveralInputs, Template};
use crate::templates::multi_input::cpu::Example;
use crate::{Error, Result, losses};

/// A benchmark case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name of the loss or of another benchmark, as in [`cases`].
    pub name: &'static str,
    /// The shape of the predictions; operations of `fma`; ids, rows and width of an embedding; [m,
    /// n, k] of a matrix product; [batch, inputs, units] of a dense layer; batch, inputs and units
    /// of each layer of a training step, preceded by the number of rows for an epoch.
    pub shape: Vec<usize>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Copy,
    Read,
    Fma,
    Loss,
    Matmul(Layout),
    Dense,
    Adam,
    /// The gradient of gathered rows and Adagrad on those rows; or a dense gradient and a dense
    /// step.
    Embedding {
        dense: bool,
    },
    TrainStep,
    Epoch,
}

/// Size of the shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Small shapes, one per benchmark: for CI.
    Quick,
    /// Realistic shapes.
    Standard,
    /// The standard shapes, and larger ones that fill a GPU's memory.
    Large,
}

/// The ceilings, the baseline of every other case.
const CEILINGS: [&str; 3] = ["copy", "read", "fma"];

/// Benchmarks other than the losses.
const OTHERS: [&str; 9] = [
    "matmul",
    "matmul_nt",
    "matmul_tn",
    "dense",
    "adam",
    "embedding",
    "embedding_dense",
    "train_step",
    "epoch",
];

/// The groups in report order: the most requested first.
const GROUPS: [&str; 9] = [
    "ceilings",
    "products and layers",
    "optimizers and embeddings",
    "training",
    "losses: a value for each element",
    "losses: a value for each row",
    "losses: a value for each list",
    "losses of several inputs",
    "losses behind a linear layer",
];

/// Operations of one run of the FMA kernel: some milliseconds on two cores. A GPU executes it many
/// times per run.
pub(crate) const FMA_FLOPS: usize = 3 << 28;

/// Shapes of the networks for training steps: batch, inputs, units.
const STEPS: [&[usize]; 3] = [&[64, 784, 128, 10], &[512, 784, 128, 10], &[128, 784, 512, 512, 10]];

/// The cases of these names; all of them if `names` is empty: `copy`, `read` and `fma` (the
/// device's ceilings), the losses, `matmul` with its layouts `matmul_nt` and `matmul_tn`, `dense`
/// (a layer forward and backward), `adam` (a step over one flat buffer), `embedding` (the gradient
/// of gathered rows and Adagrad on those), `embedding_dense` (the same by a dense gradient and a
/// dense step), `train_step` and `epoch`.
///
/// # Errors
/// [`Error::Unknown`] for an unknown name, with the known ones.
pub fn cases(names: &[String], size: Size) -> Result<Vec<Case>> {
    let all = || {
        CEILINGS.into_iter().chain(losses::CATALOGUE.iter().map(|entry| entry.name)).chain(OTHERS)
    };
    if let Some(name) = names.iter().find(|name| !all().any(|known| known == name.as_str())) {
        return Err(Error::unknown("benchmark", name, all()));
    }
    let mut cases = Vec::new();
    for name in all().filter(|name| names.is_empty() || names.iter().any(|asked| asked == name)) {
        let kind = kind(name);
        let shapes = match kind {
            Kind::Loss => loss_shapes(name, size)?,
            _ => shapes(kind, size),
        };
        cases.extend(shapes.into_iter().map(|shape| Case { name, shape, kind }));
    }
    Ok(cases)
}

/// The cases that measure a device's ceilings: a copy, a read and chains of fused multiply-adds.
pub fn ceilings(size: Size) -> Vec<Case> {
    let case = |name| {
        let kind = kind(name);
        shapes(kind, size).into_iter().take(1).map(move |shape| Case { name, shape, kind })
    };
    CEILINGS.into_iter().flat_map(case).collect()
}

fn kind(name: &str) -> Kind {
    match name {
        "copy" => Kind::Copy,
        "read" => Kind::Read,
        "fma" => Kind::Fma,
        "matmul" => Kind::Matmul(Layout::NN),
        "matmul_nt" => Kind::Matmul(Layout::NT),
        "matmul_tn" => Kind::Matmul(Layout::TN),
        "dense" => Kind::Dense,
        "adam" => Kind::Adam,
        "embedding" => Kind::Embedding { dense: false },
        "embedding_dense" => Kind::Embedding { dense: true },
        "train_step" => Kind::TrainStep,
        "epoch" => Kind::Epoch,
        _ => Kind::Loss,
    }
}

/// Shapes by size: the quick one, the standard ones, and those that fill a GPU.
fn chosen(
    size: Size,
    quick: &[&[usize]],
    standard: &[&[usize]],
    large: &[&[usize]],
) -> Vec<Vec<usize>> {
    let shapes = match size {
        Size::Quick => quick.to_vec(),
        Size::Standard => standard.to_vec(),
        Size::Large => [standard, large].concat(),
    };
    shapes.into_iter().map(<[usize]>::to_vec).collect()
}

fn shapes(kind: Kind, size: Size) -> Vec<Vec<usize>> {
    match kind {
        Kind::Copy | Kind::Read => chosen(size, &[&[1 << 22]], &[&[1 << 24]], &[&[1 << 28]]),
        Kind::Fma => vec![vec![FMA_FLOPS]],
        Kind::Matmul(Layout::NN) => chosen(
            size,
            &[&[512; 3]],
            &[&[512; 3], &[1024; 3], &[2048; 3]],
            &[&[4096; 3], &[8192; 3]],
        ),
        Kind::Matmul(_) => chosen(size, &[&[512; 3]], &[&[1024; 3]], &[&[4096; 3]]),
        Kind::Dense => vec![vec![512, 784, 512]],
        Kind::Adam => chosen(size, &[&[1 << 20]], &[&[1 << 24]], &[&[1 << 28]]),
        // Ids, rows, width: words of a batch of text.
        Kind::Embedding { .. } => {
            chosen(size, &[&[512, 4096, 64]], &[&[4096, 14_563, 256]], &[&[65_536, 1 << 20, 256]])
        }
        Kind::TrainStep => chosen(size, &STEPS[..1], &STEPS, &[]),
        Kind::Epoch => {
            chosen(size, &[&[2000, 64, 784, 10, 10]], &[&[10_000, 64, 784, 10, 10]], &[])
        }
        Kind::Loss => Vec::new(),
    }
}

fn loss_shapes(name: &str, size: Size) -> Result<Vec<Vec<usize>>> {
    let loss = losses::from_name(name, &serde_json::Value::Null)?;
    Ok(match loss.template() {
        // The other libraries were timed at the smaller shape.
        Template::OneInput(OneInput::Pointwise(_)) if name == "bce_with_logits" => {
            chosen(size, &[&[1 << 22]], &[&[1 << 22], &[1 << 24]], &[&[1 << 28]])
        }
        Template::OneInput(OneInput::Pointwise(_)) => {
            chosen(size, &[&[1 << 22]], &[&[1 << 24]], &[&[1 << 28]])
        }
        Template::OneInput(OneInput::Rowwise(_)) if name == "cross_entropy" => chosen(
            size,
            &[&[4096, 1000]],
            &[&[1024, 32_000], &[4096, 1000], &[6553, 100], &[65_536, 10], &[327_680, 2]],
            &[&[16_384, 32_768], &[8192, 128_256]],
        ),
        // Most tables have few classes.
        Template::OneInput(OneInput::Rowwise(_)) if loss.targets().takes_labels() => chosen(
            size,
            &[&[4096, 1000]],
            &[&[4096, 1000], &[6553, 100], &[65_536, 10], &[327_680, 2]],
            &[&[16_384, 32_768]],
        ),
        Template::OneInput(OneInput::Rowwise(_)) if loss.targets().pads() => chosen(
            size,
            &[&[40_960, 100], &[4096, 1000]],
            &[&[40_960, 100], &[4096, 1000]],
            &[&[1 << 20, 100]],
        ),
        Template::OneInput(OneInput::Rowwise(_)) => {
            chosen(size, &[&[4096, 1000]], &[&[4096, 1000]], &[&[16_384, 32_768]])
        }
        Template::OneInput(OneInput::Listwise(_)) => chosen(
            size,
            &[&[4096, 100], &[64, 1000]],
            &[&[4096, 100], &[64, 1000]],
            &[&[65_536, 100]],
        ),
        Template::Several(SeveralInputs::Sequence { .. } | SeveralInputs::Transducer { .. }, _) => {
            chosen(size, &[&[3200, 64]], &[&[3200, 64]], &[&[32_000, 1000]])
        }
        // Rows and features; the classes are 128 times as many (`LinearTemplate::example`). For
        // completions all tokens are rows.
        Template::Several(SeveralInputs::Linear | SeveralInputs::Completions { .. }, _) => {
            chosen(size, &[&[64, 256]], &[&[128, 256]], &[&[4096, 1024]])
        }
        Template::Several(SeveralInputs::Preference, _) => {
            chosen(size, &[&[4096, 1]], &[&[4096, 1]], &[&[1 << 20, 1]])
        }
        Template::Several(SeveralInputs::Regions, _) => {
            chosen(size, &[&[12, 4096]], &[&[12, 65_536]], &[&[96, 1 << 18]])
        }
        Template::Several(SeveralInputs::Boxes, _) => {
            chosen(size, &[&[4096, 4]], &[&[1 << 20, 4]], &[&[1 << 22, 4]])
        }
        Template::Several(SeveralInputs::Policy(_), _) => {
            chosen(size, &[&[64, 1024]], &[&[64, 1024]], &[&[512, 8192]])
        }
        Template::Several(SeveralInputs::Survival, _) => {
            chosen(size, &[&[64, 1000]], &[&[64, 1000]], &[&[16, 16_384]])
        }
        Template::Several(SeveralInputs::Covariance(_), _) => {
            chosen(size, &[&[256, 256]], &[&[1024, 1024]], &[&[2048, 8192]])
        }
        Template::Several(SeveralInputs::TwoInput, _) => {
            chosen(size, &[&[4096, 1024]], &[&[4096, 1024]], &[&[1 << 16, 1 << 12]])
        }
        Template::Several(SeveralInputs::Similarity(_), _) => {
            chosen(size, &[&[512, 128]], &[&[2048, 128]], &[&[16_384, 512]])
        }
        Template::Several(SeveralInputs::Proxies { .. }, _) => {
            chosen(size, &[&[512, 128]], &[&[2048, 128]], &[&[16_384, 512]])
        }
        Template::Several(SeveralInputs::Distance, _) => {
            chosen(size, &[&[8192, 128]], &[&[65_536, 128]], &[&[1 << 20, 128]])
        }
    })
}

impl Case {
    /// The group: `ceilings`, `products and layers`, `optimizers and embeddings`, `training`, and
    /// the losses by kind: per element, per row, per list, multi-input, or behind a linear layer.
    pub fn group(&self) -> &'static str {
        match self.kind {
            Kind::Copy | Kind::Read | Kind::Fma => GROUPS[0],
            Kind::Matmul(_) | Kind::Dense => GROUPS[1],
            Kind::Adam | Kind::Embedding { .. } => GROUPS[2],
            Kind::TrainStep | Kind::Epoch => GROUPS[3],
            Kind::Loss => match self.loss() {
                Ok(loss) => match loss.template() {
                    Template::OneInput(OneInput::Pointwise(_)) => GROUPS[4],
                    Template::OneInput(OneInput::Rowwise(_)) => GROUPS[5],
                    Template::OneInput(OneInput::Listwise(_)) => GROUPS[6],
                    Template::Several(
                        SeveralInputs::Linear | SeveralInputs::Completions { .. },
                        _,
                    ) => GROUPS[8],
                    Template::Several(..) => GROUPS[7],
                },
                Err(_) => GROUPS[7],
            },
        }
    }

    /// Index of its group in a report.
    pub fn place(&self) -> usize {
        GROUPS.iter().position(|group| *group == self.group()).unwrap_or(GROUPS.len())
    }

    pub(crate) fn elements(&self) -> usize {
        match self.kind {
            // Elements of the table.
            Kind::Embedding { .. } => self.shape[1] * self.shape[2],
            _ => self.shape.iter().product(),
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    pub(crate) fn has_labels(&self) -> bool {
        self.kind == Kind::Loss && self.loss().is_ok_and(|loss| loss.targets().takes_labels())
    }

    pub(crate) fn loss(&self) -> Result<Box<dyn LossDefinition>> {
        losses::from_name(self.name, &serde_json::Value::Null)
    }

    /// Random predictions for the loss.
    pub(crate) fn predictions(&self, loss: &dyn LossDefinition) -> Vec<f32> {
        let normal = normal(self.elements(), 1);
        match loss.predictions() {
            Domain::LogDistribution => logarithms_of_softmax(normal, self.columns()),
            Domain::Probability => normal.into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Domain::Positive => normal.into_iter().map(f32::exp).collect(),
            _ => normal,
        }
    }

    /// Random dense targets for the loss.
    pub(crate) fn targets(&self, loss: &dyn LossDefinition) -> Vec<f32> {
        let mut random = Random::new(2, 0);
        let elements = self.elements();
        match loss.targets() {
            Domain::Sign => cycled(elements, || if random.uniform() < 0.5 { -1.0 } else { 1.0 }),
            Domain::ZeroOne | Domain::Probability => {
                cycled(elements, || random.uniform().round() as f32)
            }
            Domain::LogDistribution | Domain::Distribution => {
                let logarithms = logarithms_of_softmax(normal(elements, 2), self.columns());
                logarithms.into_iter().map(f32::exp).collect()
            }
            Domain::Positive | Domain::Variance => {
                cycled(elements, || random.normal().exp() as f32)
            }
            Domain::Relevance | Domain::Grade => {
                cycled(elements, || (5.0 * random.uniform()).floor() as f32)
            }
            Domain::Time => cycled(elements, || random.normal().exp() as f32),
            Domain::LogProbability => cycled(elements, || -random.normal().exp() as f32),
            Domain::ClassList => cycled(elements, || (8.0 * random.uniform()).floor() as f32 - 1.0),
            Domain::NonNegative => cycled(elements, || (6.0 * random.uniform()).floor() as f32),
            Domain::Real
            | Domain::Exponent
            | Domain::Logits
            | Domain::Cosine
            | Domain::Class
            | Domain::Label => normal(elements, 2),
        }
    }

    /// The inputs of a multi-input loss: floating-point ones and integer ones.
    pub(crate) fn arguments(&self, loss: &dyn LossDefinition) -> [Vec<(Example, Vec<f32>)>; 2] {
        let Template::Several(_, host) = loss.template() else { return Default::default() };
        let (rows, columns) = (self.elements() / self.columns(), self.columns());
        let made = host.example(rows, columns).into_iter().enumerate().map(|(number, example)| {
            let argument = loss.arguments().iter().find(|argument| argument.name == example.name);
            let (domain, is_whole) =
                argument.map_or((Domain::Real, false), |a| (a.domain, a.role.is_integers()));
            let (length, seed) = (example.shape.iter().product(), 1 + number as u64);
            let mut random = Random::new(seed, 0);
            let (from, spread) = (example.from as f64, (example.below - example.from) as f64);
            let values = match domain {
                _ if is_whole => {
                    cycled(length, || (from + random.uniform() * spread).floor() as f32)
                }
                Domain::Sign => cycled(length, || if random.uniform() < 0.5 { -1.0 } else { 1.0 }),
                Domain::ZeroOne | Domain::Probability => {
                    cycled(length, || random.uniform().round() as f32)
                }
                Domain::Positive | Domain::NonNegative | Domain::Variance => {
                    cycled(length, || random.normal().exp() as f32)
                }
                Domain::LogProbability => cycled(length, || -random.normal().exp() as f32),
                _ => normal(length, seed),
            };
            (is_whole, (example, values))
        });
        let (whole, numbers): (Vec<_>, Vec<_>) = made.partition(|(is_whole, _)| *is_whole);
        let [mut numbers, whole]: [Vec<(Example, Vec<f32>)>; 2] =
            [numbers, whole].map(|list| list.into_iter().map(|(_, made)| made).collect());
        // Bounds in order: the upper one is moved up by the lower.
        let of = |name: &str| numbers.iter().position(|(example, _)| example.name == name);
        if let (Some(lower), Some(upper)) = (of("lower"), of("upper")) {
            let lower = numbers[lower].1.clone();
            numbers[upper].1.iter_mut().zip(lower).for_each(|(upper, lower)| *upper += lower);
        }
        [numbers, whole]
    }

    /// Row ids, distributed like the words of a text: id k with probability proportional to 1/(k +
    /// 1).
    pub(crate) fn ids(&self) -> Vec<i32> {
        let (mut random, rows) = (Random::new(5, 0), self.shape[1] as f64);
        (0..self.shape[0]).map(|_| (rows + 1.0).powf(random.uniform()) as i32 - 1).collect()
    }

    /// Number of distinct rows among those ids.
    pub(crate) fn rows_hit(&self) -> usize {
        self.ids().into_iter().collect::<std::collections::HashSet<_>>().len()
    }

    /// A label per row.
    pub(crate) fn labels(&self) -> Vec<i64> {
        let mut random = Random::new(3, 0);
        let classes = self.columns() as f64;
        (0..self.elements() / self.columns()).map(|_| (random.uniform() * classes) as i64).collect()
    }
}

/// `elements` numbers from a repeating block: a benchmark needs their distribution, not their
/// independence, and 2²⁴ draws take seconds.
pub(crate) fn cycled(elements: usize, mut draw: impl FnMut() -> f32) -> Vec<f32> {
    // A prime length, so that rows of common lengths differ.
    let block: Vec<f32> = (0..elements.min(65_521)).map(|_| draw()).collect();
    block.iter().copied().cycle().take(elements).collect()
}

/// `elements` normal numbers.
pub(crate) fn normal(elements: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    cycled(elements, || random.normal() as f32)
}

fn logarithms_of_softmax(mut logits: Vec<f32>, columns: usize) -> Vec<f32> {
    for row in logits.chunks_mut(columns) {
        let lse = row.iter().map(|z| f64::from(*z).exp()).sum::<f64>().ln() as f32;
        row.iter_mut().for_each(|z| *z -= lse);
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_measured_and_other_names_are_refused() {
        let cases = cases(&[], Size::Standard).unwrap();
        for entry in losses::CATALOGUE {
            assert!(cases.iter().any(|case| case.name == entry.name), "{}", entry.name);
        }
        let error = super::cases(&["mze".into()], Size::Standard).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown benchmark `mze`; known: copy, read, fma, mse"),
            "{error}"
        );
        assert!(
            error.ends_with("matmul, matmul_nt, matmul_tn, dense, adam, embedding, embedding_dense, train_step, epoch"),
            "{error}"
        );
    }

    #[test]
    fn each_size_has_a_case_of_each_name_and_a_larger_one_no_fewer() {
        let names =
            |size| cases(&[], size).unwrap().iter().map(|case| case.name).collect::<Vec<_>>();
        let [quick, standard, large] = [Size::Quick, Size::Standard, Size::Large].map(names);
        assert!(quick.len() < standard.len() && standard.len() < large.len());
        assert!(large.iter().all(|name| quick.contains(name)));
        assert_eq!(
            ceilings(Size::Large).iter().map(|case| case.name).collect::<Vec<_>>(),
            CEILINGS
        );
    }

    #[test]
    fn targets_are_such_as_the_loss_takes() {
        for entry in losses::CATALOGUE {
            let case = Case { name: entry.name, shape: vec![4, 5], kind: Kind::Loss };
            let loss = case.loss().unwrap();
            if let Template::Several(..) = loss.template() {
                assert!(!case.arguments(&*loss)[0].is_empty(), "{}", entry.name);
                continue;
            }
            match loss.targets().takes_labels() {
                true => crate::criterion::domain::check_labels(&*loss, &case.labels(), 5, |_| true)
                    .unwrap(),
                false => {
                    crate::criterion::domain::check_dense(&*loss, &case.targets(&*loss)).unwrap()
                }
            }
        }
    }
}
