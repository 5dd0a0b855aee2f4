// Kernel template of proxies: a matrix of scores of embeddings against learned proxies of the
// classes, a row for each embedding, or with BY_PROXY a row for each proxy. The scores are
// overwritten by dL/d(score). Products with the other side then yield the gradients.
//
//     lse[k]  = ln of the sum of e^exponent over the positives (k = 0) and the others (k = 1)
//     outcome = finish(lse, share): the row's value, and its derivatives by the two lse
//
// A score is positive where the embedding's label is the proxy's number. `share` is the number of
// proxies over that of proxies with an embedding (templates/proxies/proxies_present). One workgroup
// per row. Requires from shaders/losses/*.wgsl, through an adaptor, BY_PROXY, `exponent` and
// `finish`. Linked with lib/lanes and lib/numbers.

struct Params {
    rows: u32,
    columns: u32,
    classes: u32,
    factor: f32,   // of the reduction
    upstream: f32, // dL/d(value)
}

override WORKGROUP: u32 = 64u;
override HAS_WEIGHT: bool = false;
override REDUCTION_NONE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
// 1 for each proxy with an embedding, else 0.
@group(0) @binding(3) var<storage, read> present: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> upstreams: array<f32>;
@group(0) @binding(6) var<storage, read_write> values: array<f32>;

fn is_positive(row: u32, column: u32) -> bool {
    if BY_PROXY {
        return labels[column] == i32(row);
    }
    return labels[row] == i32(column);
}

@compute @workgroup_size(WORKGROUP)
fn proxies(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if row >= params.rows {
        return;
    }
    var weight = params.factor;
    var counts = true;
    if HAS_WEIGHT {
        let bits = weights[row];
        counts = bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    var scale = weight * params.upstream;
    if REDUCTION_NONE {
        scale *= upstreams[row];
    }
    let first = row * params.columns;
    var peaks = vec2<f32>(LOWEST);
    var found = vec2<f32>(); // a positive, and a score without a share
    var with_embedding = 0.0;
    for (var column = local_index; column < params.columns; column += WORKGROUP) {
        let score = scores[first + column];
        let positive = is_positive(row, column);
        let x = exponent(score, positive).x;
        peaks = max(peaks, select(vec2<f32>(LOWEST, x), vec2<f32>(x, LOWEST), positive));
        let is_invalid = (bitcast<u32>(score) & 0x7fffffffu) >= 0x7f800000u;
        found = max(found, select(vec2<f32>(), vec2<f32>(1.0), vec2<bool>(positive, is_invalid)));
    }
    for (var class_number = local_index; class_number < params.classes; class_number += WORKGROUP) {
        with_embedding += present[class_number];
    }
    peaks = vec2<f32>(largest_of(peaks.x, local_index), largest_of(peaks.y, local_index));
    found = vec2<f32>(largest_of(found.x, local_index), largest_of(found.y, local_index));
    with_embedding = sum_of(with_embedding, local_index);
    // An embedding has a proxy: a label that is none is found here if it arrived on the device.
    let is_invalid = found.y > 0.0 || (!BY_PROXY && found.x == 0.0);
    var sums = vec2<f32>();
    for (var column = local_index; column < params.columns; column += WORKGROUP) {
        let positive = is_positive(row, column);
        let x = exponent(scores[first + column], positive).x;
        let power = exp_any(x - select(peaks.y, peaks.x, positive));
        sums += select(vec2<f32>(0.0, power), vec2<f32>(power, 0.0), positive);
    }
    sums = vec2<f32>(sum_of(sums.x, local_index), sum_of(sums.y, local_index));
    let lse = vec2<f32>(
        select(LOWEST, peaks.x + ln_positive(sums.x), sums.x > 0.0),
        select(LOWEST, peaks.y + ln_positive(sums.y), sums.y > 0.0),
    );
    let outcome = finish(lse, f32(params.classes) / max(with_embedding, 1.0));
    let shares = select(vec2<f32>(), outcome.yz / sums, sums > vec2<f32>());
    let nan = not_a_number(peaks.x);
    for (var column = local_index; column < params.columns; column += WORKGROUP) {
        let positive = is_positive(row, column);
        let x = exponent(scores[first + column], positive);
        let power = exp_any(x.x - select(peaks.y, peaks.x, positive));
        let derivative = scale * (select(shares.y, shares.x, positive) * power * x.y);
        scores[first + column] = select(0.0, select(derivative, nan, is_invalid), counts);
    }
    if local_index == 0u {
        values[row] = select(0.0, select(weight * outcome.x, nan, is_invalid), counts);
    }
}
