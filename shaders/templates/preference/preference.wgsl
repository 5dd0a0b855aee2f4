// Preference kernel template: losses of up to four numbers per value. The first two may be
// differentiated:
//
//     gradients[p][i] = factor * upstream * weight[i] * loss(numbers of i).gradients[p]
//     values[i]       = factor * weight[i] * loss(numbers of i).value
//
// Requires from shaders/losses/*.wgsl, through an adaptor: `fn loss(numbers: vec4<f32>) ->
// PreferenceTerms`. Linked with lib/numbers. The inputs are stored one after another in one buffer,
// because four separate bindings would exceed the guaranteed limit. An omitted input is 0.

struct PreferenceTerms {
    value: f32,
    gradients: vec2<f32>,
}

struct Params {
    length: u32,    // number of values
    stride: u32,    // distance from one input to the next
    planes: u32,    // number of inputs
    gradients: u32, // number of differentiated inputs
    factor: f32,    // of the reduction
    upstream: f32,  // dL/d(value)
}

override WORKGROUP: u32 = 64u;
override HAS_WEIGHT: bool = false;
// Reduction `none`: each value has its own upstream gradient.
override REDUCTION_NONE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> numbers: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read> upstreams: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn preference(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.length {
        return;
    }
    var weight = params.factor;
    var counts = true;
    if HAS_WEIGHT {
        let bits = weights[i];
        counts = bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    var upstream = params.upstream;
    if REDUCTION_NONE {
        upstream *= upstreams[i];
    }
    var four = vec4<f32>();
    var has_nan = false;
    for (var plane = 0u; plane < params.planes; plane += 1u) {
        let x = numbers[plane * params.stride + i];
        has_nan = has_nan || is_nan(x);
        four[plane] = x;
    }
    let found = loss(four);
    // NaN in, NaN out, independently of the driver's min and clamp.
    let nan_value = four.x + four.y + four.z + four.w;
    values[i] = select(0.0, weight * select(found.value, nan_value, has_nan), counts);
    for (var plane = 0u; plane < params.gradients; plane += 1u) {
        let derivative = upstream * weight * select(found.gradients[plane], nan_value, has_nan);
        gradients[plane * params.stride + i] = select(0.0, derivative, counts);
    }
}
