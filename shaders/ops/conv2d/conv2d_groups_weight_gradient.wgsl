// Gradient of the weights and the bias of a convolution in groups: each thread sums one weight over
// a range of pixels; matmul_join.wgsl adds the ranges in order. With `params.ones` the last row of
// the output is the gradient of the bias. Linked with conv2d_params.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn conv2d_groups_weight_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let size = params.m * params.n;
    let part = index / size;
    let first = part * params.part_k;
    if first >= params.k {
        return;
    }
    let end = min(first + params.part_k, params.k);
    let row = index % size / params.n;
    let filter_index = index % params.n;
    let is_bias = row == params.m - params.ones;
    let tap = i32(row / params.group_channels);
    let tap_y = tap / params.kernel_width;
    let tap_x = tap % params.kernel_width;
    let channel = filter_index / params.group_filters * params.group_channels + row % params.group_channels;
    var sum = 0.0;
    for (var pixel = first; pixel < end; pixel += 1u) {
        let gradient = gradients[params.right_offset + pixel * params.n + filter_index];
        if is_bias {
            sum += gradient;
        } else {
            let place = tap_of(patch_of(pixel), tap_y, tap_x);
            if place >= 0 {
                sum = fma(images[params.left_offset + u32(place) + channel], gradient, sum);
            }
        }
    }
    parts[index] = sum;
}
