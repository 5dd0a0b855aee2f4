// Long rows: a workgroup takes a row, its lanes take turns over the cells and join their sums in a tree.

struct Folded {
    sums: Sums,
    broken: u32,
}

var<workgroup> folded: array<Folded, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup.y * count.x + workgroup.x;
    // The whole workgroup leaves together, so that the barriers below stay in uniform control flow.
    if index >= params.rows {
        return;
    }
    let row = begin_row(index);
    var mine = Folded(empty_sums(), 0u);
    if row.state == KEPT {
        for (var column = lane; column < params.columns; column += WORKGROUP) {
            let cell = read_cell(row, column);
            mine.broken |= u32(is_broken(cell));
            mine.sums = fold(mine.sums, cell);
        }
    }
    folded[lane] = mine;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if lane < half {
            folded[lane].sums = merge(folded[lane].sums, folded[lane + half].sums);
            folded[lane].broken |= folded[lane + half].broken;
        }
    }
    // Separates the last merge from everybody's reading of it.
    workgroupBarrier();
    let outcome = finish(row, folded[0].sums);
    let broken = folded[0].broken != 0u;
    for (var column = lane; column < params.columns; column += WORKGROUP) {
        var gradient = 0.0;
        if row.state == KEPT {
            gradient = gradient_of(row, outcome, read_cell(row, column), broken);
        } else if row.state == BAD_LABEL {
            gradient = nan_of(row);
        }
        gradients[row.first + column] = gradient;
    }
    if lane == 0u {
        write_row(index, row, outcome, broken);
    }
}
