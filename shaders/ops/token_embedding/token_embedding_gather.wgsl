// Rows of a table in the flat parameters, by id:
//
//     output[i] = table[ids[i]], NaN where ids[i] names no row
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell of the output.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,   // ids
    cells: u32,   // per row
    rows: u32,    // of the table
    nothing: u32, // bits of NaN: WGSL rejects it as a constant
    offset: u32,  // of the table, in cells
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> parameters: array<Cell>;
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
        output[index] = parameters[params.offset + id * params.cells + index % params.cells];
    } else {
        output[index] = Cell(bitcast<f32>(params.nothing));
    }
}
