//! Measures the learning-rate range test, and the verdicts on trainings, on real data.
//!
//! ```text
//! cargo run --release --example learning_rates -- FOLDER [cpu|gpu|reference] [--trainings]
//! ```
//!
//! FOLDER holds what is there of `digits.csv.gz`, `housing.csv` (California), `breast_cancer.csv`
//! and `fashion-mnist-12k` (IDX files). For each data set and SGD, momentum and Adam it trains 300
//! steps at each rate of a grid, and prints how much of what can be learnt the rate of
//! [`RangeTest`] loses against the best: its regret, (loss at that rate − best) / (loss of the best
//! constant − best), all on held-out rows. The network has 64 hidden units, batches of 64.
//!
//! With `--trainings` it prints for each data set, optimizer and ten rates what the diagnosis says
//! of the first 200 of 400 steps, and what is right: too small or too large is a rate below or above
//! those whose held-out loss at the end is within a tenth of the best.

use std::path::{Path, PathBuf};

use gradus::activations::Relu;
use gradus::data::{self, Encoding, EncodingOptions, ReadOptions, Table, TableOptions, TargetKind};
use gradus::losses::{CrossEntropy, LossDefinition, Mse};
use gradus::optimizers::{Adam, Optimizer, Sgd};
use gradus::random::Permutation;
use gradus::rates::{RangeTest, Verdict};
use gradus::{Dense, Device, Fit, Model, Result, Sequential};
use ndarray::{Array1, Array2, Axis};

/// Rows with classes, or with one number each.
struct Task {
    name: &'static str,
    x: Array2<f32>,
    classes: Option<Array1<i64>>,
    numbers: Array2<f32>,
    /// Outputs of the network.
    outputs: usize,
    /// Loss of the best constant.
    constant: f64,
}

/// A fifth of the rows is held out.
struct Split {
    train: Vec<usize>,
    held_out: Vec<usize>,
}

fn table(
    path: &Path,
    target: &str,
    kind: TargetKind,
    most: usize,
) -> Result<(Array2<f32>, Array2<f32>)> {
    let table = Table::read(path, &TableOptions::default())?;
    let order = Permutation::new(table.rows() as u32, 0, 0);
    let rows: Vec<usize> = (0..table.rows()).map(|row| order.at(row as u32) as usize).collect();
    let options = EncodingOptions::default().target(target).kind(kind);
    let encoding = Encoding::fit(&table, &rows, &options)?;
    let all = encoding.apply(&table)?;
    let rows = &rows[..most.min(rows.len())];
    let y = match kind {
        TargetKind::Standardized => all.values()?.select(Axis(0), rows),
        _ => all.labels()?.mapv(|label| label as f32).insert_axis(Axis(1)).select(Axis(0), rows),
    };
    Ok((all.features.select(Axis(0), rows), y))
}

fn tasks(folder: &Path) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let of_classes = |name, x: Array2<f32>, y: Array1<i64>, outputs: usize| Task {
        name,
        numbers: Array2::zeros((x.nrows(), 1)),
        x,
        classes: Some(y),
        outputs,
        constant: (outputs as f64).ln(),
    };
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    if let Some(path) = there("fashion-mnist-12k") {
        let rows = data::read(&path, &ReadOptions::default())?.train;
        let most = rows.rows().min(12_000);
        let (x, y) = (rows.features.slice(ndarray::s![..most, ..]).to_owned(), rows.labels()?);
        tasks.push(of_classes("fashion", x, y.slice(ndarray::s![..most]).to_owned(), 10));
    }
    if let Some(path) = there("digits.csv.gz") {
        let options = ReadOptions::default().target("64");
        let rows = data::read(&path, &options)?.train.shuffled(0)?;
        tasks.push(of_classes("digits", rows.features.mapv(|x| x / 16.0), rows.labels()?, 10));
    }
    if let Some(path) = there("housing.csv") {
        let (x, numbers) = table(&path, "median_house_value", TargetKind::Standardized, 6000)?;
        tasks.push(Task {
            name: "california",
            x,
            classes: None,
            numbers,
            outputs: 1,
            constant: 1.0,
        });
    }
    if let Some(path) = there("breast_cancer.csv") {
        let (x, y) = table(&path, "malignant", TargetKind::Classes, usize::MAX)?;
        let y = y.index_axis(Axis(1), 0).mapv(|class| class as i64);
        tasks.push(of_classes("breast cancer", x, y, 2));
    }
    Ok(tasks)
}

