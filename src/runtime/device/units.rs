//! Matrix units of an adapter: the features that a device needs for them.

/// The features of a device with matrix units.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16);

/// True if an adapter multiplies matrices of 16 × 16 in f16 and sums them in f32. The kernels count
/// the lanes of a subgroup, so that all subgroups must have one size.
pub(super) fn has_units(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo) -> bool {
    let needed = FEATURES | wgpu::Features::SUBGROUP;
    let is_fitting = |found: &wgpu::CooperativeMatrixProperties| {
        [found.m_size, found.n_size, found.k_size] == [16; 3]
            && found.ab_type == wgpu::CooperativeScalarType::F16
            && found.cr_type == wgpu::CooperativeScalarType::F32
    };
    adapter.features().contains(needed)
        && info.subgroup_min_size == info.subgroup_max_size
        && adapter.cooperative_matrix_properties().iter().any(is_fitting)
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
