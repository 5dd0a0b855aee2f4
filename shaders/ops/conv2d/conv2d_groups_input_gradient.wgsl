// Gradient of the input of a convolution in groups: one element per thread, which gathers from the
// outputs that read it. Linked with conv2d_params.wgsl; the images are the gradient of the output.

override WORKGROUP: u32 = 64u;

@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn conv2d_groups_input_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.m * params.n {
        return;
    }
    let pixel = index / params.n;
    let channel = index % params.n;
    let first_filter = channel / params.group_channels * params.group_filters;
    let filters = u32(params.channels);
    let start = patch_of(pixel);
    var weight = params.right_offset + channel % params.group_channels * filters + first_filter;
    var sum = 0.0;
    for (var tap_y = 0; tap_y < params.kernel_height; tap_y += 1) {
        for (var tap_x = 0; tap_x < params.kernel_width; tap_x += 1) {
            let place = tap_of(start, tap_y, tap_x);
            if place >= 0 {
                let first = params.left_offset + u32(place) + first_filter;
                for (var i = 0u; i < params.group_filters; i += 1u) {
                    sum = fma(images[first + i], parameters[weight + i], sum);
                }
            }
            weight += params.group_channels * filters;
        }
    }
    output[params.output_offset + index] = sum;
}
