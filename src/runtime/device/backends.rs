//! Which backends and adapters are asked for, and what is said where none fits.

use crate::runtime::device::{Device, Gpu, rank};
use crate::{Error, Result};

/// The backends that are compiled in on this system.
const HERE: wgpu::Backends = if cfg!(windows) {
    wgpu::Backends::VULKAN.union(wgpu::Backends::DX12)
} else if cfg!(target_vendor = "apple") {
    wgpu::Backends::METAL
} else {
    wgpu::Backends::VULKAN
};

/// The backends that are asked for: `WGPU_BACKEND`, else all of this system.
///
/// # Errors
/// [`Error::Option`] for a word that is none, or for backends that this system has not.
pub(crate) fn wanted() -> Result<wgpu::Backends> {
    match std::env::var_os("WGPU_BACKEND") {
        None => Ok(HERE),
        Some(words) => parse(&words.to_string_lossy()),
    }
}

/// wgpu leaves out words that it does not know, and then finds no adapter: a misspelt name must not look like a missing driver.
fn parse(words: &str) -> Result<wgpu::Backends> {
    let mut backends = wgpu::Backends::empty();
    for word in
        words.split(',').map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty())
    {
        backends |= match word.as_str() {
            "vulkan" | "vk" => wgpu::Backends::VULKAN,
            "metal" | "mtl" => wgpu::Backends::METAL,
            "dx12" | "d3d12" => wgpu::Backends::DX12,
            _ => {
                return Err(refused(
                    words,
                    "vulkan, metal or dx12, or several of them with commas between",
                ));
            }
        };
    }
    if words.trim().is_empty() {
        return Ok(HERE);
    }
    match backends & HERE {
        here if here.is_empty() => Err(refused(words, &format!("{} on this system", names(HERE)))),
        here => Ok(here),
    }
}

fn refused(words: &str, allowed: &str) -> Error {
    Error::option("the environment", "WGPU_BACKEND", format!("`{words}`"), allowed)
}

/// Backends in words.
pub(crate) fn names(backends: wgpu::Backends) -> String {
    let known = [
        (wgpu::Backends::VULKAN, "vulkan"),
        (wgpu::Backends::METAL, "metal"),
        (wgpu::Backends::DX12, "dx12"),
    ];
    let names =
        known.into_iter().filter_map(|(backend, name)| backends.contains(backend).then_some(name));
    names.collect::<Vec<_>>().join(", ")
}

/// All adapters of the backends asked for, best first; none where `WGPU_BACKEND` names what there is not.
pub fn adapters() -> Vec<wgpu::Adapter> {
    wanted().map(of).unwrap_or_default()
}

/// All adapters of some backends, best first.
pub(crate) fn of(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    crate::runtime::device::wayland::silence();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.sort_by_key(|adapter| rank(&adapter.get_info()));
    adapters
}

/// The best adapter with `WGPU_ADAPTER_NAME` in its name.
///
/// # Errors
/// [`Error::NoAdapter`] with those that there are; [`Error::Option`] for a wrong `WGPU_BACKEND`.
pub(crate) fn choose() -> Result<wgpu::Adapter> {
    let wanted_name = std::env::var_os("WGPU_ADAPTER_NAME").unwrap_or_default();
    let wanted_name = wanted_name.to_string_lossy();
    let backends = wanted()?;
    let mut adapters = of(backends);
    let fits = |adapter: &wgpu::Adapter| {
        adapter.get_info().name.to_lowercase().contains(&wanted_name.to_lowercase())
    };
    if let Some(place) = adapters.iter().position(fits) {
        return Ok(adapters.swap_remove(place));
    }
    let found: Vec<String> = adapters.iter().map(|a| format!("`{}`", a.get_info().name)).collect();
    let name = match &*wanted_name {
        "" => String::new(),
        name => format!(" with `{name}` in its name (WGPU_ADAPTER_NAME)"),
    };
    let advice = if found.is_empty() {
        "install a GPU driver or a software one (Debian: apt-get install mesa-vulkan-drivers libvulkan1), or take the device `cpu`"
    } else {
        "name one of those, or take the device `cpu`"
    };
    let shown = names(backends)
        .replace("vulkan", "Vulkan")
        .replace("metal", "Metal")
        .replace("dx12", "DX12");
    Err(Error::NoAdapter {
        asked: format!("{shown}{name}"),
        found: if found.is_empty() { "none".into() } else { found.join(", ") },
        advice: advice.into(),
    })
}

impl Device {
    /// As [`Device::auto`], and why it takes what it takes, in words: a hardware GPU, or that there is none, that the only adapter is
    /// software, or that `WGPU_ADAPTER_NAME` or `WGPU_BACKEND` fit none of those found.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_there_is_not_is_named_and_what_there_is() {
        assert_eq!(parse("").unwrap(), HERE);
        assert_eq!(parse(&format!(" {} ", names(HERE))).unwrap(), HERE);
        for wrong in ["vulcan", "vulkan,vulcan", "gl"] {
            let message = parse(wrong).unwrap_err().to_string();
            let expected = format!(
                "the environment: WGPU_BACKEND is `{wrong}`; it must be vulkan, metal or dx12"
            );
            assert!(message.starts_with(&expected), "{message}");
        }
        if cfg!(target_os = "linux") {
            let message = parse("metal,dx12").unwrap_err().to_string();
            assert_eq!(
                message,
                "the environment: WGPU_BACKEND is `metal,dx12`; it must be vulkan on this system"
            );
        }
    }
}
