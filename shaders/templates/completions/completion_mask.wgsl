// Broadcasts the mask of the values to the tokens of their completions: weights[token] = MASKED or
// 1. Linked with lib/numbers. One thread per token; completions i, i + values, ... belong to value
// i.

struct Params {
    tokens: u32, // in all completions
    length: u32, // tokens per completion
    values: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn completion_mask(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let token = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if token >= params.tokens {
        return;
    }
    let word = mask[(token / params.length) % params.values];
    // 0x3f800000 is the bit pattern of 1.
    weights[token] = select(0x3f800000u, MASKED, word == MASKED);
}
