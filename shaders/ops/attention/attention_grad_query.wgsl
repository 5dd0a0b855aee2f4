// dL/dq of a query per thread, with g = dL/do:
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
    @builtin(local_invocation_index) local_index: u32,
) {
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
    for (var d = 0u; d < BLOCKS; d += 1u) {
        q[d] = params.scale * qkv_block(place_of(head, query, 0u), d);
        g[d] = grad_output_block(output_place(head, query), d);
        own_delta += dot_block(g[d], output_block(output_place(head, query), d));
        dq[d] = zero_block();
    }
    let own_lse = lse[scalar_place(head, query)];
    for (var begin = 0u; begin < end_of_group; begin += TILE) {
        stage(head, begin, local_index);
        let end = min(begin + TILE, visible);
        for (var key = begin; key < end; key += 1u) {
            var s = 0.0;
            var dp = 0.0;
            for (var d = 0u; d < BLOCKS; d += 1u) {
                s += dot_block(q[d], first_staged(head, begin, key, d));
                dp += dot_block(g[d], second_staged(head, begin, key, d));
            }
            let ds = exp_or_nan(s - own_lse) * (dp - own_delta);
            for (var d = 0u; d < BLOCKS; d += 1u) {
                dq[d] = dq[d] + ds * first_staged(head, begin, key, d);
            }
        }
    }
    if !is_query {
        return;
    }
    for (var d = 0u; d < BLOCKS; d += 1u) {
        set_grad_qkv_block(place_of(head, query, 0u), d, params.scale * dq[d]);
    }
    delta[scalar_place(head, query)] = own_delta;
}
