//! The switches of the tuner, its choices, and the cache of pipelines of a device.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};

use crate::runtime::device::Gpu;
use crate::runtime::device::choices::Choices;
use crate::runtime::device::fault::lock;
use crate::runtime::device::pipelines::Pipelines;

impl Gpu {
    /// True if matrix products autotune: the first use of a size times the kernel variants.
    ///
    /// Default: on for hardware; off for software adapters, where compiling the variants takes
    /// longer than they differ. The environment variable `GRADUS_AUTOTUNE` (`on`, `off`) overrides
    /// it, and [`Gpu::set_autotune`] does for one device. Tuning stops at 0.35 s per size (the
    /// first tile is always timed), sizes are rounded to powers of two, and the choices are saved
    /// in `GRADUS_CACHE_DIR`, or `gradus` in the system's cache folder. It changes no bit of a
    /// result: all variants sum in the same order.
    pub fn autotunes(&self) -> bool {
        self.0.learned.autotune.load(Ordering::Relaxed)
    }

    /// Enables or disables tuning for this device and its clones.
    pub fn set_autotune(&self, on: bool) {
        self.0.learned.autotune.store(on, Ordering::Relaxed);
    }

    /// The tuner's choices on this adapter for a kernel fingerprint, read from their file on first
    /// use.
    pub(crate) fn choices(&self, kernels: impl FnOnce() -> u64) -> MutexGuard<'_, Choices> {
        lock(
            self.0
                .learned
                .choices
                .get_or_init(|| Mutex::new(Choices::open(&self.describe_single(), kernels()))),
        )
    }

    /// Stores the choices in a test's own folder.
    #[cfg(test)]
    pub(crate) fn keep_choices_in(&self, folder: &std::path::Path) {
        let choices = Choices::in_folder(Some(folder.into()), &self.describe(), 0);
        assert!(
            self.0.learned.choices.set(Mutex::new(choices)).is_ok(),
            "nothing was tuned before"
        );
    }

    /// The driver's cache for new pipelines.
    pub(crate) fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        self.0.learned.pipelines.as_ref().map(Pipelines::for_new)
    }
}
