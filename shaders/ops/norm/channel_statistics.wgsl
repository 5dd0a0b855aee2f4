// Mean and 1/sqrt(variance + EPSILON) of each group of channels, from the partial sums of slabs or
// from the running statistics, which training moves. Linked with channel_params and a frame; a unit
// is a group of a segment.

@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> running: array<f32>;
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;

// Count, mean and squares of both parts together (T. Chan, G. Golub, R. LeVeque, 1979).
fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if a.x == 0.0 {
        return b;
    }
    let n = a.x + b.x;
    let share = b.x / n;
    let distance = b.y - a.y;
    return vec4<f32>(n, a.y + distance * share, a.z + b.z + distance * distance * a.x * share, 0.0);
}

// max would turn NaN into 0.
fn not_below_zero(x: f32) -> f32 {
    return select(max(x, 0.0), x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// By its bits: compilers may assume that numbers are finite.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u;
}

@compute @workgroup_size(WORKGROUP)
fn channel_statistics(
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
    let items = select(0u, params.slabs * of_group, has(TRAINING));
    var part = vec4<f32>();
    for (var i = first_of(local_index); i < items; i += stride()) {
        let slab = i / of_group;
        let row = 2u * (segment * params.slabs + slab);
        let place = row * params.channels + first_channel + i % of_group;
        let length = min(params.slab, params.pixels - slab * params.slab);
        let found = vec4<f32>(f32(length), partials[place], partials[place + params.channels], 0.0);
        part = join(part, found);
    }
    part = joined(part, local_index);
    if at >= units {
        return;
    }
    var mean = part.y;
    var variance = not_below_zero(part.z / part.x);
    if !has(TRAINING) {
        mean = running[params.running_mean + unit];
        variance = running[params.running_var + unit];
    }
    if has(MOVES) && first_of(local_index) == 0u && is_finite(mean) && is_finite(variance) {
        let old_mean = running[params.running_mean + unit];
        let old_var = running[params.running_var + unit];
        let of_mean = params.momentum * (mean - old_mean);
        let of_var = params.momentum * (variance * params.unbiased - old_var);
        running[params.running_mean + unit] = old_mean + of_mean;
        running[params.running_var + unit] = old_var + of_var;
    }
    let scale = 1.0 / sqrt(variance + params.epsilon);
    for (var i = first_of(local_index); i < of_group; i += stride()) {
        let place = 2u * segment * params.channels + first_channel + i;
        statistics[place] = mean;
        statistics[place + params.channels] = scale;
    }
}
