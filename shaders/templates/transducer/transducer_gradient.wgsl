// Gradient of a loss over the paths of a transducer, from the probabilities of paths up to a node and
// from it:
//
//     blank, label = share of the paths that leave the node by its blank, or by its next label
//     gradients[c] = scale (softmax(row)[c] (blank + label) - blank [c = the blank] - label [c = the label])
//
// The gradient is 0 in the rows past an item's lengths. One workgroup per node. Linked with
// templates/transducer/scaled, templates/transducer/transducer, lib/lanes and lib/numbers.

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> forward: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read> backward: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read> results: array<f32>;
@group(0) @binding(8) var<storage, read_write> gradients: array<f32>;

const NO_CLASS: u32 = 0xffffffffu;

// The class with a probability above one half, or NO_CLASS.
var<workgroup> likeliest: u32;

@compute @workgroup_size(WORKGROUP)
fn transducer_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let node = workgroup.y * count.x + workgroup.x;
    let u = node % (params.length + 1u);
    let t = node / (params.length + 1u) % params.time;
    let item = node / (params.length + 1u) / params.time;
    // The conditions are uniform in the workgroup.
    if item >= params.batch {
        return;
    }
    if local_index == 0u {
        likeliest = NO_CLASS;
    }
    let first = node * params.classes;
    let scale = results[params.batch + item];
    let time = items[item];
    let labels = items[params.batch + item];
    // Wrong lengths make the whole item NaN.
    let counts = !has_lengths(item) || (t < time && u <= labels);
    if !counts || is_nan(scale) || scale == 0.0 {
        for (var c = local_index; c < params.classes; c += WORKGROUP) {
            gradients[first + c] = select(0.0, scale, counts);
        }
        return;
    }
    let row = rows[node];
    let whole = backward[node_of(item, 0u, 0u)];
    var after = NOTHING;
    if t + 1u < time {
        after = backward[node_of(item, t + 1u, u)];
    } else if u == labels {
        after = vec2<f32>(1.0, 0.0);
    }
    let blank = scaled_quotient(scaled_product(forward[node], scaled_product(probability_of(row, row.z), after)), whole);
    var label = 0.0;
    var next = NO_CLASS;
    if u < labels {
        next = u32(targets[item * params.length + u]);
        label = scaled_quotient(scaled_product(forward[node], scaled_product(probability_of(row, row.w), backward[node + 1u])), whole);
    }
    let both = blank + label;
    // All threads must have seen the initial value replaced, if it is.
    workgroupBarrier();
    var others = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        let probability = exp_any(logits[first + c] - row.x) / row.y;
        let taken = select(0.0, blank, c == params.blank) + select(0.0, label, c == next);
        let found = scale * (both * probability - taken);
        // At most one class.
        if probability > 0.5 {
            likeliest = c;
        } else {
            gradients[first + c] = found;
            others += found;
        }
    }
    // If a class is nearly certain, its difference has no accurate digits. The differences of a row
    // sum to 0, so that the others determine it.
    others = sum_of(others, local_index);
    if local_index == 0u && likeliest != NO_CLASS {
        gradients[first + likeliest] = -others;
    }
}
