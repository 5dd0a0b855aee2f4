// Dense gradient of a table:
//
//     gradients[row] (+)= sum of upstream[i] over ids[i] = row, 0 for a row that no id names
//
// Linked with ops/token_embedding/token_embedding_runs and an alias of Cell. One thread per cell of
// the table.

@group(0) @binding(4) var<storage, read> parts: array<Cell>;
@group(0) @binding(5) var<storage, read_write> gradients: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn sum_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.rows * params.cells {
        return;
    }
    let cell = index % params.cells;
    let begin = starts[index / params.cells];
    let end = starts[index / params.cells + 1u];
    var sum = Cell();
    if begin < end {
        let whole = min((begin / BLOCK + 1u) * BLOCK, end);
        sum = piece(begin, whole, cell);
        for (var next = whole; next < end; next += BLOCK) {
            sum += parts[next / BLOCK * params.cells + cell];
        }
    }
    let at = params.offset + index;
    if params.accumulate != 0u {
        sum += gradients[at];
    }
    gradients[at] = sum;
}
