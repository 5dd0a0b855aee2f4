// Short rows: each lane takes a whole row.

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + lane;
    if index >= params.rows {
        return;
    }
    let row = begin_row(index);
    var sums = empty_sums();
    var broken = false;
    if row.state == KEPT {
        for (var column = 0u; column < params.columns; column += 1u) {
            let cell = read_cell(row, column);
            broken = broken || is_broken(cell);
            sums = fold(sums, cell);
        }
    }
    let outcome = finish(row, sums);
    for (var column = 0u; column < params.columns; column += 1u) {
        var gradient = 0.0;
        if row.state == KEPT {
            gradient = gradient_of(row, outcome, read_cell(row, column), broken);
        } else if row.state == BAD_LABEL {
            gradient = nan_of(row);
        }
        gradients[row.first + column] = gradient;
    }
    write_row(index, row, outcome, broken);
}
