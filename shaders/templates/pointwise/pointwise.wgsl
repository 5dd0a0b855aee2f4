// Pointwise kernel template: losses of one prediction and one target. Computes value and gradient
// in one pass.
//
//     gradients[i] = factor * upstream * weight[i] * loss(predictions[i], targets[i]).derivative
//     values       = sum over i of factor * weight[i] * loss(predictions[i], targets[i]).value
//
// A loss of shaders/losses defines `<stem>_loss(prediction, truth) -> Loss`, with the column weight
// as the last argument if the loss uses it, and optionally `<stem>_hessian_diagonal`. The adaptor
// (src/templates/adaptor.rs) generates from them `element_loss` and `element_gradient`, the first
// derivative or the second. Linked with lib/numbers, one of lib/partials_* and one of
// templates/pointwise/points_*, the memory layout.
//
// Each workgroup processes one contiguous block. Its threads iterate over the block, so that
// adjacent threads read adjacent memory on any device. On software Vulkan a block stays within few
// pages (a stride over the whole buffer is four times slower there).

struct Loss {
    value: f32,
    derivative: f32,
}

struct Params {
    length: u32,        // elements in this chunk of the tensor
    first: u32,         // index of its first element in the whole tensor
    block: u32,         // vectors of four per workgroup
    first_partial: u32, // offset of this chunk's partial sums
    row_length: u32,    // elements in a row
    columns: u32,       // length of the last axis
    factor: f32,        // of the reduction: 1/n for a mean
    upstream: f32,      // dL/d(value); 1 for the loss itself
}

override WORKGROUP: u32 = 256u;
// Weights: 0 none, 1 per element, 2 per row.
override WEIGHTS: u32 = 0u;
override HAS_COLUMN_WEIGHT: bool = false;
// Reduction `none`: every value is written, and each has its own upstream gradient.
override REDUCTION_NONE: bool = false;
// The gradient overwrites the predictions.
override IN_PLACE: bool = false;
// For hardware, where none of the above applies: most vectors take a short way.
override IS_PLAIN: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// Bindings 1, 2 and 6, predictions, targets and gradients, are declared in
// templates/pointwise/points_*.
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(4) var<storage, read> column_weights: array<f32>;
@group(0) @binding(5) var<storage, read> upstreams: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;

