// Sum of each column: sums[c] = (sums[c] +) sum over r of cells[r, c]. One thread per column.

struct Params {
    rows: u32,
    columns: u32,
    accumulate: u32, // 1: added to the output
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cells: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn column_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let column = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if column >= params.columns {
        return;
    }
    var total = 0.0;
    for (var row = 0u; row < params.rows; row += 16u) {
        // Sixteen are summed before they join the total: the error grows with the longest chain of
        // additions.
        var part = 0.0;
        for (var k = 0u; k < 16u; k += 1u) {
            if row + k < params.rows {
                part += cells[(row + k) * params.columns + column];
            }
        }
        total += part;
    }
    if params.accumulate != 0u {
        total += sums[column];
    }
    sums[column] = total;
}
