//! `gradus demo`: trains a first network on real images, trains it again with a better loss, and
//! measures the device. On a page it shows what the network gets wrong, and what of the data.

mod page;
mod training;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use gradus::activations::{Relu, Softmax};
use gradus::data::{self, ReadOptions};
use gradus::explain::{IntegratedGradients, LabelNoise};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::Adam;
use gradus::rates::RangeTest;
use gradus::text::count;
use gradus::{Dense, Device, Fit, Model, Sequential};
use ndarray::Axis;

use crate::demo::page::Showcase;
use crate::demo::training::{Images, Training};
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::saved;

/// Epochs and batch size of both networks.
const EPOCHS: usize = 5;
const BATCH: usize = 32;

/// Trains the example network on the shipped images, then measures the device
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    device: DeviceChoice,
    /// Writes an HTML page: photographs that the network gets right and wrong with their losses,
    /// labels that are probably wrong, a learning rate, and the curves of both trainings. It takes
    /// some more trainings
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Demo {
    pub fn run(&self) -> Outcome {
        let folder = folder()?;
        if let Some(file) = &self.html {
            let inputs = data::sources(&folder, &ReadOptions::default());
            let inputs: Vec<_> = inputs.into_iter().map(|input| ("the demo", input)).collect();
            saved::check_out("--html", file, &inputs)?;
        }
        let images = read(&folder)?;
        let device = self.device.open_and_report()?;
        say(&format!(
            "Fashion-MNIST, a subset: {} photographs of clothing to learn from, {} to test on, 28×28 pixels, 10 classes.\n",
            images.train.rows(),
            images.test.rows()
        ))?;
        say(
            "1. Dense(10, relu) on 784 inputs, Dense(10, softmax). Loss: the mean squared error against one-hot targets.",
        )?;
        say(
            "   Adam moves the weights against its gradient, batch by batch, five times through all images.",
        )?;
        let first = squared_error(&device, &images)?;
        say(
            "\n2. The same network, its loss now the cross-entropy of the logits: what is usual for classes.",
        )?;
        let second = cross_entropy(&device, &images)?;
        say(
            "\n3. What this machine does: losses with their gradients, a matrix product, a training step.",
        )?;
        measure(&device)?;
        if let Some(file) = &self.html {
            write_page(file, &images, [first, second], &folder)?;
        }
        say("\nNext: gradus losses · gradus check · gradus bench")?;
        say(&format!(
            "      gradus train --data {} --loss cross_entropy --out model.safetensors",
            folder.display()
        ))
    }
}

fn say(line: &str) -> Outcome {
    output::print(&format!("{line}\n"))
}

/// The images shipped with the repository: relative to the current folder, or to the build folder.
fn folder() -> Outcome<PathBuf> {
    let relative = Path::new("data/fashion-mnist-12k");
    let places = [relative.to_path_buf(), Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)];
    places.into_iter().find(|place| place.is_dir()).ok_or_else(|| {
        Failure::Failed(
            "data/fashion-mnist-12k is not here; run `gradus demo` in the folder of gradus's sources".into(),
        )
    })
}

fn read(folder: &Path) -> Outcome<Images> {
    let split = data::read(folder, &ReadOptions::default())?;
    let test = split.test.ok_or_else(|| {
        Failure::Failed(format!("{}: the test images are missing", folder.display()))
    })?;
    Ok(Images { train: split.train, test })
}

fn squared_error(device: &Device, images: &Images) -> Outcome<Training> {
    let model = Sequential::new(784)
        .then(Dense::new(10).activation(Relu))
        .then(Dense::new(10).activation(Softmax))
        .on(device)?
        .compile(Mse::new(), Adam::new())?;
    train(model, images)
}

fn cross_entropy(device: &Device, images: &Images) -> Outcome<Training> {
    train(cross_entropy_model(device)?, images)
}

