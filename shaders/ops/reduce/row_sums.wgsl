// Sum of each row: sums[r] = sum over c of cells[r, c]. One workgroup per row; its threads iterate
// over the row, and a tree adds their sums. Linked with lib/lanes.

struct Params {
    rows: u32,
    columns: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cells: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn row_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = workgroup.y * count.x + workgroup.x;
    // Uniform in the workgroup: none of its threads reaches the barriers.
    if row >= params.rows {
        return;
    }
    var sum = 0.0;
    for (var column = local_index; column < params.columns; column += WORKGROUP) {
        sum += cells[row * params.columns + column];
    }
    let whole = sum_of(sum, local_index);
    if local_index == 0u {
        sums[row] = whole;
    }
}
