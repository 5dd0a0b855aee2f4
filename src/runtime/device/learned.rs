//! Data about an adapter saved between processes: compiled pipelines and the tuner's choices.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};

use crate::runtime::device::choices::Choices;
use crate::runtime::device::pipelines::Pipelines;

/// Data about an adapter saved between processes.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(super) pipelines: Option<Pipelines>,
    pub(super) choices: OnceLock<Mutex<Choices>>,
    pub(super) autotune: AtomicBool,
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

    /// Saves pipelines compiled since the last save.
    pub fn save_pipelines(&self) {
        if let Some(pipelines) = &self.pipelines {
            pipelines.save();
        }
    }
}
