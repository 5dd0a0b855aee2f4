// dL/dq of a query per thread or PARTS threads, with g = dL/do:
//     delta = g . o,  p_j = e^(s_j - lse),  dq = scale (sum over j of p_j (g . v_j - delta) k_j)
// Writes delta too, for attention_grad_key.wgsl.

@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;

fn first_block(head: Head, token: u32, block: u32) -> Block {
    return qkv_block(place_of(head, token, 1u), block);
}

fn second_block(head: Head, token: u32, block: u32) -> Block {
    return qkv_block(place_of(head, token, 2u), block);
}

@compute @workgroup_size(WORKGROUP)
fn attention_grad_query(
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
    var g: Vector;
    var dq: Vector;
    var own_delta = 0.0;
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        q[d] = params.scale * qkv_block(place_of(head, query, 0u), block);
        g[d] = grad_output_block(output_place(head, query), block);
        own_delta += dot_block(g[d], output_block(output_place(head, query), block));
        dq[d] = zero_block();
    }
    own_delta = join_parts(own_delta);
    let own_lse = lse[scalar_place(head, query)];
    for (var begin = 0u; begin < end_of_group; begin += TILE) {
        stage(head, begin, thread.index);
        let end = min(begin + TILE, visible);
        for (var key = begin; key < end; key += 1u) {
            var s = 0.0;
            var dp = 0.0;
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                s += dot_block(q[d], first_staged(head, begin, key, block));
                dp += dot_block(g[d], second_staged(head, begin, key, block));
            }
            let ds = exp_or_nan(join_parts(s) - own_lse) * (join_parts(dp) - own_delta);
            for (var d = 0u; d < OWN; d += 1u) {
                let block = d * PARTS + part;
                if is_behind(block) {
                    continue;
                }
                dq[d] = dq[d] + ds * first_staged(head, begin, key, block);
            }
        }
    }
    if !is_query {
        return;
    }
    for (var d = 0u; d < OWN; d += 1u) {
        let block = d * PARTS + part;
        if is_behind(block) {
            continue;
        }
        set_grad_qkv_block(place_of(head, query, 0u), block, params.scale * dq[d]);
    }
    if part == 0u {
        delta[scalar_place(head, query)] = own_delta;
    }
}
