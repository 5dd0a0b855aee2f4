// Parameters of the attention kernels, and vectors of DEPTH numbers in blocks of sixteen. Linked
// with a pass, a staging file (attention_direct or attention_tiled), an access file per buffer,
// attention_whole or attention_shared, and lib/numbers.
//
// PARTS adjacent threads (1, 2, 4 or 8) share a token: thread p has the blocks p, p + PARTS, … of its
// vectors, OWN of them, and a dot product is joined over the threads. The gradient of a key has four
// vectors: with more than two blocks of each in a thread the registers of a GPU overflow.

struct Params {
    rows: u32,
    tokens: u32,
    heads: u32,
    // E: a token has 3 E numbers of input and E of output.
    width: u32,
    causal: u32,
    has_lengths: u32,
    scale: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> lengths: array<f32>;

// Tokens of a workgroup.
override TOKENS: u32 = WORKGROUP / PARTS;

// Sixteen numbers. Those behind DEPTH are 0.
alias Block = mat4x4<f32>;
alias Vector = array<Block, OWN>;

// A block of the thread's own that is behind the last: only where BLOCKS is no multiple of PARTS.
fn is_behind(block: u32) -> bool {
    return OWN * PARTS > BLOCKS && block >= BLOCKS;
}

fn zero_block() -> Block {
    return Block(vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0));
}

fn dot_block(a: Block, b: Block) -> f32 {
    return sum4(a[0] * b[0] + a[1] * b[1] + (a[2] * b[2] + a[3] * b[3]));
}

// One head of one row, with TOKENS of its tokens.
struct Head {
    row: u32,
    head: u32,
    // First token of the workgroup, and the end of its tokens.
    first: u32,
    end: u32,
    // Number of valid keys.
    keys: u32,
    is_inside: bool,
}

fn head_of(group: u32) -> Head {
    let groups = (params.tokens + TOKENS - 1u) / TOKENS;
    let pair = group / groups;
    let row = pair / params.heads;
    let first = (group % groups) * TOKENS;
    let is_inside = row < params.rows;
    var keys = params.tokens;
    if params.has_lengths != 0u && is_inside {
        let length = lengths[row];
        // NaN is no length.
        keys = select(0u, u32(min(length, f32(params.tokens))), length > 0.0);
    }
    return Head(row, pair % params.heads, first, min(first + TOKENS, params.tokens), keys, is_inside);
}

// The first number of a token's q (third 0), k (1) or v (2) in the packed input.
fn place_of(head: Head, token: u32, third: u32) -> u32 {
    return ((head.row * params.tokens + token) * 3u + third) * params.width + head.head * DEPTH;
}

// The first number of a token's output.
fn output_place(head: Head, token: u32) -> u32 {
    return (head.row * params.tokens + token) * params.width + head.head * DEPTH;
}

// A token's lse and delta.
fn scalar_place(head: Head, token: u32) -> u32 {
    return (head.row * params.heads + head.head) * params.tokens + token;
}

// e^x; a driver's own may hide NaN.
fn exp_or_nan(x: f32) -> f32 {
    return select(exp(x), x, is_nan(x));
}
