// Access to patches and weights by single elements: four adjacent columns of the matrix of patches
// may belong to up to four taps. Linked with matmul_scalar.wgsl; its alternative is
// conv2d_vec4.wgsl.

// A column of the matrix of patches: tap along y and x, channel.
fn next_column(at: vec3<i32>) -> vec3<i32> {
    var next = vec3<i32>(at.x, at.y, at.z + 1);
    if next.z == params.channels {
        next = vec3<i32>(at.x, at.y + 1, 0);
    }
    if next.y == params.kernel_width {
        next = vec3<i32>(at.x + 1, 0, next.z);
    }
    return next;
}

// What lies outside of the image is not multiplied by 0 but replaced by it: 0 · infinity would be
// NaN. Behind the last column too.
fn patch_one(patch_start: vec3<i32>, at: vec3<i32>) -> f32 {
    let place = tap_of(patch_start, at.x, at.y);
    let found = left[params.left_offset + u32(max(place, 0) + select(0, at.z, place >= 0))];
    return select(0.0, found, place >= 0);
}

// The patch of a pixel at columns column … column + 3.
fn patch_four(pixel: u32, column: u32) -> vec4<f32> {
    let start = patch_of(pixel);
    let tap = quotient(i32(column), params.channels, params.per_channels);
    let tap_y = quotient(tap, params.kernel_width, params.per_kernel_width);
    let first = vec3<i32>(tap_y, tap - tap_y * params.kernel_width, i32(column) - tap * params.channels);
    let second = next_column(first);
    let third = next_column(second);
    return vec4<f32>(
        patch_one(start, first),
        patch_one(start, second),
        patch_one(start, third),
        patch_one(start, next_column(third)),
    );
}

fn weight_one(k: u32, column: u32) -> f32 {
    let inside = min(k, params.k - 1u);
    let tap = u32(quotient(i32(inside), params.channels, params.per_channels));
    let filters = u32(params.channels);
    let found = right[params.right_offset + (tap * params.n + column) * filters + inside - tap * filters];
    return select(0.0, found, k < params.k);
}

// The weights of output channel `column` of the gradient of the input at k … k + 3; zero behind the
// end of k.
fn weight_four(k: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(weight_one(k, column), weight_one(k + 1u, column), weight_one(k + 2u, column), weight_one(k + 3u, column));
}
