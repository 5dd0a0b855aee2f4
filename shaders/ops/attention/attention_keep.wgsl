// Keeps the keys, rotated, and the values of a pass's tokens in the cache of their sequence. One
// thread per token and number of its width.

@group(0) @binding(4) var<storage, read_write> cache: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn attention_keep(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let token = index / params.width;
    let i = index % params.width;
    let at = place[0] + token;
    if token >= params.tokens || at >= params.context {
        return;
    }
    cache[params.keys + i * params.context + at] = rotated(token, 1u, i, at);
    cache[params.values + at * params.width + i] = qkv[(3u * token + 2u) * params.width + i];
}
