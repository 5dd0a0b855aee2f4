//! Networks of convolutions, norms and attention: parity with PyTorch, training, files, errors.

mod accumulation;
mod augment;
mod bert;
mod errors;
mod generation;
mod groups;
mod layer_pass;
mod memory;
mod metrics;
mod minilm;
mod parallel;
mod parity;
mod pipelines;
mod training;

use gradus::Device;

/// The devices that are there: both of the CPU, and a GPU if there is an adapter.
fn devices() -> Vec<(&'static str, Device)> {
    let mut all = vec![("reference", Device::reference()), ("cpu", Device::cpu())];
    match Device::gpu() {
        Ok(gpu) => all.push(("gpu", gpu)),
        Err(error) => {
            assert!(std::env::var_os("GRADUS_REQUIRE_GPU").is_none(), "no GPU: {error}");
            eprintln!("ignored on gpu: {error}");
        }
    }
    all
}
