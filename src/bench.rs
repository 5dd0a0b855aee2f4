//! Measures: how fast a device computes each loss with its gradient, the matrix product and a training step.
//!
//! Losses move bytes, so their measure is bytes ÷ time as a fraction of what a copy kernel of our own reaches in the same process on buffers of the same
//! size, the samples of both taken in turns. Counted are the bytes that the loss *must* move, each input read and each output written
//! once: whoever moves more gets a smaller fraction. The tensors live on the device, and buffers are used again; nothing is
//! uploaded, allocated or read back within a sample.
//!
//! ```
//! use gradus::{Device, bench};
//! let cases = bench::cases(&["mse".into()], true)?;
//! let found = bench::measure(&cases[0], &Device::cpu(), 3)?;
//! assert_eq!((found.name, found.device), ("mse", "cpu"));
//! assert!(found.seconds >= found.seconds_min && found.seconds_min > 0.0);
//! # Ok::<(), gradus::Error>(())
//! ```

mod gpu;
mod host;
mod step;

use serde::Serialize;

use crate::losses::{self, Domain, Family, Loss};
use crate::random::Random;
use crate::{Device, Error, Result};

/// Samples of a measure whose median is taken.
pub const SAMPLES: usize = 20;

/// A sample runs its work as often as fits this many seconds, so that the clock's grain and the submission do not show.
const SAMPLE_SECONDS: f64 = 2e-3;

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The loss's name, `copy`, `matmul` or `train_step`.
    pub name: &'static str,
    /// The shape of the predictions; [m, n, k] of a matrix product; batch, inputs and units of each layer of a training step.
    pub shape: Vec<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Copy,
    Loss,
    Matmul,
    TrainStep,
}

/// What was found: one object of `gradus bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The loss's name, `copy` or `matmul`.
    pub name: &'static str,
    /// `gpu`, `cpu` or `reference`.
    pub device: &'static str,
    /// The adapter, or the CPU with its threads.
    pub adapter: String,
    /// The shape of the predictions; [m, n, k] of a matrix product.
    pub shape: Vec<usize>,
    /// What the numbers are: `f32`, on `reference` `f64`.
    pub dtype: &'static str,
    /// Median of the samples.
    pub seconds: f64,
    /// The fastest sample.
    pub seconds_min: f64,
    /// Bytes that must be moved; none where arithmetic is the bound.
    pub bytes: Option<u64>,
    /// `bytes` ÷ `seconds` ÷ 10⁹.
    pub gb_per_s: Option<f64>,
    /// `gb_per_s` as a fraction of what the copy kernel reached on the same buffers in the same run.
    pub copy_fraction: Option<f64>,
    /// 10⁹ additions and multiplications of matrix products a second.
    pub gflop_per_s: Option<f64>,
    /// What the copy kernel reached.
    pub copy_gb_per_s: Option<f64>,
    /// `timestamps` of the device, or `wall`: the host's clock, with a wait for the device.
    pub clock: &'static str,
    /// How many samples were taken.
    pub samples: usize,
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
            let entry = losses::entry(name)?;
            let loss = losses::from_name(name, &serde_json::Value::Null)?;
            let shapes = match (loss.family(), entry.targets) {
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

/// Measures a case on a device.
///
/// # Errors
/// What the device reports: no room, or lost.
pub fn measure(case: &Case, device: &Device, samples: usize) -> Result<Measurement> {
    let mut bench = match device {
        _ if case.kind == Kind::TrainStep => step::prepare(device)?,
        Device::Gpu(gpu) => gpu::prepare(case, gpu)?,
        Device::Cpu => host::prepare::<f32>(case)?,
        Device::Reference => host::prepare::<f64>(case)?,
    };
    let samples = samples.max(1);
    let found = bench.sample(samples)?;
    let precision = if matches!(device, Device::Reference) { 2 } else { 1 };
    let bytes = case.bytes().map(|bytes| bytes * precision);
    let gb_per_s = bytes.map(|bytes| bytes as f64 / found.work.median / 1e9);
    let copy_gb_per_s = found.copy.map(|copy| (precision * case.copy_bytes()) as f64 / copy.median / 1e9);
    Ok(Measurement {
        name: case.name,
        device: device.name(),
        adapter: match device {
            Device::Gpu(gpu) => gpu.info().name.clone(),
            _ => device.describe(),
        },
        shape: case.shape.clone(),
        dtype: if precision == 2 { "f64" } else { "f32" },
        seconds: found.work.median,
        seconds_min: found.work.least,
        bytes,
        gb_per_s,
        copy_fraction: gb_per_s.zip(copy_gb_per_s).map(|(own, copy)| own / copy),
        gflop_per_s: case.flop().map(|flop| flop / found.work.median / 1e9),
        copy_gb_per_s,
        clock: bench.clock,
        samples,
    })
}

impl Case {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    fn has_labels(&self) -> bool {
        self.kind == Kind::Loss && losses::entry(self.name).is_ok_and(|entry| entry.targets == Domain::Class)
    }

    /// Bytes of f32 that the work must move: predictions and targets read, the gradient written.
    fn bytes(&self) -> Option<u64> {
        let elements = self.elements() as u64;
        match self.kind {
            Kind::Copy => Some(8 * elements),
            Kind::Loss if self.has_labels() => Some(8 * elements + 4 * (elements / self.columns() as u64)),
            Kind::Loss => Some(12 * elements),
            Kind::Matmul | Kind::TrainStep => None,
        }
    }

    /// Bytes that the copy kernel moves beside it.
    fn copy_bytes(&self) -> u64 {
        8 * self.elements() as u64
    }

    fn flop(&self) -> Option<f64> {
        match self.kind {
            Kind::Matmul => Some(2.0 * self.shape.iter().map(|&axis| axis as f64).product::<f64>()),
            Kind::TrainStep => Some(step::flop()),
            Kind::Copy | Kind::Loss => None,
        }
    }

    fn loss(&self) -> Result<Box<dyn Loss>> {
        losses::from_name(self.name, &serde_json::Value::Null)
    }

    /// Numbers for the predictions of the loss.
    fn predictions(&self, loss: &dyn Loss) -> Vec<f32> {
        let mut random = Random::new(1, 0);
        let normal = cycled(self.elements(), || random.normal() as f32);
        match loss.entry().predictions {
            Domain::LogDistribution => logarithms_of_softmax(normal, self.columns()),
            _ => normal,
        }
    }

    /// Dense targets that the loss takes.
    fn targets(&self, loss: &dyn Loss) -> Vec<f32> {
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
            Domain::Real | Domain::Class => cycled(elements, || random.normal() as f32),
        }
    }

    /// A label for each row.
    fn labels(&self) -> Vec<i64> {
        let mut random = Random::new(3, 0);
        let classes = self.columns() as f64;
        (0..self.elements() / self.columns()).map(|_| (random.uniform() * classes) as i64).collect()
    }
}

