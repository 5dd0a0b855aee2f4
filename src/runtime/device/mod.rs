//! Devices: a GPU through wgpu, the CPU in f32, or the plain f64 reference.

mod autotune;
mod backends;
mod choices;
mod deferred;
mod fault;
mod learned;
mod options;
mod pipelines;
mod planning;
mod submissions;
#[cfg(test)]
pub(crate) mod test_adapter;
mod units;
mod waiting;
mod wayland;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::runtime::device::backends::is_null;
use crate::runtime::device::deferred::Deferred;
use crate::runtime::device::fault::{Fault, lock, one_line};
use crate::runtime::device::learned::Learned;
use crate::runtime::device::submissions::Submissions;
use crate::runtime::kernel::Kernel;
use crate::{Error, Result};

pub use crate::runtime::device::options::GpuOptions;

pub use backends::adapters;
pub(crate) use submissions::Work;

/// The device a loss or a model runs on. Cloning is cheap: a GPU's clones share one wgpu device and
/// one pipeline cache.
#[derive(Clone, Debug)]
pub enum Device {
    /// Any adapter supported by wgpu.
    Gpu(Gpu),
    /// f32 on all cores, vectorised.
    Cpu,
    /// f64 in plain loops on one core: the reference for all other devices.
    Reference,
}

impl Device {
    /// The best available adapter: discrete before integrated before virtual before software.
    ///
    /// `WGPU_ADAPTER_NAME` (a substring of the name) and `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`)
    /// narrow the choice.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if none is found, with installation hints.
    pub fn gpu() -> Result<Self> {
        Gpu::open().map(Device::Gpu)
    }

    /// f32 on all cores. Requires no driver.
    pub fn cpu() -> Self {
        Device::Cpu
    }

    /// Plain f64.
    pub fn reference() -> Self {
        Device::Reference
    }

    /// A hardware GPU if available, else the CPU. The choice is logged at level `info`, and as a
    /// warning if `WGPU_ADAPTER_NAME` or `WGPU_BACKEND` match nothing; [`Device::auto_with_reason`]
    /// also returns the reason.
    ///
    /// Software adapters are skipped: they run on the same cores as the CPU device and are slower.
    pub fn auto() -> Self {
        let (device, reason) = Device::auto_with_reason();
        // A user who names an adapter or a backend does not expect the CPU.
        let is_named = ["WGPU_ADAPTER_NAME", "WGPU_BACKEND"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        let level = if is_named && matches!(device, Device::Cpu) {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        log::log!(level, "auto: {}: {reason}", device.describe());
        device
    }

    /// The device with this name: `auto`, `gpu`, `cpu`, `reference`.
    ///
    /// # Errors
    /// [`Error::Unknown`] for any other name, [`Error::NoAdapter`] for `gpu` if there is none.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Device::auto()),
            "gpu" => Device::gpu(),
            "cpu" => Ok(Device::Cpu),
            "reference" => Ok(Device::Reference),
            _ => Err(Error::unknown("device", name, ["auto", "gpu", "cpu", "reference"])),
        }
    }

    /// `gpu`, `cpu` or `reference`.
    pub fn name(&self) -> &'static str {
        match self {
            Device::Gpu(_) => "gpu",
            Device::Cpu => "cpu",
            Device::Reference => "reference",
        }
    }

    /// A one-line description: the adapter and its driver, or the number of threads.
    pub fn describe(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.describe(),
            Device::Cpu => format!("CPU, f32, {} thread(s)", rayon::current_num_threads()),
            Device::Reference => "CPU, f64 reference, 1 thread".into(),
        }
    }

    /// Waits until all work submitted to the device is done.
    ///
    /// # Errors
    /// Failures of that work: [`Error::DeviceLost`], [`Error::OutOfMemory`], [`Error::Gpu`].
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Device::Gpu(gpu) => {
                gpu.wait()?;
                gpu.0.learned.save_pipelines();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// True if two handles refer to the same device, so that their tensors can be combined.
    pub fn is_same(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Gpu(a), Device::Gpu(b)) => Arc::ptr_eq(&a.0, &b.0),
            (Device::Cpu, Device::Cpu) | (Device::Reference, Device::Reference) => true,
            _ => false,
        }
    }
}

