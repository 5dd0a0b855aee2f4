// Layout of a convolution's output: patches [pixels, taps · channels] · weights [taps · channels,
// filters]. Takes the place of matmul_nn.wgsl.

const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = false;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    return patch_four(min(row, params.m - 1u), k);
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    let start = select(0u, column, column < params.n);
    return right_four(params.right_offset + k * params.n + start, params.n - start);
}
