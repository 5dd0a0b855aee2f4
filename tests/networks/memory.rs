//! Memory: known before anything is allocated, and what does not fit is refused.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gradus::activations::Relu;
use gradus::layers::{BatchNorm, Conv2d, Flatten, MaxPool2d};
use gradus::losses::{CrossEntropy, LinearCrossEntropy, LossDefinition};
use gradus::optimizers::{Adam, Sgd};
use gradus::{Average, Dense, Device, Error, Fit, Model, Sequential};
use ndarray::{Array1, Array2};

use crate::devices;

const ROWS: usize = 1_000_000;

/// A network small enough for any machine, whose batch of a million rows fits into none.
fn wide(device: &Device) -> Model {
    Sequential::new(1)
        .then(Dense::new(1_000_000).bias(false))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Sgd::new())
        .unwrap()
}

#[test]
fn a_batch_that_no_machine_holds_is_refused_before_anything_is_allocated() {
    let (x, y) = (Array2::<f32>::zeros((ROWS, 1)), Array1::<i64>::zeros(ROWS));
    for (name, device) in devices() {
        let mut model = wide(&device);
        let memory = model.memory(ROWS).unwrap();
        if memory.available.is_none() && memory.buffer_limit.is_none() {
            eprintln!("{name}: neither memory nor limits are known here");
            continue;
        }
        let bytes = if name == "reference" { 8 } else { 4 };
        // The outputs and their gradient, at least.
        assert!(memory.working >= 2 * bytes * (ROWS as u64) * 1_000_000, "{name}: {memory:?}");
        let allocated = || match &device {
            Device::Gpu(gpu) => gpu.allocated_bytes(),
            _ => None,
        };
        let before = allocated();
        let error = model.fit(&x, &y, Fit::new().batch_size(ROWS)).unwrap_err();
        let Error::TooLarge { bytes, limit, .. } = &error else { panic!("{name}: {error}") };
        assert!(bytes > limit, "{name}: {error}");
        let message = error.to_string();
        for part in ["1000000 rows", "batch size", "Fit::accumulate"] {
            assert!(message.contains(part), "{name}: {message}");
        }
        assert_eq!(allocated(), before, "{name}: memory was allocated for a step that is refused");
        // Rows that are held out are not in a batch, and a batch is no larger than the data.
        let (few_x, few_y) = (Array2::<f32>::zeros((2, 1)), Array1::<i64>::zeros(2));
        let fit = Fit::new().batch_size(ROWS).validation_split(0.5);
        assert!(model.fit(&few_x, &few_y, fit).is_ok(), "{name}");
    }
}

#[test]
fn memory_is_that_of_the_shapes() {
    for (name, device) in devices() {
        let model = |loss: Box<dyn LossDefinition>| {
            Sequential::images([8, 8, 1])
                .then(Conv2d::new(4, 3).padding(1).activation(Relu))
                .then(BatchNorm::new())
                .then(MaxPool2d::new(2))
                .then(Flatten::new())
                .then(Dense::new(1000))
                .on(&device)
                .unwrap()
                .compile_boxed(loss, Box::new(Adam::new()))
                .unwrap()
        };
        let plain = model(Box::new(CrossEntropy::new()));
        let of = |rows: usize| plain.memory(rows).unwrap();
        let size = if name == "reference" { 8 } else { 4 };
        // 3·3·4 + 4, 4 + 4, 64·1000 + 1000 parameters, and 4 + 4 running statistics.
        assert_eq!(of(1).gradients, size * (40 + 8 + 65_000), "{name}");
        assert_eq!(of(1).parameters, of(1).gradients + size * 8, "{name}");
        // Two states, whose beginnings on a GPU are multiples of 64 numbers.
        let spread = of(1).optimizer - 2 * of(1).gradients;
        assert!(spread < 2 * 4 * 64 && (name == "gpu" || spread == 0), "{name}: {spread}");
        assert_eq!(of(1).snapshot, of(1).parameters + of(1).optimizer, "{name}");
        // Values of rows grow with them; those that a batch has once do not.
        let (one, two, three) = (of(1), of(2), of(3));
        assert_eq!(two.activations - one.activations, three.activations - two.activations);
        assert!(two.activations > one.activations && two.training() > one.training(), "{name}");
        // The input and the convolution's output, at least, are read again.
        assert!(of(100).activations >= size * 100 * (64 + 256), "{name}: {:?}", of(100));
        // With the loss in the last layer, the outputs of a chunk of rows exist at a time.
        let fused = model(Box::new(LinearCrossEntropy::new())).memory(100_000).unwrap();
        let saved = of(100_000).training() - fused.training();
        assert!(saved > size * 50_000_000, "{name}: {saved} bytes");
        assert!(plain.memory(0).is_err());
        for rows in [1, 50] {
            let line = plain.memory(rows).unwrap().to_string();
            assert!(line.contains(&format!("a training step of {rows} row")), "{line}");
            assert!(plain.summary_for(rows).contains(&line), "{}", plain.summary_for(rows));
        }
    }
}

#[test]
fn an_average_is_a_further_state() {
    let x = Array2::<f32>::zeros((4, 1));
    let y = Array1::<i64>::zeros(4);
    let mut model = Sequential::new(1)
        .then(Dense::new(1000))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let before = model.memory(4).unwrap();
    model.fit(&x, &y, Fit::new().average(Average::new(0.9))).unwrap();
    assert_eq!(model.memory(4).unwrap().optimizer, before.optimizer / 2 * 3);
}

/// What is refused would not have fitted: every byte that is counted is allocated by a step.
#[test]
fn a_step_allocates_what_was_counted_at_least() {
    for (name, device) in devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let before = gpu.allocated_bytes();
        let mut model = Sequential::images([16, 16, 3])
            .then(Conv2d::new(32, 3).padding(1).activation(Relu))
            .then(BatchNorm::new())
            .then(MaxPool2d::new(2))
            .then(Flatten::new())
            .then(Dense::new(100))
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        let x = Array2::<f32>::zeros((64, 768));
        // The buffers of a batch go with its data: they are counted while it trains.
        let (seen, of_step) = (Arc::new(AtomicU64::new(0)), gpu.clone());
        let during = seen.clone();
        let fit = Fit::new().batch_size(64).on_step(move |_, _| {
            during.store(of_step.allocated_bytes().unwrap_or(0), Ordering::Relaxed);
            ControlFlow::Continue(())
        });
        model.fit(&x, &Array1::<i64>::zeros(64), fit).unwrap();
        let (Some(before), after) = (before, seen.load(Ordering::Relaxed)) else {
            eprintln!("{name}: its backend does not report allocations");
            continue;
        };
        let counted = model.memory(64).unwrap().training();
        eprintln!("{name}: {counted} bytes counted, {} allocated", after - before);
        assert!(after - before >= counted, "{name}: {} of {counted}", after - before);
    }
}
