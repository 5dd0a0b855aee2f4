// 1 for each proxy that has an embedding in the batch, else 0. One thread per proxy, which loops over
// the labels.

struct Params {
    classes: u32,
    rows: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> present: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn proxies_present(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let class_number = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if class_number >= params.classes {
        return;
    }
    var found = 0.0;
    for (var row = 0u; row < params.rows; row += 1u) {
        found = select(found, 1.0, labels[row] == i32(class_number));
    }
    present[class_number] = found;
}
