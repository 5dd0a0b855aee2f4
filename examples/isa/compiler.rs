//! AMD's production compiler without a card: Mesa's RADV driver with its null device.
//!
//! `RADV_FORCE_FAMILY` makes RADV open a device that executes nothing but compiles every pipeline
//! as for that GPU and reports the result through `VK_KHR_pipeline_executable_properties`:
//! registers, spills, occupancy, instructions. The SPIR-V is written with the options that wgpu
//! uses for the library's own shaders.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::process::Command;

use ash::vk;
use gradus::testing::Joined;
use naga::back::spv;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

use super::statistics::Statistics;

/// Target GPUs: RDNA 3 (`navi31` from Mesa 23.3 on), RDNA 2, RDNA 1, GCN 5 (the ancestor of the
/// data-centre cards) and GCN 4.
pub const FAMILIES: [&str; 6] = ["gfx1100", "navi31", "navi21", "navi10", "vega10", "polaris10"];

/// Environment variable of the compiling process: its value is the family.
const FAMILY: &str = "RADV_FORCE_FAMILY";

/// The manifest of RADV, if installed.
pub fn manifest() -> Option<PathBuf> {
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let files =
        folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = files.map(|file| file.path()).collect();
    found.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("radeon_icd."))
    });
    found.sort();
    // Prefers the manifest of this machine's architecture to that for 32-bit programs.
    let own = found.iter().position(|path| path.to_string_lossy().contains(std::env::consts::ARCH));
    found.get(own.unwrap_or(0)).cloned()
}

/// The family that [`command_for`] started this process for.
pub fn family_of_this_process() -> Option<String> {
    std::env::var(FAMILY).ok().filter(|family| FAMILIES.contains(&family.as_str()))
}

/// This program again, with an environment in which the Vulkan loader finds only RADV's null
/// device. A separate process, since the loader reads the environment once, and other threads may
/// read it at the same time.
pub fn command_for(family: &str, manifest: &PathBuf) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(FAMILY, family).env("VK_DRIVER_FILES", manifest).env("VK_ICD_FILENAMES", manifest);
    // Otherwise Mesa's device-select layer writes a line for each opened device.
    command.env("NODEVICE_SELECT", "1");
    // A pipeline from the disk cache is not compiled, so its time would be wrong.
    command.env("MESA_SHADER_CACHE_DISABLE", "true").env("MESA_GLSL_CACHE_DISABLE", "true");
    Ok(command)
}

/// A RADV null device.
pub struct Compiler {
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    /// Its name, for example `Null hardware (RADV GFX1100)`.
    pub name: String,
    /// Driver and version, for example `radv Mesa 22.3.6`.
    pub driver: String,
    /// True if the driver compiles programs of matrix units, which Mesa does from 23.3 on.
    pub has_units: bool,
    // Dropped last: the other fields' functions belong to the library it loaded.
    _entry: ash::Entry,
}

impl Compiler {
    /// Opens the null device selected by the environment.
    pub fn open() -> Result<Self, String> {
        let report = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        // SAFETY: the system's Vulkan loader, loaded as in every Vulkan program.
        let entry =
            unsafe { ash::Entry::load() }.map_err(|error| report("the Vulkan loader", &error))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structures live until the call returns. The instance is not destroyed: the
        // process ends with it.
        let instance = unsafe { entry.create_instance(&info, None) }
            .map_err(|error| report("Vulkan", &error))?;
        // SAFETY: `instance` is valid.
        let all = unsafe { instance.enumerate_physical_devices() }
            .map_err(|error| report("Vulkan", &error))?;
        let physical = *all.first().ok_or("RADV has no null device of this family")?;
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
        // SAFETY: both structures live until the call returns.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let name = text(&properties.properties.device_name);
        let driver = format!("{} {}", text(&driver.driver_name), text(&driver.driver_info));
        if !name.starts_with("Null hardware") {
            return Err(format!("`{name}` is no null device of RADV"));
        }
        // SAFETY: `physical` belongs to `instance`.
        let extensions = unsafe { instance.enumerate_device_extension_properties(physical) }
            .map_err(|error| report(&name, &error))?;
        let units = ash::khr::cooperative_matrix::NAME;
        let has_units = extensions.iter().any(|one| one.extension_name_as_c_str() == Ok(units));
        let device =
            create_device(&instance, physical, has_units).map_err(|error| report(&name, &error))?;
        let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
        Ok(Compiler { device, executables, name, driver, has_units, _entry: entry })
    }

    /// Compiles a program to a pipeline, as wgpu would, and reads the compiler's statistics.
    pub fn compile(&self, program: &Joined) -> Result<Statistics, String> {
        let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        self.with_pipeline(program, flags, |pipeline, seconds| self.statistics(pipeline, seconds))
    }

    /// The machine code of a program, as text.
    pub fn assembly(&self, program: &Joined) -> Result<String, String> {
        let flags = vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        self.with_pipeline(program, flags, |pipeline, _| self.representation(pipeline, "Assembly"))
    }