// One element with all its factors. Branchless: on software Vulkan a branch costs more than the
// code it skips (bce_with_logits at 2^24: 29.6 ms with a branch, 26.2 without).
fn element(place: u32, prediction: f32, truth: f32) -> Loss {
    // Elements past the end use the weight of the last element and are not counted.
    let index = min(place, params.length - 1u);
    var counts = place < params.length;
    var weight = params.factor;
    if WEIGHTS != 0u {
        let bits = weights[select(index, (params.first + index) / params.row_length, WEIGHTS == 2u)];
        counts = counts && bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    var column_weight = 1.0;
    if HAS_COLUMN_WEIGHT {
        column_weight = column_weights[(params.first + index) % params.columns];
    }
    var upstream = params.upstream;
    if REDUCTION_NONE {
        upstream *= upstreams[index];
    }
    let point = element_loss(prediction, truth, column_weight);
    // NaN in, NaN out, independently of the driver's min and clamp.
    let has_nan = is_nan(prediction) || is_nan(truth);
    let nan_value = prediction + truth;
    return Loss(
        select(0.0, weight * select(point.value, nan_value, has_nan), counts),
        select(0.0, upstream * weight * select(element_gradient(point, prediction, truth, column_weight), nan_value, has_nan), counts),
    );
}

// The sum of the values of four elements inside the tensor, and their derivatives.
struct Four {
    value: f32,
    derivatives: vec4<f32>,
}

// Without weights. NaN is not looked for. The weight is taken out of the sum here: a compiler may do
// so in one of two kernels only, and their values then differ in the last bits (Mesa 22.3 did). Four
// values whose sum is beyond f32 are infinite, also where their mean is not.
fn plain_four(prediction: vec4<f32>, truth: vec4<f32>, weight: f32, scale: f32) -> Four {
    let a = element_loss(prediction.x, truth.x, 1.0);
    let b = element_loss(prediction.y, truth.y, 1.0);
    let c = element_loss(prediction.z, truth.z, 1.0);
    let d = element_loss(prediction.w, truth.w, 1.0);
    let derivatives = vec4<f32>(
        element_gradient(a, prediction.x, truth.x, 1.0),
        element_gradient(b, prediction.y, truth.y, 1.0),
        element_gradient(c, prediction.z, truth.z, 1.0),
        element_gradient(d, prediction.w, truth.w, 1.0),
    );
    return Four(weight * ((a.value + b.value) + (c.value + d.value)), scale * derivatives);
}

// Numbers of a vector whose sum is NaN if one of them is.
fn suspicion(prediction: vec4<f32>, truth: vec4<f32>) -> f32 {
    return sum4(prediction - truth);
}

// The value of a vector, whose derivatives are written: the bits of `plain_four` unless it may hold
// a NaN.
fn careful_four(i: u32, weight: f32, scale: f32) -> f32 {
    let prediction = predictions_of(i);
    let truth = truths_of(i);
    if is_nan(suspicion(prediction, truth)) {
        let a = element(4u * i, prediction.x, truth.x);
        let b = element(4u * i + 1u, prediction.y, truth.y);
        let c = element(4u * i + 2u, prediction.z, truth.z);
        let d = element(4u * i + 3u, prediction.w, truth.w);
        write_gradients(i, vec4<f32>(a.derivative, b.derivative, c.derivative, d.derivative));
        return (a.value + b.value) + (c.value + d.value);
    }
    let found = plain_four(prediction, truth, weight, scale);
    write_gradients(i, found.derivatives);
    return found.value;
}

@compute @workgroup_size(WORKGROUP)
fn pointwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, (params.length + 3u) / 4u);
    var sum = RunningSum();
    var i = begin + local_index;
    if IS_PLAIN {
        // Four vectors at a time that are inside the tensor: eight loads are in flight before the
        // first use. One test per thread for NaN: where its sum of all numbers is NaN, which also
        // infinities of both signs cause, the last loop begins anew and tests each number. What
        // overwrites its predictions cannot begin anew and tests each vector.
        let inside = min(end, params.length / 4u);
        let weight = params.factor;
        let scale = params.upstream * weight;
        var suspicions = 0.0;
        for (; !IN_PLACE && i + 3u * WORKGROUP < inside; i += 4u * WORKGROUP) {
            let p = predictions_of(i);
            let q = predictions_of(i + WORKGROUP);
            let r = predictions_of(i + 2u * WORKGROUP);
            let s = predictions_of(i + 3u * WORKGROUP);
            let t = truths_of(i);
            let u = truths_of(i + WORKGROUP);
            let v = truths_of(i + 2u * WORKGROUP);
            let w = truths_of(i + 3u * WORKGROUP);
            let a = plain_four(p, t, weight, scale);
            write_gradients(i, a.derivatives);
            let b = plain_four(q, u, weight, scale);
            write_gradients(i + WORKGROUP, b.derivatives);
            let c = plain_four(r, v, weight, scale);
            write_gradients(i + 2u * WORKGROUP, c.derivatives);
            let d = plain_four(s, w, weight, scale);
            write_gradients(i + 3u * WORKGROUP, d.derivatives);
            add_to(&sum, (a.value + b.value) + (c.value + d.value));
            suspicions += (suspicion(p, t) + suspicion(q, u)) + (suspicion(r, v) + suspicion(s, w));
        }
        if is_nan(suspicions) {
            sum = RunningSum();
            i = begin + local_index;
        }
        if IN_PLACE {
            for (; i + 3u * WORKGROUP < inside; i += 4u * WORKGROUP) {
                let a = careful_four(i, weight, scale);
                let b = careful_four(i + WORKGROUP, weight, scale);
                let c = careful_four(i + 2u * WORKGROUP, weight, scale);
                let d = careful_four(i + 3u * WORKGROUP, weight, scale);
                add_to(&sum, (a + b) + (c + d));
            }
        }
    }
    for (; i < end; i += WORKGROUP) {
        let prediction = predictions_of(i);
        let truth = truths_of(i);
        let a = element(4u * i, prediction.x, truth.x);
        let b = element(4u * i + 1u, prediction.y, truth.y);
        let c = element(4u * i + 2u, prediction.z, truth.z);
        let d = element(4u * i + 3u, prediction.w, truth.w);
        write_gradients(i, vec4<f32>(a.derivative, b.derivative, c.derivative, d.derivative));
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
