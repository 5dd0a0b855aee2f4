//! What a fused loss takes besides its inputs and gradients, counted where memory is handed out, and on a software GPU, whose memory
//! is the machine's, by what the process holds at its peak. A test of its own file: both counts are those of the process.

mod support;

use std::sync::Mutex;

use gradus::losses::{LinearCrossEntropy, Loss};
use gradus::{Device, Inputs};
use ndarray::{Array1, Array2};
use support::counting::{Counting, peak_of};

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time: they count what the whole process takes.
static ALONE: Mutex<()> = Mutex::new(());

/// A layer of so many rows and features with a vocabulary.
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
    // The logits of the last are 640 MiB, ten times what a call may take.
    for (rows, features) in [(512, 64), (2560, 64), (5120, 16)] {
        let layer = Layer::of(rows, features);
        let criterion = LinearCrossEntropy::new().on(&Device::cpu()).unwrap();
        // Threads and what they keep for products are there from the first call on.
        criterion.evaluate(&Layer::of(64, features).inputs()).unwrap();
        let (_, taken) = peak_of(|| criterion.evaluate(&layer.inputs()).unwrap());
        let (gradients, logits) = (layer.gradients(), 4 * rows * CLASSES);
        let said = LinearCrossEntropy::extra_bytes(rows, CLASSES, &Device::cpu()) as usize;
        // Labels and values, and what the products keep of their operands in blocks.
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
        // A card's own memory is not the process's.
        Device::Gpu(gpu) => gpu.is_software(),
        _ => false,
    }));
    for device in devices {
        let criterion = LinearCrossEntropy::new().on(&device).unwrap();
        // Pipelines and threads are there from the first call on, and of its memory a driver may keep that of 64 rows.
        criterion.evaluate(&Layer::of(64, features).inputs()).unwrap();
        let before = resident("VmRSS");
        // Sets the peak back to what is held now.
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
