//! What is learned of an adapter and kept from process to process: its pipelines, and the tuner's choices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::runtime::device::choices::Choices;
use crate::runtime::device::pipelines::Pipelines;
use crate::runtime::device::{Gpu, lock};

/// What is kept of an adapter from process to process.
#[derive(Debug)]
pub(crate) struct Learned {
    pipelines: Option<Pipelines>,
    choices: OnceLock<Mutex<Choices>>,
    autotune: AtomicBool,
}

impl Learned {
    pub fn new(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Self {
        let software = info.device_type == wgpu::DeviceType::Cpu;
        Learned {
            pipelines: Pipelines::open(device, info),
            choices: OnceLock::new(),
            autotune: AtomicBool::new(
                crate::runtime::cache::switch("GRADUS_AUTOTUNE").unwrap_or(!software),
            ),
        }
    }

    /// Writes down the pipelines that were made since the last time.
    pub fn save_pipelines(&self) {
        if let Some(pipelines) = &self.pipelines {
            pipelines.save();
        }
    }
}

impl Gpu {
    /// Whether products choose among their kernels' variants by the clock, the first time that a size is asked for.
    ///
    /// On hardware they do, on software adapters they do not: there compiling the variants takes longer than they differ.
    /// The environment's `GRADUS_AUTOTUNE` (`on`, `off`) decides otherwise, and [`Gpu::set_autotune`] for one device.
    /// Tuning stops at 0.35 s for a size (the first tile is timed whatever it takes), sizes are rounded to powers of two, and what was chosen is kept for the next
    /// process in `GRADUS_CACHE_DIR`, or `gradus` in the system's folder for caches. It changes no bit of a result: all
    /// variants sum in the same order.
    pub fn autotunes(&self) -> bool {
        self.0.learned.autotune.load(Ordering::Relaxed)
    }

    /// Switches tuning on or off for this device and its clones.
    pub fn set_autotune(&self, on: bool) {
        self.0.learned.autotune.store(on, Ordering::Relaxed);
    }

    /// The tuner's choices on this adapter for kernels of a fingerprint, read from their file on first use.
    pub(crate) fn choices(&self, kernels: impl FnOnce() -> u64) -> MutexGuard<'_, Choices> {
        lock(
            self.0
                .learned
                .choices
                .get_or_init(|| Mutex::new(Choices::open(&self.describe(), kernels()))),
        )
    }

    /// Keeps the choices in a folder of the test's own.
    #[cfg(test)]
    pub(crate) fn keep_choices_in(&self, folder: &std::path::Path) {
        let choices = Choices::in_folder(Some(folder.into()), &self.describe(), 0);
        assert!(
            self.0.learned.choices.set(Mutex::new(choices)).is_ok(),
            "nothing was tuned before"
        );
    }

    /// Where a new pipeline finds what the driver has compiled before.
    pub(crate) fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        self.0.learned.pipelines.as_ref().map(Pipelines::for_new)
    }
}
