//! wgpu's pipeline cache on disk: what a driver has compiled, kept for the next process.
//!
//! `GRADUS_PIPELINE_CACHE=off` switches it off. The file is named after adapter and version, begins with the fingerprint of its
//! content, and is written when the last handle of a device goes or [`Device::synchronize`](crate::Device::synchronize) is called,
//! if pipelines were made since.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::runtime::cache;

/// A cache beyond this is given up: drivers only ever add to it.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Pipelines {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// Pipelines were made that the file may not hold.
    unsaved: AtomicBool,
}

/// The feature to ask an adapter for, if its pipelines are to be kept. A software adapter's are not: lavapipe compiles when a
/// kernel first runs and puts nothing but a header into the cache (Mesa 22.3: 32 bytes).
pub(crate) fn wanted_feature(info: &wgpu::AdapterInfo) -> wgpu::Features {
    let software = info.device_type == wgpu::DeviceType::Cpu;
    if cache::switch("GRADUS_PIPELINE_CACHE").unwrap_or(!software) {
        wgpu::Features::PIPELINE_CACHE
    } else {
        wgpu::Features::empty()
    }
}

impl Pipelines {
    /// The cache of a device that has the feature, filled from its file.
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let name =
            format!("{}_{}.bin", wgpu::util::pipeline_cache_key(info)?, env!("CARGO_PKG_VERSION"));
        let file = cache::folder()?.join(name);
        let found = cache::read(&file, MOST_BYTES);
        let data = found.as_deref().and_then(|bytes| {
            let content = unsealed(bytes);
            if content.is_none() {
                log::warn!("{}: damaged, left out", file.display());
            }
            content
        });
        // SAFETY: the data must come from `PipelineCache::get_data`. It does: the file bears the fingerprint of what
        // `save` once wrote, so a damaged one never gets here; wgpu itself refuses another adapter's, another driver's and another
        // version's; and the folder is the user's own, as are the program and its libraries.
        let cache = unsafe {
            device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                label: Some("gradus"),
                data,
                fallback: true,
            })
        };
        Some(Pipelines { cache, file, unsaved: AtomicBool::new(false) })
    }

    /// The cache, for a pipeline that is about to be made.
    pub fn for_new(&self) -> &wgpu::PipelineCache {
        self.unsaved.store(true, Ordering::Relaxed);
        &self.cache
    }

    /// Writes the file, if pipelines were made since it was last written.
    pub fn save(&self) {
        if !self.unsaved.swap(false, Ordering::Relaxed) {
            return;
        }
        let Some(data) = self.cache.get_data() else { return };
        if data.len() as u64 + 8 > MOST_BYTES {
            log::info!(
                "{}: {} bytes of pipelines are too many to keep",
                self.file.display(),
                data.len()
            );
            return;
        }
        let sealed = sealed(&data);
        // A process that made only pipelines that were known before need not write.
        if cache::read(&self.file, MOST_BYTES).is_none_or(|there| there != sealed) {
            cache::replace(&self.file, &sealed);
        }
    }
}

/// The content behind its fingerprint.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut bytes = cache::fingerprint([content]).to_le_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

/// The content of a file whose fingerprint is right.
fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (head, content) = bytes.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*head) == cache::fingerprint([content])).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_cache() {
        let whole = sealed(b"what a driver gave");
        assert_eq!(unsealed(&whole), Some(&b"what a driver gave"[..]));
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            assert_eq!(unsealed(&damaged), None, "byte {place}");
            assert_eq!(unsealed(&whole[..place]), None, "cut at {place}");
        }
    }
}
