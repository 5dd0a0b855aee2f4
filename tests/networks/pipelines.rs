//! Kernels of a training on a GPU: how many are compiled.

use gradus::losses::CrossEntropy;
use gradus::optimizers::{AdamW, Sgd};
use gradus::{Device, Fit, GpuOptions, Model, zoo};
use ndarray::{Array1, Array2};

/// The labels of the kernels of a device that has trained a model for a step and validated it.
fn kernels(train: impl FnOnce(&Device) -> gradus::Result<Model>) -> Option<Vec<String>> {
    let gpu = match gradus::Gpu::open_with(GpuOptions::default()) {
        Ok(gpu) => gpu,
        Err(error) => {
            assert!(std::env::var_os("GRADUS_REQUIRE_GPU").is_none(), "no GPU: {error}");
            eprintln!("ignored on gpu: {error}");
            return None;
        }
    };
    train(&Device::Gpu(gpu.clone())).unwrap();
    Some(gpu.kernel_labels())
}

fn check(name: &str, labels: &[String], most: usize) {
    eprintln!("{name}: {} kernels: {labels:#?}", labels.len());
    assert!(labels.len() <= most, "{name}: {} kernels, not {most}: {labels:#?}", labels.len());
}

#[test]
fn a_residual_network_takes_few_kernels() {
    let labels = kernels(|device| {
        let mut model = zoo::resnet(3, [8, 8, 3], 10)
            .on(device)?
            .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.01).momentum(0.9))?;
        let x = Array2::from_shape_fn((4, 192), |(row, column)| ((row + column) % 7) as f32);
        let y = Array1::from_shape_fn(4, |row| row as i64);
        let fit = Fit::new().batch_size(4).watch_updates(0).validation_data(&x, &y);
        model.fit(&x, &y, fit)?;
        Ok(model)
    });
    // A convolution has one pipeline in training and one with the bias of a folded batch norm. Three
    // more measure updates.
    labels.iter().for_each(|labels| check("resnet20", labels, 34));
}

#[test]
fn a_gpt_takes_few_kernels() {
    let labels = kernels(|device| {
        let mut model = zoo::Gpt::new(11, 8)
            .layers(2)
            .heads(2)
            .width(16)
            .bias(false)
            .build()
            .on(device)?
            .compile(CrossEntropy::new(), AdamW::new())?;
        let x = Array2::from_shape_fn((4, 8), |(row, token)| ((row + token) % 11) as f32);
        let y = Array2::from_shape_fn((4, 8), |(row, token)| ((row + token + 1) % 11) as i64);
        let fit = Fit::new().batch_size(4).clip_norm(1.0).watch_updates(0).validation_data(&x, &y);
        model.fit(&x, &y, fit)?;
        Ok(model)
    });
    // Twelve of them are products: three layouts, with rows of a multiple of four numbers or not,
    // in two tiles, with gelu or without; five gather and sum the rows of the embedding.
    labels.iter().for_each(|labels| check("gpt", labels, 40));
}
