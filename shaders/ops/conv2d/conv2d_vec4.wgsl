// Access to patches and weights by four elements: the number of channels is a multiple of four, so
// that four adjacent columns of the matrix of patches belong to one tap. Linked with
// matmul_vec4.wgsl; its alternative is conv2d_scalar.wgsl.

// The patch of a pixel at columns column … column + 3. What lies outside of the image is not
// multiplied by 0 but replaced by it: 0 · infinity would be NaN.
fn patch_four(pixel: u32, column: u32) -> vec4<f32> {
    let tap = quotient(i32(column), params.channels, params.per_channels);
    let channel = i32(column) - tap * params.channels;
    let tap_y = quotient(tap, params.kernel_width, params.per_kernel_width);
    let place = tap_of(patch_of(pixel), tap_y, tap - tap_y * params.kernel_width);
    let found = left_four(params.left_offset + u32(max(place, 0) + channel), 4u);
    return select(vec4<f32>(0.0), found, place >= 0);
}

// The weights of output channel `column` of the gradient of the input at k … k + 3: four adjacent
// filters of one tap.
fn weight_four(k: u32, column: u32) -> vec4<f32> {
    let tap = quotient(i32(k), params.channels, params.per_channels);
    let filters = u32(params.channels);
    let filter_index = k - u32(tap) * filters;
    return right_four(params.right_offset + (u32(tap) * params.n + column) * filters + filter_index, 4u);
}
