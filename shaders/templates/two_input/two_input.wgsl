// Two-input kernel template: losses of two numbers and an optional target. Computes value and both
// derivatives in one pass.
//
//     l                   = loss(firsts[i], seconds[i], truths[i])
//     first_gradients[i]  = factor * upstream * weight[i] * l.first
//     second_gradients[i] = factor * upstream * weight[i] * l.second
//     values              = sum over i of factor * weight[i] * l.value
//
// Requires from shaders/losses/*.wgsl, through an adaptor: `fn loss(first: f32, second: f32, truth:
// f32) -> TwoInputTerms`. Linked with lib/numbers and one of lib/partials_*. Blocks are as in
// templates/pointwise/pointwise. With one second number per row, ops/reduce/row_sums then sums its
// derivatives.

struct TwoInputTerms {
    value: f32,
    first: f32,
    second: f32,
}

struct Params {
    length: u32,        // elements in this chunk of the tensor
    first: u32,         // index of its first element in the whole tensor
    block: u32,         // vectors of four per workgroup
    first_partial: u32, // offset of this chunk's partial sums
    width: u32,         // number of elements that share a second number
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
}

override WORKGROUP: u32 = 256u;
override HAS_WEIGHT: bool = false;
override HAS_TRUTH: bool = true;
override SECOND_PER_ROW: bool = false;
// Reduction `none`: every value is written, and each has its own upstream gradient.
override REDUCTION_NONE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> firsts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> seconds: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> truths: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> upstreams: array<f32>;
@group(0) @binding(6) var<storage, read_write> first_gradients: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> second_gradients: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> values: array<f32>;

fn element(place: u32, first: f32, second: f32, truth: f32) -> TwoInputTerms {
    // Elements past the end use the weight of the last element and are not counted.
    let index = min(place, params.length - 1u);
    var counts = place < params.length;
    var weight = params.factor;
    if HAS_WEIGHT {
        let bits = weights[index];
        counts = counts && bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    var upstream = params.upstream;
    if REDUCTION_NONE {
        upstream *= upstreams[index];
    }
    let found = loss(first, second, truth);
    // NaN in, NaN out, independently of the driver's min and clamp.
    let has_nan = is_nan(first) || is_nan(second) || is_nan(truth);
    let nan_value = first + second + truth;
    let scale = upstream * weight;
    return TwoInputTerms(
        select(0.0, weight * select(found.value, nan_value, has_nan), counts),
        select(0.0, scale * select(found.first, nan_value, has_nan), counts),
        select(0.0, scale * select(found.second, nan_value, has_nan), counts),
    );
}

fn second_at(place: u32) -> f32 {
    let row = (params.first + min(place, params.length - 1u)) / params.width;
    return seconds[row / 4u][row % 4u];
}

fn seconds_at(i: u32) -> vec4<f32> {
    if SECOND_PER_ROW {
        return vec4<f32>(second_at(4u * i), second_at(4u * i + 1u), second_at(4u * i + 2u), second_at(4u * i + 3u));
    }
    return seconds[i];
}

fn truths_at(i: u32) -> vec4<f32> {
    if HAS_TRUTH {
        return truths[i];
    }
    return vec4<f32>();
}

@compute @workgroup_size(WORKGROUP)
fn pairs(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, (params.length + 3u) / 4u);
    var sum = RunningSum();
    for (var i = begin + local_index; i < end; i += WORKGROUP) {
        let first = firsts[i];
        let second = seconds_at(i);
        let truth = truths_at(i);
        let a = element(4u * i, first.x, second.x, truth.x);
        let b = element(4u * i + 1u, first.y, second.y, truth.y);
        let c = element(4u * i + 2u, first.z, second.z, truth.z);
        let d = element(4u * i + 3u, first.w, second.w, truth.w);
        first_gradients[i] = vec4<f32>(a.first, b.first, c.first, d.first);
        second_gradients[i] = vec4<f32>(a.second, b.second, c.second, d.second);
        if REDUCTION_NONE {
            write_value(4u * i, a.value);
            write_value(4u * i + 1u, b.value);
            write_value(4u * i + 2u, c.value);
            write_value(4u * i + 3u, d.value);
        } else {
            add_to(&sum, (a.value + b.value) + (c.value + d.value));
        }
    }
    if !REDUCTION_NONE {
        write_partial(block, local_index, total_of(sum), begin < end);
    }
}

fn write_value(index: u32, value: f32) {
    if index < params.length {
        values[index] = value;
    }
}
