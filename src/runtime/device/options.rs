//! Which variants of our kernels a GPU runs: the switches, and the environment that sets them.

use std::time::Duration;

use crate::runtime::device::waiting::PATIENCE;
use crate::{Error, Result};

/// How a GPU is used: which variants of our kernels run on it. All of them give the same results within the judges'
/// tolerance; the defaults are the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuOptions {
    /// Compiles our own shaders with wgpu's bounds checks too, to find a fault in them (default false;
    /// `GRADUS_CHECKED=1`).
    pub checked: bool,
    /// Uses subgroup operations where the adapter has them (default true; `GRADUS_SUBGROUPS=off`).
    pub subgroups: bool,
    /// Takes the variants for hardware on a software adapter too: slow there, and how they are tested without a card
    /// (default false; `GRADUS_VARIANTS=hardware`).
    pub hardware_variants: bool,
    /// How long one submission may take before a wait for it ends in [`Error::Timeout`] (default 300 s; `GRADUS_GPU_TIMEOUT` in
    /// seconds, or `off`); without it a wait has no end.
    pub timeout: Option<Duration>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            checked: false,
            subgroups: true,
            hardware_variants: false,
            timeout: Some(PATIENCE),
        }
    }
}

impl GpuOptions {
    /// What the environment asks for.
    ///
    /// # Errors
    /// [`Error::Option`] for a value that is not known.
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
        })
    }

    /// With wgpu's bounds checks in our own shaders.
    pub fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// With subgroup operations where the adapter has them.
    pub fn subgroups(mut self, subgroups: bool) -> Self {
        self.subgroups = subgroups;
        self
    }

    /// With the variants for hardware on a software adapter too.
    pub fn hardware_variants(mut self, hardware_variants: bool) -> Self {
        self.hardware_variants = hardware_variants;
        self
    }

    /// With another time that one submission may take; none for any.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// What differs from the defaults, for people: ` [checked, no subgroups]`, or nothing.
    pub(crate) fn describe(&self) -> String {
        let named = [
            (self.checked, "checked shaders"),
            (!self.subgroups, "no subgroups"),
            (self.hardware_variants, "variants for hardware"),
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
