// Softmax statistics of each row of logits [time, batch, classes], for the lattice of a sequence:
//
//     normalizers[t, b] = (log-sum-exp of the row,
//                          the largest log-probability of the classes in the item's labels)
//
// The second is subtracted from each row, so that the lattice's numbers stay small: the rounding
// error of log-probabilities near -1000 would be 1e-4 of every probability. A row that holds NaN
// has NaN in both. One workgroup per row. Linked with templates/sequence/sequence, lib/lanes and
// lib/numbers.

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<i32>;
@group(0) @binding(4) var<storage, read_write> normalizers: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn sequence_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if row >= params.time * params.batch {
        return;
    }
    let item = row % params.batch;
    let first = row * params.classes;
    var largest = LOWEST;
    var has_nan = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        let x = logits[first + c];
        largest = max(largest, x);
        has_nan = select(has_nan, 1.0, is_nan(x));
    }
    largest = largest_of(largest, local_index);
    var sum = 0.0;
    for (var c = local_index; c < params.classes; c += WORKGROUP) {
        sum += exp(logits[first + c] - largest);
    }
    let lse = largest + log_accurate(sum_of(sum, local_index));
    var best = logits[first + params.blank];
    for (var i = local_index; i < items[params.batch + item]; i += WORKGROUP) {
        best = max(best, logits[first + u32(targets[item * params.length + i])]);
    }
    best = max(largest_of(best, local_index), LOWEST);
    has_nan = largest_of(has_nan, local_index);
    if local_index == 0u {
        let found = vec2<f32>(lse, best - lse);
        normalizers[row] = select(found, vec2<f32>(not_a_number(lse)), has_nan != 0.0);
    }
}
