// A copy of rows in which masked rows hold no NaN or infinity, whose product with 0 is NaN:
//
//     cleared[r, c] = 0 if row r is MASKED and rows[r, c] is not finite, else rows[r, c]
//
// Linked with lib/numbers. One thread per element.

struct Params {
    length: u32, // elements in this chunk
    first: u32,  // index of its first element
    columns: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read_write> cleared: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn clear_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.length {
        return;
    }
    let bits = rows[i];
    let is_finite = (bits & 0x7f800000u) != 0x7f800000u;
    let is_masked = weights[(params.first + i) / params.columns] == MASKED;
    cleared[i] = select(bits, 0u, is_masked && !is_finite);
}