fn cross_entropy_model(device: &Device) -> Outcome<Model> {
    Ok(Sequential::new(784)
        .then(Dense::new(10).activation(Relu))
        .then(Dense::new(10))
        .on(device)?
        .compile(CrossEntropy::new(), Adam::new())?)
}

/// Trains epoch by epoch, which gives the same bits as one call, so that each epoch can be reported
/// as it ends.
fn train(mut model: Model, images: &Images) -> Outcome<Training> {
    let (labels, answers) = (images.train.labels()?, images.test.labels()?);
    let (mut steps, mut tested, mut seconds) = (Vec::new(), Vec::new(), 0.0);
    for epoch in 1..=EPOCHS {
        let start = Instant::now();
        let history = model.fit(
            &images.train.features,
            &labels,
            Fit::new().batch_size(BATCH).progress(false),
        )?;
        seconds += start.elapsed().as_secs_f64();
        if let Some(stop) = &history.stopped {
            return Err(Failure::Failed(stop.to_string()));
        }
        for found in &history.epochs {
            let accuracy = 100.0 * found.accuracy.unwrap_or_default();
            say(&format!(
                "   epoch {epoch}: loss {:.4}, accuracy {accuracy:.1} %, {:.1} s",
                found.loss, found.seconds
            ))?;
        }
        steps.extend(history.steps);
        let score = model.evaluate(&images.test.features, &answers)?;
        tested.push([score.loss, score.accuracy.unwrap_or_default()]);
    }
    let accuracy = 100.0 * tested.last().map_or(f64::NAN, |tested| tested[1]);
    say(&format!(
        "   {} parameters, {} steps in {seconds:.1} s; on images it has never seen: accuracy {accuracy:.1} %",
        model.parameters(),
        model.steps()
    ))?;
    Ok(Training { model, steps, tested })
}

/// Looks closer at the second training, and writes what it found into a page.
fn write_page(file: &Path, images: &Images, trainings: [Training; 2], folder: &Path) -> Outcome {
    output::note("for the page: two trainings that look for wrong labels, and a range test");
    let [first, mut second] = trainings;
    let labels = images.train.labels()?;
    let answers = images.test.labels()?;
    let results = second.model.evaluate_rows(&images.test.features, &answers)?;
    let mut worst: Vec<usize> = (0..results.rows()).collect();
    worst.sort_by(|&a, &b| results.loss[b].total_cmp(&results.loss[a]));
    worst.truncate(page::SHOWN);
    let attributions =
        IntegratedGradients::new().baseline(vec![0.0; images.test.features.ncols()]).attribute(
            &mut second.model,
            &images.test.features.select(Axis(0), &worst),
            &answers.select(Axis(0), &worst),
        )?;
    let device = second.model.device();
    let untrained = cross_entropy_model(device)?;
    let found = Showcase {
        images,
        trainings: [&first, &second],
        results,
        worst,
        attributions,
        labels: LabelNoise::new().find(&untrained, &images.train.features, &labels)?,
        rates: RangeTest::new().run(
            &untrained,
            &images.train.features,
            &labels,
            &Fit::new().epochs(EPOCHS).batch_size(BATCH),
        )?,
        folder: folder.display().to_string(),
    };
    let origin = format!(
        "gradus {} · Fashion-MNIST, a subset: {} photographs of clothing to learn from, {} to test on · Dense(10, relu) on 784 inputs, \
         Dense(10) · {} parameters · Adam, batches of {BATCH}, {EPOCHS} epochs · {}",
        env!("CARGO_PKG_VERSION"),
        count(images.train.rows() as u64),
        count(images.test.rows() as u64),
        count(second.model.parameters() as u64),
        device.describe()
    );
    page::page(&found, &origin)?.write(file)
}

fn measure(device: &Device) -> Outcome {
    let names = ["mse", "cross_entropy", "matmul", "train_step"].map(String::from);
    crate::bench::show(&names, device)
}
