// Parameters of the kernels that decode, and q and k of a token rotated by its place. Linked with
// attention_keep or attention_decode.
//
// The cache of a sequence: keys [width, context], so that the scores of adjacent keys are read
// side by side, then values [context, width].

struct Params {
    // Tokens of the pass.
    tokens: u32,
    heads: u32,
    width: u32,
    // Most tokens of a sequence.
    context: u32,
    // Where keys and values begin in the cache.
    keys: u32,
    values: u32,
    rotates: u32,
    // Distance of the two numbers of a pair, and of a pair and the next.
    distance: u32,
    stride: u32,
    scale: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
// The place of the first token in the sequence.
@group(0) @binding(1) var<storage, read> place: array<u32>;
// [tokens, 3 width]
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
// Cosine and sine, [context, depth / 2].
@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;

// Number i of a token's q (third 0) or k (1), rotated by the angles of its place:
//     (x, y) -> (x cos - y sin, x sin + y cos)
fn rotated(token: u32, third: u32, i: u32, at: u32) -> f32 {
    let first = (3u * token + third) * params.width;
    let x = qkv[first + i];
    if params.rotates == 0u {
        return x;
    }
    let depth = params.width / params.heads;
    let half = depth / 2u;
    let d = i % depth;
    let number = d / params.stride % half;
    let is_second = d != number * params.stride;
    let other = select(d + params.distance, d - params.distance, is_second);
    let y = qkv[first + i - d + other];
    let angle = angles[at * half + number];
    return select(x * angle.x - y * angle.y, y * angle.y + x * angle.x, is_second);
}
