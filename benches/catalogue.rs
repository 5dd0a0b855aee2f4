//! Criterion over the catalogue: each loss as a user calls it, arrays in and arrays out, on each device there is; and a
//! training step. Kernels alone, on tensors that stay on the device, are timed by `gradus bench`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gradus::losses::{CATALOGUE, CrossEntropy, Domain};
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Fit, Sequential, activations::Relu, random::Random};
use ndarray::{Array1, Array2, s};
use serde_json::Value;

fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    devices.extend(Device::gpu());
    devices
}

fn targets(domain: Domain, shape: (usize, usize)) -> Array2<f32> {
    Array2::from_shape_fn(shape, |(r, c)| match domain {
        Domain::Sign => [-1.0, 1.0][(r + c) % 2],
        Domain::Distribution => 1.0 / shape.1 as f32,
        Domain::LogDistribution => -(shape.1 as f32).ln(),
        _ => ((r + c) % 2) as f32,
    })
}

fn losses(criterion: &mut Criterion) {
    let (rows, columns) = (4096, 256);
    let mut random = Random::new(7, 0);
    let predictions = Array2::from_shape_fn((rows, columns), |_| random.normal() as f32);
    let labels = Array1::from_shape_fn(rows, |row| (row % columns) as i64);
    for device in devices() {
        let mut group = criterion.benchmark_group(format!("value and gradient, {}", device.name()));
        group.sample_size(20).throughput(Throughput::Elements((rows * columns) as u64));
        for entry in CATALOGUE {
            let loss = (entry.make)(&Value::Null).expect("the defaults hold");
            let dense = targets(loss.targets(), (rows, columns));
            let takes_labels = loss.targets() == Domain::Class;
            let ready = gradus::Criterion::from_boxed(loss, &device).expect("the defaults hold");
            group.bench_function(entry.name, |bencher| {
                bencher.iter(|| match takes_labels {
                    true => black_box(ready.value_and_gradient(&predictions, &labels)).expect("labels fit").value(),
                    false => black_box(ready.value_and_gradient(&predictions, &dense)).expect("targets fit").value(),
                });
            });
        }
        group.finish();
    }
}

fn training(criterion: &mut Criterion) {
    let x = Array2::from_shape_fn((6400, 784), |(r, c)| ((r * 7 + c * 3) % 11) as f32 / 11.0);
    let y = Array1::from_shape_fn(6400, |row| (row % 10) as i64);
    let mut group = criterion.benchmark_group("100 steps of 784-128-10, batch 64");
    group.sample_size(10);
    for device in devices() {
        let model = || {
            let layers = Sequential::new(784).then(Dense::new(128).activation(Relu)).then(Dense::new(10));
            let mut model = layers.on(&device)?.compile(CrossEntropy::new(), Adam::new())?;
            // Pipelines are made here and not in the time that counts.
            model.fit(&x.slice(s![..64, ..]), &y.slice(s![..64]), Fit::new().batch_size(64))?;
            Ok::<_, gradus::Error>(model)
        };
        group.bench_function(device.name(), |bencher| {
            bencher.iter_batched(
                || model().expect("the model fits"),
                |mut model| model.fit(&x, &y, Fit::new().batch_size(64)).expect("the data fits"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, losses, training);
criterion_main!(benches);