/// A name, and what makes the optimizer.
type Named = (&'static str, Box<dyn Fn() -> Box<dyn Optimizer>>);

fn optimizers() -> [Named; 3] {
    [
        ("sgd", Box::new(|| Box::new(Sgd::new()))),
        ("sgd+momentum", Box::new(|| Box::new(Sgd::new().momentum(0.9)))),
        ("adam", Box::new(|| Box::new(Adam::new()))),
    ]
}

impl Task {
    fn split(&self) -> Split {
        let rows = self.x.nrows();
        let train = rows * 4 / 5;
        Split { train: (0..train).collect(), held_out: (train..rows).collect() }
    }

    fn model(&self, seed: u64, optimizer: Box<dyn Optimizer>, device: &Device) -> Result<Model> {
        let loss: Box<dyn LossDefinition> = if self.classes.is_some() {
            Box::new(CrossEntropy::new())
        } else {
            Box::new(Mse::new())
        };
        Sequential::new(self.x.ncols())
            .then(Dense::new(64).activation(Relu))
            .then(Dense::new(self.outputs))
            .seed(seed)
            .on(device)?
            .compile_boxed(loss, optimizer)
    }

    /// Calls with the targets of some rows, whatever their type.
    fn with<T>(&self, rows: &[usize], call: impl FnOnce(&Array2<f32>, gradus::Targets) -> T) -> T {
        let x = self.x.select(Axis(0), rows);
        match &self.classes {
            Some(classes) => call(&x, (&classes.select(Axis(0), rows)).into()),
            None => call(&x, (&self.numbers.select(Axis(0), rows)).into()),
        }
    }

    /// The held-out loss behind some steps at a rate, and the trained model's history.
    fn train(&self, model: &mut Model, rate: f64, steps: usize) -> Result<(f64, gradus::History)> {
        let Split { train, held_out } = self.split();
        let fit = Fit::new().batch_size(64).epochs(10_000).steps(steps).learning_rate(rate);
        let history = self.with(&train, |x, y| model.fit(x, y, fit.progress(false)))?;
        let ended = history.stopped.is_some();
        let loss = self.with(&held_out, |x, y| model.evaluate(x, y))?.loss;
        Ok((if ended || !loss.is_finite() { f64::INFINITY } else { loss }, history))
    }
}

fn range_tests(tasks: &[Task], device: &Device) -> Result<()> {
    const STEPS: usize = 300;
    let mut regrets = Vec::new();
    println!("data, optimizer: best loss and rate; suggestion, band, divergence; regret");
    for task in tasks {
        for (name, optimizer) in optimizers() {
            let loss_at = |rate: f64| -> Result<f64> {
                let mut model = task.model(1, optimizer(), device)?;
                Ok(task.train(&mut model, rate, STEPS)?.0.min(task.constant))
            };
            let grid: Vec<f64> = (0..=22).map(|k| 10_f64.powf(f64::from(k) / 4.0 - 4.5)).collect();
            let losses = grid.iter().map(|&rate| loss_at(rate)).collect::<Result<Vec<f64>>>()?;
            let best = (0..grid.len()).fold(0, |a, b| if losses[b] < losses[a] { b } else { a });
            // Other seeds than those that the truth is measured with.
            let model = task.model(11, optimizer(), device)?;
            let fit = Fit::new().batch_size(64).epochs(4);
            let Split { train, .. } = task.split();
            let found = task.with(&train, |x, y| RangeTest::new().run(&model, x, y, &fit))?;
            let regret =
                (loss_at(found.suggestion)? - losses[best]) / (task.constant - losses[best]);
            println!(
                "{:14} {name:13} {:.4} at {:.1e}; {:.1e}, {:.1e} to {:.1e}, {}; {:.1} %{}",
                task.name,
                losses[best],
                grid[best],
                found.suggestion,
                found.band.0,
                found.band.1,
                found.diverges.map_or("none".into(), |rate| format!("{rate:.1e}")),
                100.0 * regret,
                found.doubts().iter().map(|doubt| format!(" [{doubt}]")).collect::<String>()
            );
            regrets.push(regret);
        }
    }
    let worst = regrets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let within = regrets.iter().filter(|regret| **regret <= 0.1).count();
    println!(
        "mean regret {:.1} %, worst {:.1} %, within 10 %: {within} of {}",
        100.0 * regrets.iter().sum::<f64>() / regrets.len() as f64,
        100.0 * worst,
        regrets.len()
    );
    Ok(())
}

/// What a rate is for a training, by the losses at all rates.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Truth {
    TooSmall,
    Right,
    TooLarge,
}

