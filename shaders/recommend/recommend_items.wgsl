// Updates the item rows of a batch, one update after another in the order of batch positions, at
// each position the positive item before the negative one:
//
//     g = -step p of a positive item, step p of a negative one; of the bias -step and step
//
// p are the user rows at the start of the batch: `before`, [places, cells]. One thread per cell of
// each entry of `sorted`, (item, 2 place or 2 place + 1) by item. With side features the rows are
// features, each with its weight times g. Linked with recommend/recommend, recommend/recommend_move
// and recommend/recommend_own or recommend/recommend_shares.

@group(0) @binding(3) var<storage, read> before: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> squares: array<vec4<f32>>;

fn gradient(number: u32, cell: u32) -> vec4<f32> {
    let step = bitcast<f32>(records[number / 2u].w);
    let signed = select(step, -step, number % 2u == 0u);
    if cell + 1u == params.cells {
        return vec4<f32>(signed, 0.0, 0.0, 0.0);
    }
    return signed * before[number / 2u * params.cells + cell];
}

@compute @workgroup_size(WORKGROUP)
fn move_items(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let first = index / params.cells;
    if first >= places_of(2u * params.length) {
        return;
    }
    let row = sorted[first].x;
    if row >= params.item_rows {
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
    for (var place = first; place < places_of(2u * params.length); place++) {
        let pair = sorted[place];
        if pair.x != row {
            break;
        }
        moving = hit(moving, share_at(pair.y) * gradient(hit_at(pair.y), cell), params.item_alpha);
    }
    rows[at] = moving.x;
    squares[at] = moving.squares;
}
