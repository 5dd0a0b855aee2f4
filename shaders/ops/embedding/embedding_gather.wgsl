// Rows of a table by their ids:
//
//     output[i] = table[ids[i]], NaN where ids[i] names no row
//
// `Cell` is one number or four neighbours: ops/embedding/embedding_scalar or ops/embedding/embedding_vec4. A thread for each cell of the output,
// so that neighbours read neighbours.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,   // ids
    cells: u32,   // of a row
    rows: u32,    // of the table
    nothing: u32, // the bits of NaN: WGSL refuses to write one as a constant
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<Cell>;
@group(0) @binding(3) var<storage, read_write> output: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.count * params.cells {
        return;
    }
    let id = ids[index / params.cells];
    if id < params.rows {
        output[index] = table[id * params.cells + index % params.cells];
    } else {
        output[index] = Cell(bitcast<f32>(params.nothing));
    }
}
