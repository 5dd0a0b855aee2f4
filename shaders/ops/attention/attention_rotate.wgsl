// Rotates the pairs of q and k in place by the angles of their token:
//     (x, y) -> (x cos - y sin, x sin + y cos)

struct Params {
    pairs: u32,
    tokens: u32,
    width: u32,
    depth: u32,
    distance: u32,
    stride: u32,
    sign: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// Cosine and sine, [tokens, depth / 2].
@group(0) @binding(1) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn attention_rotate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.pairs {
        return;
    }
    // A token has `width` pairs: half of its q and k, head by head.
    let token = index / params.width;
    let half = params.depth / 2u;
    let pair = index % params.width;
    let number = pair % half;
    let place = token * 3u * params.width + pair / half * params.depth + number * params.stride;
    let angle = angles[token % params.tokens * half + number];
    let x = qkv[place];
    let y = qkv[place + params.distance];
    let sine = params.sign * angle.y;
    qkv[place] = x * angle.x - y * sine;
    qkv[place + params.distance] = x * sine + y * angle.x;
}
