//! What is measured: losses on shapes of practice, with inputs that they take, and the bytes that must move.

use super::step;
use crate::losses::{self, Domain, Family, Loss};
use crate::random::Random;
use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The loss's name, `copy`, `matmul` or `train_step`.
    pub name: &'static str,
    /// The shape of the predictions; [m, n, k] of a matrix product; batch, inputs and units of each layer of a training step.
    pub shape: Vec<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Copy,
    Loss,
    Matmul,
    TrainStep,
}

/// The cases of these names; of all losses, `copy`, `matmul` and `train_step` if there are none. `brief` takes smaller shapes.
///
/// # Errors
/// [`Error::Unknown`] for a name that cannot be measured.
pub fn cases(names: &[String], brief: bool) -> Result<Vec<Case>> {
    let all =
        || ["copy"].into_iter().chain(losses::CATALOGUE.iter().map(|entry| entry.name)).chain(["matmul", "train_step"]);
    if let Some(name) = names.iter().find(|name| !all().any(|known| known == name.as_str())) {
        return Err(Error::unknown("benchmark", name, all()));
    }
    let mut cases = Vec::new();
    for name in all().filter(|name| names.is_empty() || names.iter().any(|asked| asked == name)) {
        let (kind, shapes) = shapes(name, brief)?;
        cases.extend(shapes.into_iter().map(|shape| Case { name, shape, kind }));
    }
    Ok(cases)
}

fn shapes(name: &str, brief: bool) -> Result<(Kind, Vec<Vec<usize>>)> {
    let pointwise = vec![vec![if brief { 1 << 22 } else { 1 << 24 }]];
    Ok(match name {
        "copy" => (Kind::Copy, pointwise),
        "matmul" if brief => (Kind::Matmul, vec![vec![512; 3]]),
        "matmul" => (Kind::Matmul, vec![vec![512; 3], vec![1024; 3]]),
        "train_step" => (Kind::TrainStep, vec![step::SHAPE.to_vec()]),
        _ => {
            let loss = losses::from_name(name, &serde_json::Value::Null)?;
            let shapes = match (loss.family(), loss.targets()) {
                (Family::Pointwise(_), _) => pointwise,
                (Family::Rowwise(_), Domain::Class) if !brief => {
                    vec![vec![1024, 32_000], vec![4096, 1000], vec![65_536, 10]]
                }
                (Family::Rowwise(_), _) => vec![vec![4096, 1000]],
            };
            (Kind::Loss, shapes)
        }
    })
}

impl Case {
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    pub(super) fn has_labels(&self) -> bool {
        self.kind == Kind::Loss && self.loss().is_ok_and(|loss| loss.targets() == Domain::Class)
    }

    /// Bytes of f32 that the work must move: predictions and targets read, the gradient written.
    pub(super) fn bytes(&self) -> Option<u64> {
        let elements = self.elements() as u64;
        match self.kind {
            Kind::Copy => Some(8 * elements),
            Kind::Loss if self.has_labels() => Some(8 * elements + 4 * (elements / self.columns() as u64)),
            Kind::Loss => Some(12 * elements),
            Kind::Matmul | Kind::TrainStep => None,
        }
    }

    /// Bytes that the copy kernel moves beside it.
    pub(super) fn copy_bytes(&self) -> u64 {
        8 * self.elements() as u64
    }

    pub(super) fn flop(&self) -> Option<f64> {
        match self.kind {
            Kind::Matmul => Some(2.0 * self.shape.iter().map(|&axis| axis as f64).product::<f64>()),
            Kind::TrainStep => Some(step::flop()),
            Kind::Copy | Kind::Loss => None,
        }
    }

    pub(super) fn loss(&self) -> Result<Box<dyn Loss>> {
        losses::from_name(self.name, &serde_json::Value::Null)
    }

    /// Numbers for the predictions of the loss.
    pub(super) fn predictions(&self, loss: &dyn Loss) -> Vec<f32> {
        let mut random = Random::new(1, 0);
        let normal = cycled(self.elements(), || random.normal() as f32);
        match loss.predictions() {
            Domain::LogDistribution => logarithms_of_softmax(normal, self.columns()),
            Domain::Probability => normal.into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Domain::Positive => normal.into_iter().map(f32::exp).collect(),
            _ => normal,
        }
    }

    /// Dense targets that the loss takes.
    pub(super) fn targets(&self, loss: &dyn Loss) -> Vec<f32> {
        let mut random = Random::new(2, 0);
        let elements = self.elements();
        match loss.targets() {
            Domain::Sign => cycled(elements, || if random.uniform() < 0.5 { -1.0 } else { 1.0 }),
            Domain::ZeroOne | Domain::Probability => cycled(elements, || random.uniform().round() as f32),
            Domain::LogDistribution | Domain::Distribution => {
                let normal = cycled(elements, || random.normal() as f32);
                let logarithms = logarithms_of_softmax(normal, self.columns());
                logarithms.into_iter().map(f32::exp).collect()
            }
            Domain::Positive => cycled(elements, || random.normal().exp() as f32),
            Domain::NonNegative => cycled(elements, || (6.0 * random.uniform()).floor() as f32),
            Domain::Real | Domain::Exponent | Domain::Class => cycled(elements, || random.normal() as f32),
        }
    }

    /// A label for each row.
    pub(super) fn labels(&self) -> Vec<i64> {
        let mut random = Random::new(3, 0);
        let classes = self.columns() as f64;
        (0..self.elements() / self.columns()).map(|_| (random.uniform() * classes) as i64).collect()
    }
}

/// So many numbers from a block that repeats: a bench needs their spread, not their independence, and 2²⁴ draws take seconds.
pub(super) fn cycled(elements: usize, mut draw: impl FnMut() -> f32) -> Vec<f32> {
    // A prime, so that rows of common lengths do not repeat one another.
    let block: Vec<f32> = (0..elements.min(65_521)).map(|_| draw()).collect();
    block.iter().copied().cycle().take(elements).collect()
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
    fn bytes_are_those_that_must_move() {
        let bytes = |name: &str| cases(&[name.into()], true).unwrap()[0].bytes();
        assert_eq!(bytes("mse"), Some(12 << 22));
        assert_eq!(bytes("cross_entropy"), Some(8 * 4_096_000 + 4 * 4096));
        assert_eq!(bytes("kl_div"), Some(12 * 4_096_000));
        assert_eq!(bytes("copy"), Some(8 << 22));
        assert_eq!(bytes("matmul"), None);
    }

    #[test]
    fn every_loss_is_measured_and_other_names_are_refused() {
        let cases = cases(&[], false).unwrap();
        for entry in losses::CATALOGUE {
            assert!(cases.iter().any(|case| case.name == entry.name), "{}", entry.name);
        }
        let error = super::cases(&["mze".into()], false).unwrap_err().to_string();
        assert!(error.starts_with("unknown benchmark `mze`; known: copy, mse"), "{error}");
    }

    #[test]
    fn targets_are_such_as_the_loss_takes() {
        for entry in losses::CATALOGUE {
            let case = Case { name: entry.name, shape: vec![4, 5], kind: Kind::Loss };
            let loss = case.loss().unwrap();
            crate::inputs::check_dense(&*loss, &case.targets(&*loss)).unwrap();
            crate::inputs::check_labels(&*loss, &case.labels(), 5, |_| true).unwrap();
        }
    }
}
