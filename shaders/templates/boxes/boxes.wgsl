// Boxes kernel template: losses of a predicted box and a true one, each (x1, y1, x2, y2): two
// opposite corners in any order.
//
//     terms           = loss(pair): value, and derivatives by the numbers of the pair
//     gradients[r]    = upstream * factor * weight[r] * (derivatives carried back to the corners)
//     values[r]       = factor * weight[r] * terms.value
//
// Requires from shaders/losses/*.wgsl, through an adaptor: `fn loss(pair: BoxPair) -> BoxTerms` and
// `override EPSILON: f32`. Linked with lib/numbers and lib/scale. Boxes larger than 10^15 are scaled
// by a power of two, so that no area overflows. Where two corners coincide, each side of a minimum
// or maximum gets half of the derivative, as in PyTorch. An infinite corner makes the box NaN.

// Lengths of two boxes; x is the horizontal one.
struct BoxPair {
    overlap: f32,         // area of the intersection
    joined: f32,          // area of the union
    hull: vec2<f32>,      // sides of the smallest box around both
    apart: vec2<f32>,     // predicted centre - true centre
    size: vec2<f32>,      // sides of the predicted box
    true_size: vec2<f32>,
    epsilon: f32,         // EPSILON in the scale of the areas
}

// Value, and derivatives by the members of BoxPair of the same name.
struct BoxTerms {
    value: f32,
    overlap: f32,
    joined: f32,
    hull: vec2<f32>,
    apart: vec2<f32>,
    size: vec2<f32>,
}

struct Params {
    rows: u32,       // in this chunk of the tensor
    reserved: u32,
    factor: f32,     // of the reduction
    upstream: f32,   // dL/d(value)
}

override WORKGROUP: u32 = 64u;
override HAS_WEIGHT: bool = false;
// Reduction `none`: each value has its own upstream gradient.
override REDUCTION_NONE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> predictions: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(4) var<storage, read> upstreams: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> values: array<f32>;

// The share of the first of two numbers in their minimum.
fn share_of_min(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return select(select(vec2<f32>(), vec2<f32>(0.5), a == b), vec2<f32>(1.0), a < b);
}

struct BoxOutcome {
    value: f32,
    gradient: vec4<f32>,
}

fn box_outcome(box: vec4<f32>, truth: vec4<f32>) -> BoxOutcome {
    let raw_low = min(min(box.xy, box.zw), min(truth.xy, truth.zw));
    let raw_high = max(max(box.xy, box.zw), max(truth.xy, truth.zw));
    let extent = max(raw_high.x - raw_low.x, raw_high.y - raw_low.y);
    let scale = select(1.0, scale_to_one(extent), extent > 1e15);
    let low = scale * min(box.xy, box.zw);
    let high = scale * max(box.xy, box.zw);
    let true_low = scale * min(truth.xy, truth.zw);
    let true_high = scale * max(truth.xy, truth.zw);
    let size = high - low;
    let true_size = true_high - true_low;
    let sides = max(min(high, true_high) - max(low, true_low), vec2<f32>());
    let overlap = sides.x * sides.y;
    let pair = BoxPair(
        overlap,
        size.x * size.y + true_size.x * true_size.y - overlap,
        max(high, true_high) - min(low, true_low),
        0.5 * ((low - true_low) + (high - true_high)),
        size,
        true_size,
        max(EPSILON * scale * scale, 1e-30),
    );
    let terms = loss(pair);
    // The area of the predicted box is in the union alone, that of the intersection in both.
    let d_size = terms.size + terms.joined * size.yx;
    let d_sides = select(vec2<f32>(), (terms.overlap - terms.joined) * sides.yx, overlap > 0.0);
    let above = share_of_min(true_high, high);
    let below = share_of_min(low, true_low);
    let d_high = 0.5 * terms.apart + d_size + d_sides * (1.0 - above) + terms.hull * above;
    let d_low = 0.5 * terms.apart - d_size - d_sides * (1.0 - below) - terms.hull * below;
    let is_reversed = box.xy > box.zw;
    let gradient = vec4<f32>(select(d_low, d_high, is_reversed), select(d_high, d_low, is_reversed));
    return BoxOutcome(terms.value, scale * gradient);
}

fn has_other(x: vec4<f32>) -> bool {
    return any((bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f800000u));
}

@compute @workgroup_size(WORKGROUP)
fn boxes(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.rows {
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
    let box = predictions[i];
    let truth = targets[i];
    let found = box_outcome(box, truth);
    // NaN and infinities are decided by their bits, independently of the driver's min and max.
    let is_invalid = has_other(box) || has_other(truth);
    let nan_value = bitcast<f32>(0x7fc00000u | (i & 1u));
    values[i] = select(0.0, weight * select(found.value, nan_value, is_invalid), counts);
    let gradient = (upstream * weight) * select(found.gradient, vec4<f32>(nan_value), is_invalid);
    gradients[i] = select(vec4<f32>(), gradient, counts);
}
