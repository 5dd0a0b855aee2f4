//! Kernel launches on the host side: variant, number of workgroups, range of a tensor.

/// Workgroup size of kernels without workgroup communication: one SIMD vector of a software
/// adapter, two subgroups of a GPU.
pub(crate) fn lanes_of(software: bool) -> u32 {
    if software { 8 } else { 64 }
}

/// Maximum total loop iterations of one invocation on a software adapter: Mesa's silently exit
/// loops after 65,535; the margin covers iterations that an estimate misses.
pub(crate) const MAX_LOOP_ITERATIONS: usize = 60_000;
