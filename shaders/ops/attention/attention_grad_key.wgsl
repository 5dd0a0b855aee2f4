// dL/dk and dL/dv of a key per thread or PARTS threads, with g = dL/do, over the queries i that see it:
//     p_i = e^(s_i - lse_i),  dv = sum of p_i g_i,  dk = scale (sum of p_i (g_i . v - delta_i) q_i)

@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;

fn first_block(head: Head, token: u32, block: u32) -> Block {
    return qkv_block(place_of(head, token, 0u), block);
}

fn second_block(head: Head, token: u32, block: u32) -> Block {
    return grad_output_block(output_place(head, token), block);
}

@compute @workgroup_size(WORKGROUP)
fn attention_grad_key(
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
    let is_key = head.first + local_index < params.tokens;
    let key = min(head.first + local_index, params.tokens - 1u);
    let causal = params.causal != 0u;
    // A key behind the length is seen by no query.
    let end_of_queries = select(0u, params.tokens, key < head.keys);
    let end_of_group = select(0u, params.tokens, head.first < head.keys);
    let first_query = select(0u, key, causal);
    var k: Vector;
    var v: Vector;
    var dk: Vector;
    var dv: Vector;
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        k[d] = params.scale * qkv_block(place_of(head, key, 1u), block);
        v[d] = qkv_block(place_of(head, key, 2u), block);
        dk[d] = zero_block();
        dv[d] = zero_block();
    }
    for (var begin = select(0u, head.first, causal); begin < end_of_group; begin += TILE) {
        stage(head, begin, thread.index);
        let end = min(begin + TILE, end_of_queries);
        for (var query = max(begin, first_query); query < end; query += 1u) {
            var s = 0.0;
            var dp = 0.0;
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                s += dot_block(k[d], first_staged(head, begin, query, block));
                dp += dot_block(v[d], second_staged(head, begin, query, block));
            }
            let place = scalar_place(head, query);
            let p = exp_or_nan(join_parts(s) - lse[place]);
            let ds = p * (join_parts(dp) - delta[place]);
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                dk[d] = dk[d] + ds * first_staged(head, begin, query, block);
                dv[d] = dv[d] + p * second_staged(head, begin, query, block);
            }
        }
    }
    if !is_key {
        return;
    }
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        set_grad_qkv_block(place_of(head, key, 1u), block, params.scale * dk[d]);
        set_grad_qkv_block(place_of(head, key, 2u), block, dv[d]);
    }
}
