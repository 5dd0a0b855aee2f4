//! Where the work runs: a GPU through wgpu, the CPU in f32, or the plain f64 reference.

mod options;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crate::runtime::device::options::GpuOptions;
use crate::runtime::pipeline::Kernel;
use crate::{Error, Result};

mod backends;
mod choices;
mod learned;
mod pipelines;
#[cfg(test)]
pub(crate) mod test_adapter;
mod waiting;
mod wayland;

pub use backends::adapters;
use learned::Learned;
pub(crate) use waiting::Work;

/// Where a loss or a model runs. Cloning it is cheap: a GPU's clones share one wgpu device and one pipeline cache.
#[derive(Clone, Debug)]
pub enum Device {
    /// Any adapter that wgpu finds.
    Gpu(Gpu),
    /// f32 on all cores, vectorised.
    Cpu,
    /// f64 in plain loops on one core: what every other device is judged by.
    Reference,
}

impl Device {
    /// The best adapter there is: discrete before integrated before virtual before software.
    ///
    /// `WGPU_ADAPTER_NAME` (a part of the name) and `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`) narrow the choice.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none, with what to install.
    pub fn gpu() -> Result<Self> {
        Gpu::open().map(Device::Gpu)
    }

    /// f32 on all cores. Needs no driver.
    pub fn cpu() -> Self {
        Device::Cpu
    }

    /// Plain f64.
    pub fn reference() -> Self {
        Device::Reference
    }

    /// A hardware GPU if there is one, else the CPU. The choice is logged at level `info`, and as a warning where
    /// `WGPU_ADAPTER_NAME` or `WGPU_BACKEND` ask for what there is not; [`Device::auto_with_reason`] says it too.
    ///
    /// A software adapter is not taken: it runs on the same cores as the CPU device and is slower.
    pub fn auto() -> Self {
        let (device, reason) = Device::auto_with_reason();
        // Who names an adapter or a backend does not expect the CPU.
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

    /// The device of a name: `auto`, `gpu`, `cpu`, `reference`.
    ///
    /// # Errors
    /// [`Error::Unknown`] for any other name, [`Error::NoAdapter`] for `gpu` where there is none.
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

    /// One line for people: the adapter and its driver, or the number of threads.
    pub fn describe(&self) -> String {
        match self {
            Device::Gpu(gpu) => gpu.describe(),
            Device::Cpu => format!("CPU, f32, {} thread(s)", rayon::current_num_threads()),
            Device::Reference => "CPU, f64 reference, 1 thread".into(),
        }
    }

    /// Waits until all work that was handed to the device is done.
    ///
    /// # Errors
    /// What went wrong in that work: [`Error::DeviceLost`], [`Error::OutOfMemory`], [`Error::Gpu`].
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

    /// Whether two handles name the same device, so that their tensors can meet.
    pub fn is_same(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Gpu(a), Device::Gpu(b)) => Arc::ptr_eq(&a.0, &b.0),
            (Device::Cpu, Device::Cpu) | (Device::Reference, Device::Reference) => true,
            _ => false,
        }
    }
}

/// A wgpu device with its queue and the pipelines made on it so far.
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
    fault: Arc<Mutex<Option<Fault>>>,
    learned: Learned,
    submissions: waiting::Submissions,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A device that was lost may not answer any more.
        if lock(&self.fault).is_none() {
            self.learned.save_pipelines();
        }
    }
}

/// The first thing that went wrong since somebody last looked.
#[derive(Debug)]
enum Fault {
    Lost(String),
    OutOfMemory,
    Refused(String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the adapter is a null device, which compiles shaders and executes nothing: Mesa's RADV opens one for developers where
/// `RADV_FORCE_FAMILY` is set. Its results would be whatever lay in memory.
fn is_null(info: &wgpu::AdapterInfo) -> bool {
    info.name.starts_with("Null hardware")
}

fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        _ if is_null(info) => 5,
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

impl Gpu {
    /// Opens the adapter that [`Device::gpu`] describes, with the variants that the environment asks for.
    pub(crate) fn open() -> Result<Self> {
        Self::open_with(GpuOptions::from_env()?)
    }

    /// Opens the adapter that [`Device::gpu`] describes and forces variants of our kernels on it.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if no adapter fits or the driver gives no device.
    pub fn open_with(options: GpuOptions) -> Result<Self> {
        Self::from_adapter(&backends::choose()?, options)
    }

    /// Opens a given adapter with all its limits: wgpu's defaults would cap bindings at 128 MiB on any card.
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
        // Without these two, wgpu's answer to any fault is a panic.
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
        let (kernels, submissions) = (Mutex::default(), waiting::Submissions::default());
        Ok(Gpu(Arc::new(Shared {
            info,
            limits,
            features,
            options,
            device,
            queue,
            kernels,
            fault,
            learned,
            submissions,
        })))
    }

    /// The adapter's name, type, backend and driver in one line, and which variants are forced.
    pub fn describe(&self) -> String {
        describe(self.info()) + &self.0.options.describe()
    }

    /// What wgpu says of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// The limits that the device was opened with: all that the adapter has.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Whether the adapter runs on the CPU's own cores, where other kernel variants are faster. With
    /// [`GpuOptions::hardware_variants`] no adapter says so.
    pub fn is_software(&self) -> bool {
        self.0.info.device_type == wgpu::DeviceType::Cpu && !self.0.options.hardware_variants
    }

    /// The variants that it was opened with.
    pub(crate) fn options(&self) -> GpuOptions {
        self.0.options
    }

    /// Whether our own shaders carry wgpu's bounds checks.
    pub(crate) fn is_checked(&self) -> bool {
        self.0.options.checked
    }

    /// The smallest and the largest subgroup that a kernel may find itself in, if it may use them.
    pub(crate) fn subgroups(&self) -> Option<[u32; 2]> {
        let info = &self.0.info;
        let has = self.0.features.contains(wgpu::Features::SUBGROUP);
        has.then_some([info.subgroup_min_size, info.subgroup_max_size])
    }

    /// The smallest subgroup that a kernel may find itself in; 0 where there are none.
    pub(crate) fn subgroup(&self) -> u32 {
        if self.0.features.contains(wgpu::Features::SUBGROUP) {
            self.0.info.subgroup_min_size
        } else {
            0
        }
    }

    /// Whether kernels can be timed on the device itself.
    pub fn has_timestamps(&self) -> bool {
        self.0.features.contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Gives the device up: every later call on it is an error. For tests of what comes of a lost device.
    #[doc(hidden)]
    pub fn destroy(&self) {
        self.0.device.destroy();
    }

    /// Bytes that are taken on the device, where its backend tells. For tests of what is let go of.
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

    /// The kernel of a key, made by `make` the first time.
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

    /// Turns the first fault since the last look into an error that says what the work was for.
    pub(crate) fn check(&self, purpose: &str, bytes: u64) -> Result<()> {
        let mut fault = lock(&self.0.fault);
        match fault.as_ref() {
            None => Ok(()),
            // A lost device stays lost: the fault is left in place so that every later call says so too.
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
pub fn describe(info: &wgpu::AdapterInfo) -> String {
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

/// wgpu's messages run over many lines; ours are one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
