//! Criterion benchmarks over the catalogue: each loss on CPU tensors; each loss end to end, arrays
//! in and arrays out, on each available device; and one training epoch. `cargo bench -- --quick`
//! takes about a minute. `gradus bench` times kernels alone and relative to their ceilings.

use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use gradus::losses::{CATALOGUE, CrossEntropy, Domain, Mse};
use gradus::optimizers::Adam;
use gradus::{
    Dense, Device, Fit, Model, Sequential, Tensor, activations::Relu, activations::Softmax,
    random::Random,
};
use ndarray::{Array1, Array2, s};
use serde_json::Value;

/// Shape of the predictions of each loss.
const SHAPE: (usize, usize) = (4096, 256);

fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    devices.extend(Device::gpu());
    devices
}

/// Short samples: there are many, and the machine's noise is no smaller after a minute than after a
/// second.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group
}

fn predictions() -> Array2<f32> {
    let mut random = Random::new(7, 0);
    Array2::from_shape_fn(SHAPE, |_| random.normal() as f32)
}

fn labels() -> Array1<i64> {
    Array1::from_shape_fn(SHAPE.0, |row| (row % SHAPE.1) as i64)
}

fn targets(domain: Domain) -> Array2<f32> {
    Array2::from_shape_fn(SHAPE, |(r, c)| match domain {
        Domain::Sign => [-1.0, 1.0][(r + c) % 2],
        Domain::Distribution => 1.0 / SHAPE.1 as f32,
        Domain::LogDistribution => -(SHAPE.1 as f32).ln(),
        _ => ((r + c) % 2) as f32,
    })
}

/// On device tensors, without a check of their values: `Criterion::backward`.
fn losses_on_the_cpu(criterion: &mut Criterion) {
    let device = Device::cpu();
    let at_home = |values: &Array2<f32>| {
        Tensor::from_array(&device, values.view().into_dyn()).expect("there is room")
    };
    let predictions = at_home(&predictions());
    let labels = Tensor::from_labels(&device, &labels().to_vec()).expect("labels of 32 bits");
    let mut group = group(criterion, "backward, cpu");
    group.throughput(Throughput::Elements((SHAPE.0 * SHAPE.1) as u64));
    for entry in CATALOGUE {
        let loss = (entry.make)(&Value::Null).expect("the defaults hold");
        let targets = match loss.targets() {
            Domain::Class => labels.clone(),
            domain => at_home(&targets(domain)),
        };
        let ready = gradus::Criterion::from_boxed(loss, &device).expect("the defaults hold");
        group.bench_function(entry.name, |bencher| {
            bencher.iter(|| {
                black_box(ready.backward(&predictions, &targets)).expect("the shapes fit")
            });
        });
    }
    group.finish();
}

/// End to end: upload arrays, download value and gradient.
fn losses_end_to_end(criterion: &mut Criterion) {
    let (predictions, labels) = (predictions(), labels());
    for device in devices() {
        let mut group =
            group(criterion, &format!("value and gradient of arrays, {}", device.name()));
        group.throughput(Throughput::Elements((SHAPE.0 * SHAPE.1) as u64));
        for entry in CATALOGUE {
            let loss = (entry.make)(&Value::Null).expect("the defaults hold");
            let dense = targets(loss.targets());
            let takes_labels = loss.targets() == Domain::Class;
            let ready = gradus::Criterion::from_boxed(loss, &device).expect("the defaults hold");
            group.bench_function(entry.name, |bencher| {
                bencher.iter(|| match takes_labels {
                    true => black_box(ready.value_and_gradient(&predictions, &labels))
                        .expect("labels fit")
                        .value(),
                    false => black_box(ready.value_and_gradient(&predictions, &dense))
                        .expect("targets fit")
                        .value(),
                });
            });
        }
        group.finish();
    }
}

/// The example network, and one with a larger hidden layer.
fn networks(device: &Device) -> gradus::Result<[(&'static str, Model); 2]> {
    let example = Sequential::new(784)
        .then(Dense::new(10).activation(Relu))
        .then(Dense::new(10).activation(Softmax));
    let wide = Sequential::new(784).then(Dense::new(128).activation(Relu)).then(Dense::new(10));
    Ok([
        ("784-10-10, mse", example.on(device)?.compile(Mse::new(), Adam::new())?),
        ("784-128-10, cross_entropy", wide.on(device)?.compile(CrossEntropy::new(), Adam::new())?),
    ])
}

/// An epoch of 3,200 rows in batches of 64, upload included: 50 steps.
fn training(criterion: &mut Criterion) {
    let x = Array2::from_shape_fn((3200, 784), |(r, c)| ((r * 7 + c * 3) % 11) as f32 / 11.0);
    let y = Array1::from_shape_fn(3200, |row| (row % 10) as i64);
    for device in devices() {
        let mut group = group(criterion, &format!("an epoch of 50 steps, {}", device.name()));
        group.sample_size(10);
        for index in 0..2 {
            let ready = || -> gradus::Result<Model> {
                let (_, mut model) =
                    networks(&device)?.into_iter().nth(index).expect("there are two");
                // Creates the pipelines outside the timed region.
                model.fit(
                    &x.slice(s![..64, ..]),
                    &y.slice(s![..64]),
                    Fit::new().batch_size(64).progress(false),
                )?;
                Ok(model)
            };
            let name = networks(&device).expect("the networks fit")[index].0;
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || ready().expect("the model fits"),
                    |mut model| {
                        model
                            .fit(&x, &y, Fit::new().batch_size(64).progress(false))
                            .expect("the data fits")
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, losses_on_the_cpu, losses_end_to_end, training);
criterion_main!(benches);
