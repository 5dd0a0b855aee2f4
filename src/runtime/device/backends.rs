//! Selection of backends and adapters, and the messages if none matches.

use crate::{Error, Result};

/// Backends compiled in on this system.
const HERE: wgpu::Backends = if cfg!(windows) {
    wgpu::Backends::VULKAN.union(wgpu::Backends::DX12)
} else if cfg!(target_vendor = "apple") {
    wgpu::Backends::METAL
} else {
    wgpu::Backends::VULKAN
};

/// The requested backends: `WGPU_BACKEND`, else all of this system.
///
/// # Errors
/// [`Error::Option`] for an unknown word, or for backends unavailable on this system.
pub(crate) fn wanted() -> Result<wgpu::Backends> {
    match std::env::var_os("WGPU_BACKEND") {
        None => Ok(HERE),
        Some(words) => parse(&words.to_string_lossy()),
    }
}

/// wgpu ignores unknown words and then finds no adapter: a misspelt name must not look like a
/// missing driver.
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

/// Names of backends, for messages.
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

/// All adapters of the requested backends, best first; empty if `WGPU_BACKEND` is invalid.
pub fn adapters() -> Vec<wgpu::Adapter> {
    wanted().map(of).unwrap_or_default()
}

/// All adapters of the given backends, best first.
pub(crate) fn of(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    crate::runtime::device::wayland::silence();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    best_first(&mut adapters, wgpu::Adapter::get_info);
    adapters
}

/// Puts what has a better rank first, and keeps the order of equal ones.
fn best_first<T>(adapters: &mut [T], info: impl Fn(&T) -> wgpu::AdapterInfo) {
    adapters.sort_by_key(|adapter| rank(&info(adapter)));
}

/// The best adapter whose name contains `WGPU_ADAPTER_NAME`.
///
/// # Errors
/// [`Error::NoAdapter`] with the available ones; [`Error::Option`] for an invalid `WGPU_BACKEND`.
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

/// True for a null device, which compiles shaders but executes nothing: Mesa's RADV opens one for
/// developers if `RADV_FORCE_FAMILY` is set. Its results would be uninitialized memory.
pub(super) fn is_null(info: &wgpu::AdapterInfo) -> bool {
    info.name.starts_with("Null hardware")
}

pub(super) fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        _ if is_null(info) => 5,
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_comes_before_a_driver_in_software_and_one_that_computes_nothing_last() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};
        let of = |(device_type, name): (wgpu::DeviceType, &str)| wgpu::AdapterInfo {
            name: name.into(),
            ..wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        let mut adapters: Vec<wgpu::AdapterInfo> = [
            (DiscreteGpu, "Null hardware"),
            (Cpu, "e"),
            (IntegratedGpu, "b"),
            (Other, "d"),
            (DiscreteGpu, "a"),
            (VirtualGpu, "c"),
            (DiscreteGpu, "a, the second"),
        ]
        .map(of)
        .into();
        best_first(&mut adapters, Clone::clone);
        let names: Vec<&str> = adapters.iter().map(|info| &*info.name).collect();
        assert_eq!(names, ["a", "a, the second", "b", "c", "d", "e", "Null hardware"]);
    }

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
