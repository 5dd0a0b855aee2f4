// Layout of the gradient of a convolution's weights and bias: patchesᵀ [taps · channels, pixels] ·
// gradient of the output [pixels, filters]. With `params.ones` a last row of ones is below the
// patches, which gives the gradient of the bias. Takes the place of matmul_tn.wgsl.

const LEFT_ALONG_K: bool = false;
const RIGHT_ALONG_K: bool = false;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    let stored = params.m - params.ones;
    let found = patch_four(k, select(0u, row, row < stored));
    let rows = vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(found, vec4<f32>(1.0), rows >= vec4<u32>(stored));
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    let start = select(0u, column, column < params.n);
    return right_four(params.right_offset + k * params.n + start, params.n - start);
}
