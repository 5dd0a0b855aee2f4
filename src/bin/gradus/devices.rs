//! `gradus devices`: the adapters, the CPU, and which of them `auto` and `gpu` take.

use clap::Args;
use gradus::{Device, text};
use serde_json::{Value, json};
use wgpu::Features;

use crate::output::{self, Outcome};

/// The width of a terminal.
const COLUMNS: usize = 80;

/// Where what is said of a name begins.
const INDENT: usize = 12;

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
        let (auto, why) = Device::auto_with_reason();
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
        let mut text: String = found.iter().map(|adapter| in_lines(adapter) + "\n").collect();
        text += &entry("cpu", &format!("{threads}, vectors of {lanes} f32"));
        text += &entry("auto", &format!("takes {}: {why}", auto.describe()));
        text += &match gpu {
            Ok(gpu) => {
                let takes = format!(
                    "takes {} (WGPU_ADAPTER_NAME and WGPU_BACKEND choose another)",
                    gpu.describe()
                );
                entry("gpu", &takes)
            }
            Err(error) => entry("gpu", &error.to_string()),
        };
        output::print(&text)
    }
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

/// An adapter as lines of a name and what it is: a table with a column for each is wider than a terminal.
fn in_lines(adapter: &Value) -> String {
    let (limits, features) = (&adapter["limits"], &adapter["features"]);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mark = |value: &Value| if value.as_bool() == Some(true) { "yes" } else { "no" };
    let subgroups =
        features["subgroups"].as_array().map(|sizes| format!("{} to {} lanes", sizes[0], sizes[1]));
    let of_workgroup = format!(
        "{} lanes, {} of memory",
        limits["workgroup_lanes"],
        bytes(&limits["workgroup_memory_bytes"])
    );
    let lines = [
        ("adapter", word(&adapter["name"])),
        ("type", format!("{}, {}", word(&adapter["type"]), word(&adapter["backend"]))),
        ("driver", word(&adapter["driver"])),
        ("a binding", bytes(&limits["binding_bytes"])),
        ("a buffer", bytes(&limits["buffer_bytes"])),
        ("workgroup", of_workgroup),
        ("subgroups", subgroups.unwrap_or_else(|| "no".into())),
        ("timestamps", mark(&features["timestamps"]).into()),
        ("f16", mark(&features["f16"]).into()),
    ];
    lines.into_iter().map(|(name, text)| entry(name, &text)).collect()
}

/// A name and what it is, folded between words to the width of a terminal.
fn entry(name: &str, text: &str) -> String {
    let (mut lines, mut line) = (String::new(), format!("{name:<INDENT$}"));
    for word in text.split_whitespace() {
        let is_first = line.trim_end() == name || line.trim().is_empty();
        if !is_first && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &(line + "\n");
            line = " ".repeat(INDENT);
        } else if !is_first {
            line.push(' ');
        }
        line += word;
    }
    lines + line.trim_end() + "\n"
}

fn bytes(value: &Value) -> String {
    text::bytes(value.as_f64().unwrap_or_default())
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
    fn no_line_is_wider_than_a_terminal_and_no_word_is_lost() {
        let text = "GRADUS_CHECKED=1 and others ".repeat(9) + &"x".repeat(90);
        let folded = entry("gpu", &text);
        assert!(folded.starts_with("gpu         GRADUS_CHECKED=1 and"), "{folded}");
        let wide: Vec<&str> = folded.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(wide, [" ".repeat(12) + &"x".repeat(90)], "only a word that is wider itself");
        let words: Vec<&str> = folded.split_whitespace().skip(1).collect();
        assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
        assert_eq!(entry("f16", "no"), "f16         no\n");
    }
}
