// Kernel 3 of 3 over survival data: the value of each list, the sum of those of its events. One
// workgroup per list. Linked with lib/lanes and lib/numbers.

struct Params {
    lists: u32,
    items: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> terms: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn survival_values(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let list = workgroup.y * count.x + workgroup.x;
    // The condition is uniform in the workgroup.
    if list >= params.lists {
        return;
    }
    var sum = RunningSum();
    for (var k = local_index; k < params.items; k += WORKGROUP) {
        add_to(&sum, terms[list * params.items + k]);
    }
    let total = sum_of(total_of(sum), local_index);
    if local_index == 0u {
        values[list] = total;
    }
}