/// So many numbers from a block that repeats: a bench needs their spread, not their independence, and 2²⁴ draws take seconds.
fn cycled(elements: usize, mut draw: impl FnMut() -> f32) -> Vec<f32> {
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

/// Runs something so many times and tells the seconds that one run took.
type Run = Box<dyn FnMut(usize) -> Result<f64>>;

/// A case made ready on a device, with the copy to compare it to.
struct Bench {
    work: Run,
    copy: Option<Run>,
    clock: &'static str,
    /// How often a sample repeats its work at the least.
    repeats: usize,
    /// How many times the work is done in one run.
    inner: usize,
}

/// Median and least of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds {
    median: f64,
    least: f64,
}

struct Samples {
    work: Seconds,
    copy: Option<Seconds>,
}

impl Bench {
    /// Takes samples of the work and of the copy in turns, so that both see the same neighbours on the machine.
    fn sample(&mut self, samples: usize) -> Result<Samples> {
        let repeats = self.warm_up()?;
        let (mut work, mut copy) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
        for _ in 0..samples {
            work.push((self.work)(repeats.0)?);
            if let Some(run) = &mut self.copy {
                copy.push(run(repeats.1)?);
            }
        }
        Ok(Samples { work: Seconds::of(work), copy: self.copy.is_some().then(|| Seconds::of(copy)) })
    }

    /// Runs both twice, so that pipelines are made and memory is there, and finds how often a sample repeats them.
    fn warm_up(&mut self) -> Result<(usize, usize)> {
        let least = self.repeats;
        let fitting = |seconds: f64| ((SAMPLE_SECONDS / seconds.max(1e-9)).ceil() as usize).clamp(least, 1000);
        (self.work)(1)?;
        let work = fitting(self.inner as f64 * (self.work)(1)?);
        let copy = match &mut self.copy {
            None => 1,
            Some(run) => {
                run(1)?;
                fitting(run(1)?)
            }
        };
        Ok((work, copy))
    }
}

impl Seconds {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let middle = samples.len() / 2;
        let median =
            if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 };
        Seconds { median, least: samples[0] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Seconds::of(vec![4.0, 1.0, 2.0, 9.0]), Seconds { median: 3.0, least: 1.0 });
        assert_eq!(Seconds::of(vec![5.0, 1.0, 2.0]), Seconds { median: 2.0, least: 1.0 });
    }

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
