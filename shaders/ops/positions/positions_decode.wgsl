// Adds the rows of a table to consecutive tokens of a sequence, in place, from the first token's
// place on: y[t] += parameters[offset + (place + t)].
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell.

struct Params {
    length: u32, // cells
    cells: u32,  // per token
    offset: u32, // of the table, in cells
    table: u32,  // cells of the table
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> place: array<u32>;
@group(0) @binding(2) var<storage, read> parameters: array<Cell>;
@group(0) @binding(3) var<storage, read_write> output: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn positions_decode(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let of_table = place[0] * params.cells + i;
    if i < params.length && of_table < params.table {
        output[i] += parameters[params.offset + of_table];
    }
}
