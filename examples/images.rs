//! A convolutional network for images in IDX files (MNIST, Fashion-MNIST and others).
//!
//! ```text
//! cargo run --release --example images -- FOLDER [small_cnn|lenet5|resnet8|resnet20] [auto|gpu|cpu|reference] [EPOCHS] [SEED]
//! ```
//!
//! FOLDER holds `train-images-idx3-ubyte` and so on, packed or not. Adam at 1e-3, batches of 64,
//! pixels from 0 to 1. Prints the loss of each epoch and the accuracy on the test images.

use gradus::data::read_idx_folder;
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::{Device, Fit, Sequential, zoo};
use ndarray::Array4;

fn main() -> gradus::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |place: usize, default: &str| {
        arguments.get(place).cloned().unwrap_or_else(|| default.to_string())
    };
    let Some(folder) = arguments.first() else {
        eprintln!("usage: images FOLDER [NETWORK] [DEVICE] [EPOCHS] [SEED]");
        std::process::exit(2);
    };
    let split = read_idx_folder(folder)?;
    let (train, test) = (split.train, split.test.unwrap_or_else(|| split_is_missing(folder)));
    let side = (train.features.ncols() as f64).sqrt() as usize;
    let image = [side, side, 1];
    let shaped = |features: &ndarray::Array2<f32>| -> gradus::Result<Array4<f32>> {
        let rows = features.nrows();
        let shape = (rows, side, side, 1);
        features.clone().into_shape_with_order(shape).map_err(|_| gradus::Error::Shape {
            operation: "images".into(),
            found: format!("rows of {} numbers", features.ncols()),
            allowed: "square images".into(),
        })
    };
    let classes = train.classes()?.len();
    let network: Sequential = match argument(1, "small_cnn").as_str() {
        "lenet5" => zoo::lenet5(image, classes),
        "resnet8" => zoo::resnet(1, image, classes),
        "resnet20" => zoo::resnet(3, image, classes),
        _ => zoo::small_cnn(image, classes),
    };
    let device = match argument(2, "auto").as_str() {
        "gpu" => Device::gpu()?,
        "cpu" => Device::cpu(),
        "reference" => Device::reference(),
        _ => Device::auto(),
    };
    let (epochs, seed) =
        (argument(3, "5").parse().unwrap_or(5), argument(4, "1").parse().unwrap_or(1));
    let mut model = network
        .seed(seed)
        .on(&device)?
        .compile(CrossEntropy::new(), Adam::new().learning_rate(1e-3))?;
    println!("{}", model.summary());
    let (x, y) = (shaped(&train.features)?, train.labels()?);
    let (test_x, test_y) = (shaped(&test.features)?, test.labels()?);
    let fit = Fit::new().epochs(epochs).batch_size(64).validation_data(&test_x, &test_y);
    let history = model.fit(&x, &y, fit)?;
    for (epoch, report) in history.epochs.iter().enumerate() {
        println!(
            "epoch {}: loss {:.4}, test loss {:.4}, test accuracy {:.2} %, {:.1} s",
            epoch + 1,
            report.loss,
            report.val_loss.unwrap_or(f64::NAN),
            100.0 * report.val_accuracy.unwrap_or(f64::NAN),
            report.seconds
        );
    }
    Ok(())
}

fn split_is_missing(folder: &str) -> ! {
    eprintln!("{folder} has no test images");
    std::process::exit(2);
}
