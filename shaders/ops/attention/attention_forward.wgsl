// Output and lse of a query per thread or PARTS threads: a running maximum m and sum l over its keys,
//     o = sum over j of e^(s_j - m) v_j / l,  lse = m + ln l.
// m begins at a finite number, so that m - m is never NaN.

@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

fn first_block(head: Head, token: u32, block: u32) -> Block {
    return qkv_block(place_of(head, token, 1u), block);
}

fn second_block(head: Head, token: u32, block: u32) -> Block {
    return qkv_block(place_of(head, token, 2u), block);
}

@compute @workgroup_size(WORKGROUP)
fn attention_forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    thread: Thread,
) {
    let local_index = token_of(thread);
    let part = part_of(thread);
    let head = head_of(workgroup.y * count.x + workgroup.x);
    // Uniform in the workgroup: none of its threads reaches the barriers.
    if !head.is_inside {
        return;
    }
    let is_query = head.first + local_index < params.tokens;
    let query = min(head.first + local_index, params.tokens - 1u);
    let causal = params.causal != 0u;
    let visible = select(head.keys, min(head.keys, query + 1u), causal);
    let end_of_group = select(head.keys, min(head.keys, head.end), causal);
    var q: Vector;
    var o: Vector;
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        q[d] = params.scale * qkv_block(place_of(head, query, 0u), block);
        o[d] = zero_block();
    }
    var maximum = LOWEST;
    var sum = 0.0;
    // The maximum hides NaN, and a driver's exp may too.
    var nan_value = 0.0;
    for (var begin = 0u; begin < end_of_group; begin += TILE) {
        stage(head, begin, thread.index);
        let end = min(begin + TILE, visible);
        for (var key = begin; key < end; key += 1u) {
            var s = 0.0;
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                s += dot_block(q[d], first_staged(head, begin, key, block));
            }
            s = join_parts(s);
            nan_value = select(nan_value, s, is_nan(s));
            let larger = max(maximum, s);
            let shrinks = exp(maximum - larger);
            let p = exp(s - larger);
            maximum = larger;
            sum = sum * shrinks + p;
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                o[d] = o[d] * shrinks + p * second_staged(head, begin, key, block);
            }
        }
    }
    if !is_query {
        return;
    }
    let inverse = select(0.0, 1.0 / sum, visible > 0u);
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        var found = o[d] * inverse;
        if is_nan(nan_value) {
            let four = vec4<f32>(nan_value);
            found = Block(four, four, four, four);
        }
        set_output_block(output_place(head, query), block, found);
    }
    if part != 0u {
        return;
    }
    let found = select(0.0, maximum + log_accurate(sum), visible > 0u);
    lse[scalar_place(head, query)] = select(found, nan_value, is_nan(nan_value));
}
