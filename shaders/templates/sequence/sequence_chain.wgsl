// For each label of a target sequence, the next position of the same label, and a flag for
// repetitions. One thread can then sum the gradient of a class in order.
//
//     chain[b, i] = next position j > i with targets[b, j] = targets[b, i], or END;
//                   with LATER if an earlier position has the same label
//
// One thread per position. Linked with templates/sequence/sequence.

@group(0) @binding(2) var<storage, read> targets: array<i32>;
@group(0) @binding(3) var<storage, read_write> chain: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn sequence_chain(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.batch * params.length {
        return;
    }
    let item = index / params.length;
    let place = index % params.length;
    let first = item * params.length;
    let length = items[params.batch + item];
    var found = END;
    for (var other = 0u; other < length; other += 1u) {
        if other != place && targets[first + other] == targets[index] {
            if other < place {
                found = END | LATER;
            } else {
                found = other | (found & LATER);
                break;
            }
        }
    }
    chain[index] = found;
}