impl Device {
    /// As [`Device::auto`], with the reason for the choice in words: a hardware GPU, no GPU, only a
    /// software adapter, or no adapter matching `WGPU_ADAPTER_NAME` or `WGPU_BACKEND`.
    pub fn auto_with_reason() -> (Self, String) {
        match Gpu::open() {
            Ok(gpu) if !gpu.is_software() => (Device::Gpu(gpu), "the best hardware adapter".into()),
            Ok(gpu) => {
                let reason = format!(
                    "{} is software and would run on the same cores, slower",
                    gpu.describe()
                );
                (Device::Cpu, reason)
            }
            Err(Error::NoAdapter { found, .. }) if found == "none" => {
                (Device::Cpu, "no GPU adapter was found".into())
            }
            Err(error) => (Device::Cpu, error.to_string()),
        }
    }
}

/// A wgpu device with its queue and its compiled pipelines.
#[derive(Clone, Debug)]
pub struct Gpu(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    features: wgpu::Features,
    options: GpuOptions,
    device: wgpu::Device,
    queue: wgpu::Queue,
    kernels: Mutex<HashMap<String, Arc<Kernel>>>,
    deferred: Deferred,
    fault: Arc<Mutex<Option<Fault>>>,
    learned: Learned,
    submissions: Submissions,
    /// The side of the matrices of its matrix units, if it was opened with them.
    unit_side: Option<u32>,
    /// Whether matrix units are used, once that is decided.
    matrix_units: OnceLock<bool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A lost device may never respond.
        if lock(&self.fault).is_none() {
            self.learned.save_pipelines();
        }
    }
}

impl Gpu {
    /// Opens the adapter described at [`Device::gpu`], with the variants set in the environment.
    pub(crate) fn open() -> Result<Self> {
        Self::open_with(GpuOptions::from_env()?)
    }

    /// Opens the adapter described at [`Device::gpu`] with the given kernel variants.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if no adapter matches or the driver fails to create a device.
    pub fn open_with(options: GpuOptions) -> Result<Self> {
        Self::from_adapter(&backends::choose()?, options)
    }

