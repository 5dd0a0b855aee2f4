//! f16 against f32: each loss on the GPU that `auto` selects, alternating, on the same numbers.
//! `cargo bench --bench half` takes about ten seconds on two cores; it prints the median of each
//! and the speedup of f16.

use std::time::Instant;

use gradus::losses;
use gradus::random::Random;
use gradus::{Criterion, Device, Gpu, GpuOptions, Plan, Result, Tensor, f16};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

/// Rounds over which the median is taken.
const ROUNDS: usize = 15;

const CASES: [(&str, [usize; 2]); 6] = [
    ("mse", [4096, 4096]),
    ("huber", [4096, 4096]),
    ("cross_entropy", [1024, 32_000]),
    ("cross_entropy", [4096, 1000]),
    ("cross_entropy", [4096, 1001]),
    ("cross_entropy", [65_536, 10]),
];

/// Seconds of one run, started when all earlier work is done.
fn time<T>(device: &Device, plan: &Plan<T>) -> Result<f64> {
    let start = Instant::now();
    plan.run()?;
    device.synchronize()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn numbers(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut random = Random::new(seed, 0);
    // A repeated block: 2²⁴ draws would take longer than the measurement.
    let block: Vec<f32> =
        (0..65_521).map(|_| f16::from_f32(random.normal() as f32).to_f32()).collect();
    let mut next = block.iter().cycle().copied();
    ArrayD::from_shape_simple_fn(IxDyn(shape), || next.next().unwrap_or_default())
}

fn measure(device: &Device, name: &str, [rows, columns]: [usize; 2]) -> Result<()> {
    let loss = losses::from_name(name, &Value::Null)?;
    let takes_labels = loss.targets().takes_labels();
    let criterion = Criterion::from_boxed(loss, device)?;
    let (predictions, targets) = (numbers(&[rows, columns], 1), numbers(&[rows, columns], 2));
    let labels: Vec<i64> = (0..rows).map(|row| (row * 31 % columns) as i64).collect();
    let mut plans = Vec::new();
    for half in [false, true] {
        let upload = if half { Tensor::from_array_as_half } else { Tensor::from_array };
        let targets = match takes_labels {
            true => Tensor::from_labels(device, &labels)?,
            false => upload(device, targets.view())?,
        };
        let plan = Plan::loss(&criterion, &upload(device, predictions.view())?, &targets)?;
        // The first runs create pipelines and touch memory pages.
        time(device, &plan)?;
        time(device, &plan)?;
        plans.push((plan, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (plan, times) in &mut plans {
            times.push(time(device, plan)?);
        }
    }
    let [single, half] = [0, 1].map(|i| 1e3 * median(std::mem::take(&mut plans[i].1)));
    println!(
        "{name:>14} {:>14} {single:8.2} ms {half:8.2} ms {:6.2}",
        format!("[{rows}, {columns}]"),
        single / half
    );
    Ok(())
}

fn main() -> Result<()> {
    let device = Device::Gpu(Gpu::open_with(GpuOptions::from_env()?)?);
    println!(
        "{}\n{:>14} {:>14} {:>11} {:>11} {:>6}",
        device.describe(),
        "",
        "",
        "f32",
        "f16",
        "ratio"
    );
    CASES.iter().try_for_each(|&(name, shape)| measure(&device, name, shape))
}
