//! Matrix units of an adapter: the features that a device needs for them.

/// The features of a device with matrix units.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16);

/// The side of the matrices that an adapter multiplies in f16 and sums in f32, 16 or 8.
pub(super) fn side(adapter: &wgpu::Adapter) -> Option<u32> {
    let needed = FEATURES | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(needed) {
        return None;
    }
    let all = adapter.cooperative_matrix_properties();
    [16, 8].into_iter().find(|&side| {
        all.iter().any(|found| {
            [found.m_size, found.n_size, found.k_size] == [side; 3]
                && found.ab_type == wgpu::CooperativeScalarType::F16
                && found.cr_type == wgpu::CooperativeScalarType::F32
        })
    })
}

/// The token for features that wgpu calls experimental; none unless they were asked for.
pub(super) fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: wgpu warns that experimental features may have bugs behind which lies undefined
    // behaviour. Only the kernels of `nn::ops::matmul::cooperative` use this one; they read operands
    // that the host has padded to whole matrices, and `check` compares their products first.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
