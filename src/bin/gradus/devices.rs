//! `gradus devices`: the adapters, the CPU, and which of them `auto` and `gpu` take.

use clap::Args;
use gradus::Device;
use serde_json::{Value, json};
use wgpu::Features;

use crate::output::{self, Outcome};

/// Shows the adapters, their limits and features, and which one `auto` takes
#[derive(Args)]
pub struct Devices {
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(&self) -> Outcome {
        let adapters = gradus::adapters();
        let found: Vec<Value> = adapters.iter().map(adapter).collect();
        let (auto, why) = auto();
        let gpu = Device::gpu();
        let threads = gradus::Device::cpu().describe();
        let lanes = vector_bits() / 32;
        if self.json {
            return output::print_json(&json!({
                "adapters": found,
                "cpu": { "description": threads, "threads": threads_of_the_cpu(), "vector_bits": vector_bits() },
                "auto": { "device": auto.name(), "description": auto.describe(), "reason": why },
                "gpu": gpu.as_ref().map_or(Value::Null, |gpu| gpu.describe().into()),
                "advice": gpu.as_ref().err().map(ToString::to_string),
            }));
        }
        let mut text = String::new();
        if !found.is_empty() {
            text = format!("{}\n\n", table(&found));
        }
        text += &format!("cpu    {threads}, vectors of {lanes} f32\n");
        text += &format!("auto   takes {}: {why}\n", auto.describe());
        text += &match gpu {
            Ok(gpu) => format!(
                "gpu    takes {} (WGPU_ADAPTER_NAME and WGPU_BACKEND choose another)\n       \
                 GRADUS_CHECKED=1, GRADUS_SUBGROUPS=off and GRADUS_VARIANTS=hardware force variants of its kernels\n",
                gpu.describe()
            ),
            Err(error) => format!("gpu    {error}\n"),
        };
        output::print(&text)
    }
}

/// What `auto` takes, and why.
fn auto() -> (Device, String) {
    let device = Device::auto();
    let why = match (&device, Device::gpu()) {
        (Device::Gpu(_), _) => "the best hardware adapter".into(),
        (_, Ok(gpu)) => format!("{} is software and would run on the same cores, slower", gpu.describe()),
        (_, Err(_)) => "there is no adapter".into(),
    };
    (device, why)
}

fn adapter(adapter: &wgpu::Adapter) -> Value {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let has_subgroups = features.contains(Features::SUBGROUP);
    json!({
        "name": info.name,
        "type": kind(info.device_type),
        "backend": info.backend.to_string(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "limits": {
            "binding_bytes": limits.max_storage_buffer_binding_size,
            "buffer_bytes": limits.max_buffer_size,
            "workgroup_memory_bytes": limits.max_compute_workgroup_storage_size,
            "workgroup_lanes": limits.max_compute_invocations_per_workgroup,
        },
        "features": {
            "timestamps": features.contains(Features::TIMESTAMP_QUERY),
            "subgroups": has_subgroups.then_some([info.subgroup_min_size, info.subgroup_max_size]),
            "f16": features.contains(Features::SHADER_F16),
        },
    })
}

fn kind(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "unknown",
    }
}

fn table(adapters: &[Value]) -> comfy_table::Table {
    let mut table = output::table(&[
        "adapter",
        "type",
        "backend",
        "driver",
        "binding",
        "buffer",
        "workgroup memory",
        "lanes",
        "timestamps",
        "subgroups",
        "f16",
    ]);
    for adapter in adapters {
        let (limits, features) = (&adapter["limits"], &adapter["features"]);
        let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let mark = |value: &Value| if value.as_bool() == Some(true) { "yes" } else { "no" }.to_string();
        let subgroups = features["subgroups"].as_array().map(|sizes| format!("{} to {}", sizes[0], sizes[1]));
        table.add_row(vec![
            word(&adapter["name"]),
            word(&adapter["type"]),
            word(&adapter["backend"]),
            word(&adapter["driver"]),
            bytes(&limits["binding_bytes"]),
            bytes(&limits["buffer_bytes"]),
            bytes(&limits["workgroup_memory_bytes"]),
            limits["workgroup_lanes"].to_string(),
            mark(&features["timestamps"]),
            subgroups.unwrap_or_else(|| "no".into()),
            mark(&features["f16"]),
        ]);
    }
    table
}

/// A number of bytes in the largest unit that leaves at least 1.
fn bytes(value: &Value) -> String {
    let mut number = value.as_f64().unwrap_or_default();
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

fn threads_of_the_cpu() -> usize {
    rayon::current_num_threads()
}

/// Bits of the vectors that the CPU's loops run on.
fn vector_bits() -> u32 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    match pulp::Arch::new() {
        pulp::Arch::V4(_) => return 512,
        pulp::Arch::V3(_) => return 256,
        _ => {}
    }
    128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!(bytes(&json!(1023)), "1023 B");
        assert_eq!(bytes(&json!(134_217_728)), "128 MiB");
        assert_eq!(bytes(&json!(2_147_483_647_u64)), "2 GiB");
    }
}