    /// Opens an adapter with all of its limits: wgpu's defaults would cap bindings at 128 MiB on
    /// any GPU.
    fn from_adapter(adapter: &wgpu::Adapter, options: GpuOptions) -> Result<Self> {
        let info = adapter.get_info();
        if is_null(&info) {
            return Err(Error::NoAdapter {
                asked: info.name.clone(),
                found: "a null device, which compiles shaders and cannot compute".into(),
                advice:
                    "unset RADV_FORCE_FAMILY, choose another adapter with WGPU_ADAPTER_NAME, or take the device `cpu`"
                        .into(),
            });
        }
        let mut features = adapter.features()
            & (wgpu::Features::TIMESTAMP_QUERY
                | wgpu::Features::SUBGROUP
                | pipelines::wanted_feature(&info));
        // Their kernels name the subgroups.
        let is_asked = options.matrix_units && options.subgroups;
        let unit_side = is_asked.then(|| units::side(adapter)).flatten();
        if unit_side.is_some() {
            features |= units::FEATURES;
        }
        features.set(
            wgpu::Features::SUBGROUP,
            features.contains(wgpu::Features::SUBGROUP) && options.subgroups,
        );
        let limits = adapter.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradus"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            experimental_features: units::experimental(features),
            ..Default::default()
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| Error::NoAdapter {
                asked: info.name.clone(),
                found: one_line(&error.to_string()),
                advice: "update its driver, choose another adapter with WGPU_ADAPTER_NAME, or take the device `cpu`"
                    .into(),
            })?;
        let fault = Arc::new(Mutex::new(None));
        // Without these two handlers, wgpu panics on any fault.
        let first = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let found = match error {
                wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory,
                other => Fault::Refused(one_line(&other.to_string())),
            };
            lock(&first).get_or_insert(found);
        }));
        let first = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                *lock(&first) = Some(Fault::Lost(one_line(&message)));
            }
        });
        let learned = Learned::new(&device, &info);
        let (kernels, deferred) = (Mutex::default(), Deferred::default());
        let submissions = Submissions::default();
        Ok(Gpu(Arc::new(Shared {
            info,
            limits,
            features,
            options,
            device,
            queue,
            kernels,
            deferred,
            fault,
            learned,
            submissions,
            unit_side,
            matrix_units: OnceLock::new(),
        })))
    }

    /// The adapter's name, type, backend and driver, and any non-default variants, in one line.
    pub fn describe(&self) -> String {
        let used = self.0.unit_side.is_some() && self.matrix_units().get() != Some(&false);
        let options = self.0.options.matrix_units(used);
        describe(self.info()) + &options.describe()
    }

    /// As [`Gpu::describe`], without matrix units: kernels in f32 are the same with them.
    pub(crate) fn describe_single(&self) -> String {
        describe(self.info()) + &self.0.options.matrix_units(false).describe()
    }

    /// wgpu's description of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// The limits the device was opened with: all those of the adapter.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// True if the adapter runs on the CPU's own cores, where other kernel variants are faster.
    /// Always false with [`GpuOptions::hardware_variants`].
    pub fn is_software(&self) -> bool {
        self.0.info.device_type == wgpu::DeviceType::Cpu && !self.0.options.hardware_variants
    }

    /// The options it was opened with.
    pub(crate) fn options(&self) -> GpuOptions {
        self.0.options
    }

    /// True if the crate's own shaders are compiled with wgpu's bounds checks.
    pub(crate) fn is_checked(&self) -> bool {
        self.0.options.checked
    }

    /// The smallest and largest possible subgroup size, if kernels may use subgroups.
    pub(crate) fn subgroups(&self) -> Option<[u32; 2]> {
        let info = &self.0.info;
        let has = self.0.features.contains(wgpu::Features::SUBGROUP);
        has.then_some([info.subgroup_min_size, info.subgroup_max_size])
    }

    /// The smallest possible subgroup size; 0 without subgroups.
    pub(crate) fn subgroup(&self) -> u32 {
        if self.0.features.contains(wgpu::Features::SUBGROUP) {
            self.0.info.subgroup_min_size
        } else {
            0
        }
    }

    /// The side of the matrices of its matrix units, if it was opened with them.
    pub(crate) fn unit_side(&self) -> Option<u32> {
        self.0.unit_side
    }

    /// Whether matrix units are used; empty until that is decided.
    pub(crate) fn matrix_units(&self) -> &OnceLock<bool> {
        &self.0.matrix_units
    }

    /// True if kernels can be timed on the device itself.
    pub fn has_timestamps(&self) -> bool {
        self.0.features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Destroys the device: every later call on it is an error. For tests of lost devices.
    #[doc(hidden)]
    pub fn destroy(&self) {
        self.0.device.destroy();
    }

    /// Allocated bytes on the device, if its backend reports them. For tests of memory release.
    #[doc(hidden)]
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.0.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// The kernel for a key, created by `make` on first use.
    pub(crate) fn cached(
        &self,
        key: String,
        make: impl FnOnce() -> Result<Kernel>,
    ) -> Result<Arc<Kernel>> {
        if let Some(kernel) = lock(&self.0.kernels).get(&key) {
            return Ok(kernel.clone());
        }
        let kernel = Arc::new(make()?);
        Ok(lock(&self.0.kernels).entry(key).or_insert(kernel).clone())
    }

    /// Runs work on the device and returns its first fault as an error that names it: that of this
    /// thread, not of others that work at the same time.
    pub(crate) fn caught<T>(&self, purpose: &str, work: impl FnOnce() -> T) -> Result<T> {
        let scope = |filter| self.0.device.push_error_scope(filter);
        let memory = scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = scope(wgpu::ErrorFilter::Internal);
        let validation = scope(wgpu::ErrorFilter::Validation);
        let done = work();
        let found = [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        // A lost device is reported by its callback.
        self.check(purpose, 0)?;
        match found.into_iter().flatten().next() {
            None => Ok(done),
            Some(wgpu::Error::OutOfMemory { .. }) => {
                Err(Error::OutOfMemory { purpose: purpose.into(), asked: 0 })
            }
            Some(other) => {
                Err(Error::Gpu { kernel: purpose.into(), message: one_line(&other.to_string()) })
            }
        }
    }

    /// Returns the first fault since the last check as an error that names the work.
    pub(crate) fn check(&self, purpose: &str, bytes: u64) -> Result<()> {
        let mut fault = lock(&self.0.fault);
        match fault.as_ref() {
            None => Ok(()),
            // A lost device stays lost: keep the fault, so that every later call reports it too.
            Some(Fault::Lost(reason)) => {
                Err(Error::DeviceLost { adapter: self.0.info.name.clone(), reason: reason.clone() })
            }
            Some(_) => Err(match fault.take() {
                Some(Fault::Refused(message)) => Error::Gpu { kernel: purpose.into(), message },
                _ => Error::OutOfMemory { purpose: purpose.into(), asked: bytes },
            }),
        }
    }
}

/// The adapter's name, type, backend and driver in one line.
fn describe(info: &wgpu::AdapterInfo) -> String {
    let kind = match info.device_type {
        _ if is_null(info) => "null device: compiles, cannot compute",
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software adapter on the CPU",
        wgpu::DeviceType::Other => "GPU of unknown type",
    };
    format!("{} ({kind}, {}, {} {})", info.name, info.backend, info.driver, info.driver_info)
        .trim_end()
        .to_string()
}
