// Sparse optimizer step: updates only the rows of a table that occur in the batch.
//
//     g = sum of gradients[i] over ids[i] = id
//     (table[id], state[id]) = update(table[id], g, state[id], step)
//
// Takes from shaders/optimizers/*.wgsl, by an adaptor. Linked with ops/embedding/embedding_runs,
// ops/embedding/embedding_scalar and embedding_move_scalar or those of vec4, and
// templates/optimizer/optimizer_step.
//
// One group of threads per place of `sorted`, which divide the row's cells among them; groups where
// a run begins update the row, all others return. A state beyond STATES is neither read nor
// written: bind a separate dummy range there.

override STATES: u32 = 1u;

@group(0) @binding(3) var<storage, read> parts: array<Cell>;
@group(0) @binding(4) var<storage, read_write> table: array<Cell>;
@group(0) @binding(5) var<storage, read_write> first_states: array<Cell>;
@group(0) @binding(6) var<storage, read_write> second_states: array<Cell>;
@group(0) @binding(7) var<storage, read_write> third_states: array<Cell>;
@group(0) @binding(8) var<storage, read_write> fourth_states: array<Cell>;

fn cells_at(at: u32) -> Cells {
    var cells = Cells(table[at], Cell(), Cell(), Cell(), Cell());
    if STATES > 0u {
        cells.first = first_states[at];
    }
    if STATES > 1u {
        cells.second = second_states[at];
    }
    if STATES > 2u {
        cells.third = third_states[at];
    }
    if STATES > 3u {
        cells.fourth = fourth_states[at];
    }
    return cells;
}

fn keep(at: u32, cells: Cells) {
    table[at] = cells.parameter;
    if STATES > 0u {
        first_states[at] = cells.first;
    }
    if STATES > 1u {
        second_states[at] = cells.second;
    }
    if STATES > 2u {
        third_states[at] = cells.third;
    }
    if STATES > 3u {
        fourth_states[at] = cells.fourth;
    }
}

@compute @workgroup_size(WORKGROUP)
fn update_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let first = index / params.threads_per_row;
    if first >= params.count {
        return;
    }
    let id = sorted[first].x;
    if id >= params.rows {
        return;
    }
    if first > 0u {
        if sorted[first - 1u].x == id {
            return;
        }
    }
    let end = end_of_piece(first, id);
    for (var cell = index % params.threads_per_row; cell < params.cells; cell += params.threads_per_row) {
        var gradient = piece(first, end, cell);
        // Only a run that reaches the end of its block continues in the next.
        for (var next = end; next % BLOCK == 0u && next < params.count; next += BLOCK) {
            if sorted[next].x != id {
                break;
            }
            gradient += parts[next / BLOCK * params.cells + cell];
        }
        let at = id * params.cells + cell;
        keep(at, moved(cells_at(at), gradient, params.step));
    }
}