    fn with_pipeline<T>(
        &self,
        program: &Joined,
        flags: vk::PipelineCreateFlags,
        read: impl FnOnce(vk::Pipeline, f64) -> Result<T, String>,
    ) -> Result<T, String> {
        let (words, module) = spirv(program)?;
        let entry = module.entry_points.first().ok_or("it has no entry point")?.name.clone();
        let entry = CString::new(entry).map_err(|error| error.to_string())?;
        let bindings = bindings(&module);
        let refused = |error: vk::Result| format!("the driver refused it: {error}");
        let device = &self.device;
        // SAFETY: every structure and slice outlives its call; every handle comes from this device,
        // is used while it is alive, and is destroyed once, after its last use. The SPIR-V was
        // written and validated by naga.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = [device.create_descriptor_set_layout(&info, None).map_err(refused)?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set);
            let layout = device.create_pipeline_layout(&info, None).map_err(refused)?;
            let info = vk::ShaderModuleCreateInfo::default().code(&words);
            let shader = device.create_shader_module(&info, None).map_err(refused)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(shader)
                .name(&entry);
            let info =
                vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
            let start = thread_seconds();
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let seconds = thread_seconds() - start;
            let found = match made {
                Ok(pipelines) => {
                    let found = read(pipelines[0], seconds);
                    device.destroy_pipeline(pipelines[0], None);
                    found
                }
                Err((_, error)) => Err(refused(error)),
            };
            device.destroy_shader_module(shader, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set[0], None);
            found
        }
    }

    /// The representation of a pipeline whose name contains a word.
    fn representation(&self, pipeline: vk::Pipeline, word: &str) -> Result<String, String> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let refused = |error: vk::Result| format!("the driver shows no code: {error}");
        let mut count = 0;
        // SAFETY: the pipeline was made with CAPTURE_INTERNAL_REPRESENTATIONS and is alive. Asked
        // without arrays the driver gives their number, without data their sizes.
        unsafe {
            ask(self.device.handle(), &info, &mut count, std::ptr::null_mut())
                .result()
                .map_err(refused)?;
            let mut found =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            ask(self.device.handle(), &info, &mut count, found.as_mut_ptr())
                .result()
                .map_err(refused)?;
            let mut texts: Vec<Vec<u8>> =
                found.iter().map(|one| vec![0; one.data_size + 1]).collect();
            for (one, data) in found.iter_mut().zip(&mut texts) {
                one.p_data = data.as_mut_ptr().cast();
            }
            ask(self.device.handle(), &info, &mut count, found.as_mut_ptr())
                .result()
                .map_err(refused)?;
            let place = found.iter().position(|one| text(&one.name).contains(word));
            let place = place.ok_or_else(|| format!("the driver shows no `{word}`"))?;
            let bytes: Vec<u8> =
                texts[place].iter().copied().take_while(|byte| *byte != 0).collect();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }

    fn statistics(&self, pipeline: vk::Pipeline, seconds: f64) -> Result<Statistics, String> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the pipeline was made with CAPTURE_STATISTICS and is alive; a compute pipeline
        // has one executable.
        let found = unsafe { self.executables.get_pipeline_executable_statistics(&info) };
        let found = found.map_err(|error| format!("the driver has no statistics: {error}"))?;
        let number = |statistic: &vk::PipelineExecutableStatisticKHR| {
            // SAFETY: `format` identifies the union member that was written.
            unsafe {
                match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64,
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => {
                        statistic.value.i64.max(0) as u64
                    }
                    _ => 0,
                }
            }
        };
        Statistics::from_driver(found.iter().map(|one| (text(&one.name), number(one))), seconds)
    }
}

fn create_device(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    has_units: bool,
) -> ash::prelude::VkResult<ash::Device> {
    let queue =
        [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
        .pipeline_executable_info(true);
    let mut of_1_3 = vk::PhysicalDeviceVulkan13Features::default()
        .subgroup_size_control(true)
        .compute_full_subgroups(true);
    let mut of_1_2 = vk::PhysicalDeviceVulkan12Features::default()
        .vulkan_memory_model(true)
        .vulkan_memory_model_device_scope(has_units)
        .shader_float16(has_units);
    let mut of_1_1 =
        vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(true);
    let mut extensions = vec![ash::khr::pipeline_executable_properties::NAME.as_ptr()];
    let mut units =
        vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queue)
        .push_next(&mut statistics)
        .push_next(&mut of_1_3)
        .push_next(&mut of_1_2)
        .push_next(&mut of_1_1);
    if has_units {
        extensions.push(ash::khr::cooperative_matrix::NAME.as_ptr());
    }
    let info = info.enabled_extension_names(&extensions);
    let info = if has_units { info.push_next(&mut units) } else { info };
    // SAFETY: the structures live until the call returns. The device is not destroyed: the process
    // ends with it.
    unsafe { instance.create_device(physical, &info, None) }
}

/// SPIR-V with the options that wgpu 30 uses for a trusted module on a Vulkan 1.3 device.
pub fn spirv(program: &Joined) -> Result<(Vec<u32>, naga::Module), String> {
    let module = naga::front::wgsl::parse_str(&program.text)
        .map_err(|error| error.emit_to_string(&program.text))?;
    let mut capabilities = Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if program.text.contains("enable wgpu_cooperative_matrix;") {
        capabilities |= Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    }
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(&program.text))?;
    let constants =
        program.constants.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
            .map_err(|error| error.to_string())?;
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::empty(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let words =
        spv::write_vec(&module, &info, &options, None).map_err(|error| error.to_string())?;
    Ok((words, module.into_owned()))
}

/// Group 0 in the library's layout: the uniform with a dynamic offset, then storage buffers.
fn bindings(module: &naga::Module) -> Vec<vk::DescriptorSetLayoutBinding<'static>> {
    let bound = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| Some((variable.binding?, variable.space)));
    bound
        .map(|(binding, space)| {
            let kind = match space {
                naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                _ => vk::DescriptorType::STORAGE_BUFFER,
            };
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding.binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        })
        .collect()
}

/// Seconds that this thread has run on a core. The driver compiles in the calling thread, so other
/// load on the machine does not count.
fn thread_seconds() -> f64 {
    let own = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = own.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

static START: std::sync::LazyLock<std::time::Instant> =
    std::sync::LazyLock::new(std::time::Instant::now);

fn text(characters: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|character| *character as u8).collect();
    CStr::from_bytes_until_nul(&bytes)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}
