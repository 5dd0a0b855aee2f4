// The value of each list: the sum of its units' partial sums.
//
//     results[first + list] = parts[list, 0] + parts[list, 1] + …, count terms

struct Params {
    lists: u32,
    count: u32,
    first: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn list_values(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let list = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if list >= params.lists {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < params.count; k += 1u) {
        sum += parts[list * params.count + k];
    }
    results[params.first + list] = sum;
}
