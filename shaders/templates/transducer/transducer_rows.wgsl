// Softmax statistics of each node's row of logits [batch, time, length + 1, classes]:
//
//     rows[node] = (largest, sum of e^(x - largest), x of the blank - largest, x of the next label -
//                   largest)
//
// The second is NaN where the row holds NaN or infinity, or where the label is none. One workgroup
// per node. Linked with templates/transducer/transducer, lib/lanes and lib/numbers.

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn transducer_rows(
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
    let labels = items[params.batch + item];
    if !has_lengths(item) || t >= items[item] || u > labels {
        return;
    }
    let first = node * params.classes;
    var largest = LOWEST;
    var is_invalid = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        let x = logits[first + c];
        largest = max(largest, x);
        is_invalid = select(is_invalid, 1.0, is_nan(x) || x > 3.4028234e38);
    }
    largest = largest_of(largest, local_index);
    var sum = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        sum += exp_any(logits[first + c] - largest);
    }
    sum = sum_of(sum, local_index);
    is_invalid = largest_of(is_invalid, local_index);
    if local_index == 0u {
        var of_label = 0.0;
        if u < labels {
            let label = u32(targets[item * params.length + u]);
            if label < params.classes && label != params.blank {
                of_label = logits[first + label] - largest;
            } else {
                is_invalid = 1.0;
            }
        }
        let found = vec4<f32>(largest, sum, logits[first + params.blank] - largest, of_label);
        let nan = not_a_number(sum);
        rows[node] = select(found, vec4<f32>(largest, nan, nan, nan), is_invalid != 0.0);
    }
}
