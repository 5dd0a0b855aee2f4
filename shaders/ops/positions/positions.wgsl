// Adds the same numbers to each row, in place: y[r, c] += parameters[offset + c].
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell.

struct Params {
    length: u32, // cells
    cells: u32,  // per row
    offset: u32, // of the parameter, in cells
    reserved: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parameters: array<Cell>;
@group(0) @binding(2) var<storage, read_write> output: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn positions(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.length {
        output[i] += parameters[params.offset + i % params.cells];
    }
}
