// Gradient of a loss over alignments, from the probabilities of the lattice's states:
//
//     gradients[t, b, c] = scale[b] * (softmax(logits[t, b])[c]
//                          - sum over states s of class c of lattice[b, t, s])
//
// The gradient is 0 in the rows past an item's length. One workgroup per row [t, b]: first its
// threads write the softmax, then one thread per class in the labels subtracts the states of the
// class in order (templates/sequence/sequence_chain). Linked with templates/sequence/sequence,
// lib/lanes and lib/numbers.

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read> chain: array<u32>;
@group(0) @binding(5) var<storage, read> normalizers: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> lattice: array<f32>;
@group(0) @binding(7) var<storage, read> results: array<f32>;
@group(0) @binding(8) var<storage, read_write> gradients: array<f32>;

// The class with a probability above one half, or END.
var<workgroup> likeliest: u32;

@compute @workgroup_size(WORKGROUP)
fn sequence_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if row >= params.time * params.batch {
        return;
    }
    if local_index == 0u {
        likeliest = END;
    }
    let item = row % params.batch;
    let t = row / params.batch;
    let first = row * params.classes;
    let labels = items[params.batch + item];
    let scale = results[params.batch + item];
    let counts = t < items[item] && (is_nan(scale) || scale != 0.0);
    if !counts {
        for (var c = local_index; c < params.classes; c += WORKGROUP) {
            gradients[first + c] = 0.0;
        }
        return;
    }
    // The states of a row sum to 1 except for a common rounding error of logarithms in the
    // hundreds.
    let states = (item * params.time + t) * params.states;
    var own = 0.0;
    for (var s = local_index; s <= 2u * labels; s += WORKGROUP) {
        own += lattice[states + s];
    }
    let whole = sum_of(own, local_index);
    let lse = normalizers[row].x;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        let probability = exp(logits[first + c] - lse);
        gradients[first + c] = scale * probability;
        // At most one class.
        if probability > 0.5 {
            likeliest = c;
        }
    }
    // The softmax must be written before states are subtracted.
    storageBarrier();
    for (var i = local_index; i < labels; i += WORKGROUP) {
        var next = chain[item * params.length + i];
        if (next & LATER) == 0u {
            var sum = lattice[states + 2u * i + 1u];
            while next != END {
                sum += lattice[states + 2u * next + 1u];
                next = chain[item * params.length + next] & END;
            }
            gradients[first + u32(targets[item * params.length + i])] -= scale * (sum / whole);
        }
    }
    if local_index == 0u {
        var sum = 0.0;
        for (var s = 0u; s <= 2u * labels; s += 2u) {
            sum += lattice[states + s];
        }
        gradients[first + params.blank] -= scale * (sum / whole);
    }
    // If both probabilities of a class are near 1, their difference has no accurate digits. The
    // differences of a row sum to 0, so that the others determine it.
    storageBarrier();
    workgroupBarrier();
    let likely = likeliest;
    var others = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        others += select(gradients[first + c], 0.0, c == likely);
    }
    others = sum_of(others, local_index);
    if local_index == 0u && likely != END {
        gradients[first + likely] = -others;
    }
}
