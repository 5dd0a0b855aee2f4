//! A long run, enabled by a flag: the process holds no more memory at its end than after its first
//! rounds.
//!
//! `GRADUS_SOAK=3600 cargo test --release --test soak -- --ignored --nocapture` sets the number of
//! seconds.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use gradus::losses::{CrossEntropy, Huber, LambdaRank, Loss};
use gradus::optimizers::Adam;
use gradus::random::Random;
use gradus::recommend::{Interactions, Recommender};
use gradus::{
    Dense, Device, Fit, Gpu, GpuOptions, Model, Sequential, Targets, Tensor, activations::Relu,
};
use ndarray::{Array1, Array2};

/// Resources of a process: bytes of memory, threads, and bytes on the GPU if its driver reports
/// them.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident: u64,
    threads: u64,
    on_gpu: u64,
    files: u64,
}

impl Held {
    fn now(devices: &[Device]) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap()
        };
        let on_gpu = |device: &Device| match device {
            Device::Gpu(gpu) => gpu.allocated_bytes().unwrap_or(0),
            _ => 0,
        };
        Held {
            resident: 1024 * number("VmRSS"),
            threads: number("Threads"),
            on_gpu: devices.iter().map(on_gpu).sum(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count() as u64,
        }
    }
}

/// Exercises everything that allocates and frees memory; sizes change from round to round.
fn round(device: &Device, number: u64) {
    let mut random = Random::new(number, 0);
    let rows = 40 + (random.uniform() * 200.0) as usize;
    let x = Array2::from_shape_simple_fn((rows, 12), || random.normal() as f32);
    let y = Array1::from_shape_fn(rows, |row| (row % 3) as i64);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");

    let description = Sequential::new(12).then(Dense::new(16).activation(Relu)).then(Dense::new(3));
    let mut model =
        description.on(device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
    model
        .fit(&x, &y, Fit::new().epochs(2).batch_size(32).checkpoint(&path).progress(false))
        .unwrap();
    let mut again = Model::load(&path, device).unwrap();
    assert_eq!(again.predict(&x).unwrap(), model.predict(&x).unwrap());

    let mut ranker = Sequential::new(12).then(Dense::new(1)).on(device).unwrap();
    ranker = ranker.compile(LambdaRank::new(), Adam::new()).unwrap();
    let relevance = y.mapv(|label| label as f32).insert_axis(ndarray::Axis(1));
    let groups = vec![5; rows / 5]
        .into_iter()
        .chain((!rows.is_multiple_of(5)).then_some(rows % 5))
        .collect::<Vec<_>>();
    ranker.fit(&x, Targets::grouped(&relevance, &groups), Fit::new().progress(false)).unwrap();

    let [predictions, targets] = [0.0, 1.0].map(|shift| {
        let values = x.mapv(|x| x + shift);
        Tensor::from_array(device, values.view().into_dyn()).unwrap()
    });
    let step = Huber::new().on(device).unwrap().backward(&predictions, &targets).unwrap();
    assert!(step.value().unwrap().is_finite());

    let pairs: Vec<(u32, u32)> = (0..200).map(|pair| (pair % 20, (7 * pair / 20) % 30)).collect();
    let pairs = pairs
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>();
    let mut recommender = Recommender::new(20, 30).components(6).seed(number).on(device).unwrap();
    recommender.fit(&Interactions::new(20, 30, &pairs).unwrap(), 2).unwrap();
    recommender.save(&path).unwrap();

    // Failed operations also release what they allocated.
    std::fs::write(&path, b"damaged").unwrap();
    Model::load(&path, device).unwrap_err();
    model.fit(&x, &y.mapv(|label| label + 1), Fit::new()).unwrap_err();
}

#[test]
#[ignore = "an hour: GRADUS_SOAK is its length in seconds"]
fn an_hour_of_work_leaves_no_more_than_its_first_rounds() {
    let seconds = std::env::var("GRADUS_SOAK").map_or(3600, |text| text.parse().expect("seconds"));
    let mut devices = vec![Device::cpu()];
    devices.extend(support::gpu());
    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let (mut number, mut report, mut first) = (0, 0, None);
    let mut now = Held::now(&devices);
    while start.elapsed() < length {
        devices.iter().for_each(|device| round(device, number));
        // A device opened for one round and closed again.
        if (number + 1).is_multiple_of(50) && devices.len() > 1 {
            let opened = Gpu::open_with(GpuOptions::default()).unwrap();
            round(&Device::Gpu(opened), number);
        }
        number += 1;
        now = Held::now(&devices);
        // Pools and caches grow while all sizes are new.
        if first.is_none() && start.elapsed() > length / 5 && number >= 100 {
            first = Some(now);
        }
        if start.elapsed().as_secs() / 15 > report {
            report = start.elapsed().as_secs() / 15;
            println!("{:>5} s, {number} rounds: {now:?}", start.elapsed().as_secs());
        }
    }
    let first = first.expect("at least 100 rounds within the first fifth: take a longer time");
    println!("{number} rounds: {now:?} behind {first:?}");
    assert!(now.threads <= first.threads && now.files <= first.files, "{now:?} behind {first:?}");
    assert!(now.resident <= first.resident + (64 << 20), "{now:?} behind {first:?}");
    assert!(now.on_gpu <= first.on_gpu + (16 << 20), "{now:?} behind {first:?}");
}
