//! GPU options: kernel variants, and the environment variables that set them.

use std::time::Duration;

use crate::runtime::device::submissions::PATIENCE;
use crate::{Error, Result};

/// Options of a GPU: the kernel variants to run. All variants give the same results within the
/// tests' tolerance; the defaults are the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuOptions {
    /// Compiles the crate's own shaders with wgpu's bounds checks too, for debugging (default
    /// false; `GRADUS_CHECKED=1`).
    pub checked: bool,
    /// Uses subgroup operations if the adapter supports them (default true;
    /// `GRADUS_SUBGROUPS=off`).
    pub subgroups: bool,
    /// Uses the hardware variants on a software adapter too: slow there, for testing them without a
    /// GPU (default false; `GRADUS_VARIANTS=hardware`).
    pub hardware_variants: bool,
    /// Time limit per submission, after which a wait ends in [`Error::Timeout`] (default 300 s;
    /// `GRADUS_GPU_TIMEOUT` in seconds, or `off`); `None` waits forever.
    pub timeout: Option<Duration>,
    /// Uses matrix units (cooperative matrices of 16 × 16 or 8 × 8, f16 summed in f32) for the products of
    /// dense layers in mixed precision ([`crate::Fit::mixed_precision`]), if the device has them and
    /// multiplies right with them (default false; `GRADUS_MATRIX_UNITS=on`). wgpu calls them
    /// experimental. A device without them computes the same in f32, and one log line says so.
    pub matrix_units: bool,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            checked: false,
            subgroups: true,
            hardware_variants: false,
            timeout: Some(PATIENCE),
            matrix_units: false,
        }
    }
}

impl GpuOptions {
    /// Options from the environment.
    ///
    /// # Errors
    /// [`Error::Option`] for an unknown value.
    pub fn from_env() -> Result<Self> {
        let switch = |name: &str, [off, on]: [&str; 2], default: bool| match std::env::var(name)
            .as_deref()
        {
            Err(_) | Ok("") => Ok(default),
            Ok(value) if value == on => Ok(true),
            Ok(value) if value == off => Ok(false),
            Ok(value) => {
                Err(Error::option("the environment", name, value, &format!("{on} or {off}")))
            }
        };
        Ok(GpuOptions {
            checked: switch("GRADUS_CHECKED", ["0", "1"], false)?,
            subgroups: switch("GRADUS_SUBGROUPS", ["off", "on"], true)?,
            hardware_variants: switch("GRADUS_VARIANTS", ["auto", "hardware"], false)?,
            timeout: match std::env::var("GRADUS_GPU_TIMEOUT").as_deref() {
                Err(_) | Ok("") => Some(PATIENCE),
                Ok("off") => None,
                Ok(value) => Some(seconds(value)?),
            },
            matrix_units: switch("GRADUS_MATRIX_UNITS", ["off", "on"], false)?,
        })
    }

    /// Sets whether the crate's own shaders use wgpu's bounds checks.
    pub fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// Sets whether subgroup operations are used if available.
    pub fn subgroups(mut self, subgroups: bool) -> Self {
        self.subgroups = subgroups;
        self
    }

    /// Sets whether hardware variants are used on a software adapter.
    pub fn hardware_variants(mut self, hardware_variants: bool) -> Self {
        self.hardware_variants = hardware_variants;
        self
    }

    /// Sets the time limit per submission; `None` for no limit.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whether matrix units are used for mixed precision if available.
    pub fn matrix_units(mut self, matrix_units: bool) -> Self {
        self.matrix_units = matrix_units;
        self
    }

    /// Differences from the defaults, for messages: ` [checked, no subgroups]`, or empty.
    pub(crate) fn describe(&self) -> String {
        let named = [
            (self.checked, "checked shaders"),
            (!self.subgroups, "no subgroups"),
            (self.hardware_variants, "variants for hardware"),
            (self.matrix_units, "matrix units"),
        ];
        let names: Vec<&str> =
            named.into_iter().filter_map(|(holds, name)| holds.then_some(name)).collect();
        if names.is_empty() { String::new() } else { format!(" [{}]", names.join(", ")) }
    }
}

fn seconds(value: &str) -> Result<Duration> {
    let seconds = value.parse().ok().filter(|&seconds: &f64| seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| {
        Error::option("the environment", "GRADUS_GPU_TIMEOUT", value, "seconds above 0, or off")
    })
}
