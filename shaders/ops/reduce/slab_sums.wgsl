// Sum of each column over slabs of rows, in the order of the rows:
//
//     sums[offset + s * cells + c] (+)= sum of numbers[r * cells + c] over the rows r of slab s
//
// `Cell` is one number or four adjacent ones: ops/embedding/embedding_scalar or
// ops/embedding/embedding_vec4. One thread per cell of the output.

struct Params {
    rows: u32,
    cells: u32,      // per row
    slab: u32,       // rows per slab
    slabs: u32,
    offset: u32,     // of the output, in cells
    accumulate: u32, // 1: added to the output
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> numbers: array<Cell>;
@group(0) @binding(2) var<storage, read_write> sums: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn slab_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.slabs * params.cells {
        return;
    }
    let first = index / params.cells * params.slab;
    let end = min(first + params.slab, params.rows);
    var sum = Cell();
    for (var row = first; row < end; row++) {
        sum += numbers[row * params.cells + index % params.cells];
    }
    let at = params.offset + index;
    if params.accumulate != 0u {
        sum += sums[at];
    }
    sums[at] = sum;
}
