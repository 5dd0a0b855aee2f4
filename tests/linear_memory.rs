//! Memory used by a fused loss in addition to its inputs and gradients: counted by the allocator,
//! and on a software GPU, which uses the machine's memory, by the process's peak. A separate test
//! program: both counts are per process.

mod support;

use std::sync::Mutex;

use gradus::losses::{LinearCrossEntropy, Loss};
use gradus::{Device, Inputs};
use ndarray::{Array1, Array2};
use support::counting::{Counting, peak_of};

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time: the counts cover the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// A layer with the given rows and features and a vocabulary.
struct Layer {
    x: Array2<f32>,
    weight: Array2<f32>,
    labels: Array1<i64>,
}

const CLASSES: usize = 32_768;

impl Layer {
    fn of(rows: usize, features: usize) -> Self {
        Layer {
            x: Array2::from_shape_fn((rows, features), |(i, j)| {
                ((i * 31 + j * 17) % 13) as f32 / 13.0
            }),
            weight: Array2::from_shape_fn((CLASSES, features), |(i, j)| {
                ((i * 7 + j * 3) % 11) as f32 / 11.0
            }),
            labels: Array1::from_shape_fn(rows, |row| (row * 37 % CLASSES) as i64),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.x, &self.labels).input("linear_weight", &self.weight)
    }

    /// Bytes of the gradients.
    fn gradients(&self) -> usize {
        4 * (self.x.len() + self.weight.len())
    }
}

#[test]
fn the_cpu_takes_no_more_than_it_says_however_many_rows_there_are() {
    let _alone = ALONE.lock();
    // The logits of the last are 640 MiB, ten times the limit of a call.
    for (rows, features) in [(512, 64), (2560, 64), (5120, 16)] {
        let layer = Layer::of(rows, features);
        let criterion = LinearCrossEntropy::new().on(&Device::cpu()).unwrap();
        // The first call creates threads and their buffers for products.
        criterion.evaluate(&Layer::of(64, features).inputs()).unwrap();
        let (_, taken) = peak_of(|| criterion.evaluate(&layer.inputs()).unwrap());
        let (gradients, logits) = (layer.gradients(), 4 * rows * CLASSES);
        let said = LinearCrossEntropy::extra_bytes(rows, CLASSES, &Device::cpu()) as usize;
        // Labels and values, and the blocks that products copy of their operands.
        let small = 4 << 20;
        println!(
            "{rows} rows: {taken} bytes, {gradients} of them gradients; {said} are said; the logits are {logits}"
        );
        assert!(
            taken <= gradients + said + small,
            "{rows} rows: {taken} bytes with {gradients} of gradients"
        );
        assert!(said <= 32 << 20 && taken - gradients < logits, "{rows} rows: {taken} bytes");
        assert!(
            rows < 5120 || 10 * (taken - gradients) <= logits,
            "{rows} rows: {taken} bytes for {logits} of logits"
        );
    }
}

/// A line of /proc/self/status in bytes.
#[cfg(target_os = "linux")]
fn resident(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    1024 * line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<usize>().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn logits_ten_times_as_large_as_what_a_call_takes_never_are_in_memory() {
    let _alone = ALONE.lock();
    let (rows, features) = (5120, 16);
    let layer = Layer::of(rows, features);
    let logits = 4 * rows * CLASSES; // 640 MiB
    let mut devices = vec![Device::cpu()];
    devices.extend(support::gpu().filter(|device| match device {
        // A card has its own memory.
        Device::Gpu(gpu) => gpu.is_software(),
        _ => false,
    }));
    for device in devices {
        let criterion = LinearCrossEntropy::new().on(&device).unwrap();
        // The first call creates pipelines and threads, and a driver may keep the memory of 64
        // rows.
        criterion.evaluate(&Layer::of(64, features).inputs()).unwrap();
        let before = resident("VmRSS");
        // Resets the peak to the current value.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        criterion.evaluate(&layer.inputs()).unwrap();
        let taken = resident("VmHWM") - before;
        println!(
            "{}: {taken} bytes more at the peak, gradients and all; the logits are {logits}",
            device.name()
        );
        assert!(taken <= 64 << 20, "{}: {taken} bytes", device.name());
    }
}
