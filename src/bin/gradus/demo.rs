//! `gradus demo`: a first network on real images, the same with a better loss, and what the device can do.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use gradus::activations::{Relu, Softmax};
use gradus::data::{self, Dataset, ReadOptions};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Fit, Model, Sequential};

use crate::output::{self, DeviceChoice, Failure, Outcome};

/// Epochs and batch size of both networks.
const EPOCHS: usize = 5;
const BATCH: usize = 32;

/// Trains the example network on the shipped images, then measures the device
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    device: DeviceChoice,
}

/// The images, to learn from and to test on.
struct Images {
    train: Dataset,
    test: Dataset,
}

impl Demo {
    pub fn run(&self) -> Outcome {
        let folder = folder()?;
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
        squared_error(&device, &images)?;
        say(
            "\n2. The same network, its loss now the cross-entropy of the logits: what is usual for classes.",
        )?;
        cross_entropy(&device, &images)?;
        say(
            "\n3. What this machine does: losses with their gradients, a matrix product, a training step.",
        )?;
        measure(&device)?;
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

/// The images that the repository carries: here, or where the command was built.
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

fn squared_error(device: &Device, images: &Images) -> Outcome {
    let model = Sequential::new(784)
        .then(Dense::new(10).activation(Relu))
        .then(Dense::new(10).activation(Softmax))
        .on(device)?
        .compile(Mse::new(), Adam::new())?;
    train(model, images)
}

fn cross_entropy(device: &Device, images: &Images) -> Outcome {
    let model = Sequential::new(784)
        .then(Dense::new(10).activation(Relu))
        .then(Dense::new(10))
        .on(device)?
        .compile(CrossEntropy::new(), Adam::new())?;
    train(model, images)
}

/// Trains epoch by epoch, which gives the same bits as one call, so that each can be told as it ends.
fn train(mut model: Model, images: &Images) -> Outcome {
    let labels = images.train.labels()?;
    let start = Instant::now();
    for epoch in 1..=EPOCHS {
        let history = model.fit(
            &images.train.features,
            &labels,
            Fit::new().batch_size(BATCH).progress(false),
        )?;
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
    }
    let seconds = start.elapsed().as_secs_f64();
    let score = model.evaluate(&images.test.features, &images.test.labels()?)?;
    let accuracy = 100.0 * score.accuracy.unwrap_or_default();
    say(&format!(
        "   {} parameters, {} steps in {seconds:.1} s; on images it has never seen: accuracy {accuracy:.1} %",
        model.parameters(),
        model.steps()
    ))
}

fn measure(device: &Device) -> Outcome {
    let names = ["mse", "cross_entropy", "matmul", "train_step"].map(String::from);
    crate::bench::show(&names, device)
}
