// Layout of the gradient of a convolution's input: patches of the gradient of the output [pixels of
// the input, taps · filters] · weights, of which one tap is transposed at a time: stored as [taps,
// channels, filters]. Takes the place of matmul_nt.wgsl.

const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = true;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    return patch_four(min(row, params.m - 1u), k);
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    return weight_four(k, min(column, params.n - 1u));
}
