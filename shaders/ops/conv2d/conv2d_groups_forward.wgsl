// Output of a convolution in groups: one element per thread. Linked with conv2d_params.wgsl.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn conv2d_groups_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.m * params.n {
        return;
    }
    let pixel = index / params.n;
    let filter_index = index % params.n;
    let first_channel = filter_index / params.group_filters * params.group_channels;
    let start = patch_of(pixel);
    var weight = params.right_offset + filter_index;
    var sum = 0.0;
    for (var tap_y = 0; tap_y < params.kernel_height; tap_y += 1) {
        for (var tap_x = 0; tap_x < params.kernel_width; tap_x += 1) {
            let place = tap_of(start, tap_y, tap_x);
            if place >= 0 {
                let first = params.left_offset + u32(place) + first_channel;
                for (var channel = 0u; channel < params.group_channels; channel += 1u) {
                    sum = fma(images[first + channel], parameters[weight + channel * params.n], sum);
                }
            }
            weight += params.group_channels * params.n;
        }
    }
    if params.has_bias != 0u {
        sum += parameters[params.bias_offset + filter_index];
    }
    output[params.output_offset + index] = sum;
}
