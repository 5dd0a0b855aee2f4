// Upstream gradient of each token's -ln p: upstreams[token] = -log_gradients[c] * normalizers[c] of
// its completion c. One thread per token.

struct Params {
    tokens: u32, // in all completions
    length: u32, // tokens per completion
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> log_gradients: array<f32>;
@group(0) @binding(2) var<storage, read> normalizers: array<f32>;
@group(0) @binding(3) var<storage, read_write> upstreams: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn completion_gradients(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let token = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if token >= params.tokens {
        return;
    }
    let completion = token / params.length;
    let bits = bitcast<u32>(log_gradients[completion]);
    // An infinite derivative is replaced by the largest finite number: a token of probability 1 has
    // derivative 0, and 0 times inf would be NaN.
    let limited = select(bits, bits - 1u, (bits & 0x7fffffffu) == 0x7f800000u);
    upstreams[token] = -bitcast<f32>(limited) * normalizers[completion];
}
