// Finds ids that name no row of a table: found = (1 + position of the first, the id there), kept
// until it is read.
//
// One workgroup: each thread scans a subset of the ids, and a tree reduces the findings to the
// first position. The kernels that follow skip invalid ids themselves and need not wait for this
// one.

const WORKGROUP: u32 = 256u;
const NONE: u32 = 0xffffffffu;

struct Params {
    count: u32, // ids
    rows: u32,  // of the table
    reserved: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;

var<workgroup> firsts: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn check(@builtin(local_invocation_index) local_index: u32) {
    var first = NONE;
    for (var position = local_index; position < params.count; position += WORKGROUP) {
        // An id below 0 is a large one when read as u32.
        if ids[position] >= params.rows && first == NONE {
            first = position;
        }
    }
    firsts[local_index] = first;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier(); // both halves are written
        if local_index < half {
            firsts[local_index] = min(firsts[local_index], firsts[local_index + half]);
        }
    }
    if local_index == 0u && firsts[0] != NONE && found[0] == 0u {
        found[0] = firsts[0] + 1u;
        found[1] = ids[firsts[0]];
    }
}