fn trainings(tasks: &[Task], device: &Device) -> Result<()> {
    let mut judged = Vec::new();
    for task in tasks.iter().filter(|task| task.name != "fashion") {
        for (name, optimizer) in optimizers() {
            let rates: Vec<f64> = (0..10).map(|k| 10_f64.powf(f64::from(k) / 2.0 - 4.0)).collect();
            let mut losses = Vec::new();
            let mut histories = Vec::new();
            for &rate in &rates {
                let mut model = task.model(3, optimizer(), device)?;
                let (mut loss, mut history) = task.train(&mut model, rate, 340)?;
                // The mean over the last 60 of 400 steps.
                let mut last = Vec::new();
                while loss.is_finite() && last.len() < 6 {
                    loss = task.train(&mut model, rate, 10)?.0;
                    last.push(loss);
                }
                losses.push(if loss.is_finite() { last.iter().sum::<f64>() / 6.0 } else { loss });
                history.steps.truncate(200);
                history.updates.truncate(200);
                history.epochs.clear();
                histories.push(history);
            }
            let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
            let is_good = |loss: &f64| *loss <= best + 0.1 * (task.constant - best);
            let first = losses.iter().position(is_good).unwrap_or(0);
            let last = losses.iter().rposition(is_good).unwrap_or(0);
            for (index, history) in histories.iter().enumerate() {
                let right = match index {
                    _ if index < first => Truth::TooSmall,
                    _ if index > last => Truth::TooLarge,
                    _ => Truth::Right,
                };
                let found = history.diagnosis();
                let is_finite = history.stopped.is_none();
                println!(
                    "{} | {name} | {:.1e} | {:.4} | {right:?} | {:?} | {is_finite} | {:?}",
                    task.name, rates[index], losses[index], found.verdict, found.signs
                );
                judged.push((right, found.verdict));
            }
        }
    }
    for right in [Truth::TooSmall, Truth::Right, Truth::TooLarge] {
        let of: Vec<Verdict> =
            judged.iter().filter(|(is, _)| *is == right).map(|(_, found)| *found).collect();
        let count = |found: &[Verdict]| of.iter().filter(|one| found.contains(one)).count();
        println!(
            "{right:?}: {} trainings; too small or too short {}, right {}, too large {}, unclear {}",
            of.len(),
            count(&[Verdict::TooSmall, Verdict::TooShort]),
            count(&[Verdict::Right]),
            count(&[Verdict::TooLarge]),
            count(&[Verdict::Unclear])
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().map_or(".", String::as_str));
    let device =
        match arguments.iter().map(String::as_str).find(|word| ["gpu", "reference"].contains(word))
        {
            Some("gpu") => Device::gpu()?,
            Some(_) => Device::reference(),
            None => Device::cpu(),
        };
    let tasks = tasks(&folder)?;
    if tasks.is_empty() {
        println!("{}: none of the data sets is there", folder.display());
        return Ok(());
    }
    match arguments.iter().any(|word| word == "--trainings") {
        true => trainings(&tasks, &device),
        false => range_tests(&tasks, &device),
    }
}
