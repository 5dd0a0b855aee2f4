// Updates the user rows of a batch, one update after another in the order of batch positions:
//
//     g = step (q(negative) - q(positive)), without a negative item -step q(positive);
//         of the bias BIAS step
//
// The item rows are those at the start of the batch. One thread per cell of each entry of `sorted`,
// (user, place) by user: those where a user's run begins update the row, all others return. With
// side features the rows are features, each with its weight times g. Linked with
// recommend/recommend, recommend/recommend_move and recommend/recommend_own or
// recommend/recommend_shares.

override BIAS: f32 = 0.0;

@group(0) @binding(3) var<storage, read> items: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> squares: array<vec4<f32>>;

fn gradient(record: vec4<u32>, cell: u32) -> vec4<f32> {
    let step = bitcast<f32>(record.w);
    if cell + 1u == params.cells {
        return vec4<f32>(BIAS * step, 0.0, 0.0, 0.0);
    }
    let positive = items[record.x * params.cells + cell];
    if LOSS == LOGISTIC {
        return -step * positive;
    }
    return step * (items[record.y * params.cells + cell] - positive);
}

@compute @workgroup_size(WORKGROUP)
fn move_users(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let first = index / params.cells;
    if first >= places_of(params.length) {
        return;
    }
    let row = sorted[first].x;
    if row >= params.user_rows {
        return;
    }
    if first > 0u {
        if sorted[first - 1u].x == row {
            return;
        }
    }
    let cell = index % params.cells;
    let at = row * params.cells + cell;
    var moving = Moving(rows[at], squares[at]);
    for (var place = first; place < places_of(params.length); place++) {
        let pair = sorted[place];
        if pair.x != row {
            break;
        }
        moving = hit(moving, share_at(pair.y) * gradient(records[hit_at(pair.y)], cell), params.user_alpha);
    }
    rows[at] = moving.x;
    squares[at] = moving.squares;
}
