// Means of g weight and of g weight x' over a group of channels of a segment, from the partial sums
// of channel_gradient_sums. Linked with channel_params and a frame; a unit is a group of a segment.
// With one segment and groups of one channel it also writes the gradients of weight and bias.

@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> totals: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameter_gradients: array<f32>;

fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return a + b;
}

fn write_gradient(place: u32, gradient: f32) {
    let before = select(0.0, parameter_gradients[place], has(ACCUMULATE));
    parameter_gradients[place] = before + gradient;
}

@compute @workgroup_size(WORKGROUP)
fn channel_totals(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let at = unit_of(workgroup.y * count.x + workgroup.x, local_index);
    let units = params.segments * params.groups;
    let unit = min(at, units - 1u);
    let segment = unit / params.groups;
    let of_group = params.channels / params.groups;
    let first_channel = unit % params.groups * of_group;
    var part = vec4<f32>();
    for (var i = first_of(local_index); i < params.slabs * of_group; i += stride()) {
        let channel = first_channel + i % of_group;
        let row = 2u * (segment * params.slabs + i / of_group);
        let place = row * params.channels + channel;
        let found = vec2<f32>(partials[place + params.channels], partials[place]);
        var weight = 1.0;
        if has(AFFINE) {
            weight = parameters[params.weight + channel];
        }
        part += vec4<f32>(found, weight * found);
    }
    part = joined(part, local_index);
    if at >= units {
        return;
    }
    let mean = part.zw / (f32(params.pixels) * f32(of_group));
    for (var i = first_of(local_index); i < of_group; i += stride()) {
        let place = 2u * segment * params.channels + first_channel + i;
        totals[place] = mean.x;
        totals[place + params.channels] = mean.y;
    }
    if has(PARAMETERS) && first_of(local_index) == 0u {
        write_gradient(params.weight + first_channel, part.y);
        write_gradient(params.bias + first_channel, part.x);
    }
}
