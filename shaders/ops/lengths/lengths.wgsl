// Number of ids of each row before its trailing padding. One thread per row.

struct Params {
    rows: u32,
    ids: u32,     // per row
    padding: u32, // the id that fills the end of a row
    reserved: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn lengths(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    // The last place with another id.
    var length = 0u;
    for (var place = 0u; place < params.ids; place++) {
        if ids[row * params.ids + place] != params.padding {
            length = place + 1u;
        }
    }
    output[row] = f32(length);
}
