// Shared declarations of the recommender's kernels: rows, known interactions, draws, scores that
// decide. The CPU implementation is src/recommend/sampling.rs.
//
// A row of a user or an item is `cells` vectors of four: its components, padded to a multiple of
// eight, then (bias, 0, 0, 0). `known` is the users' starts, then the items, the users and the
// weights of all interactions, one after another.

override WORKGROUP: u32 = 64u;
override LOSS: u32 = 0u; // one of those below

const WARP: u32 = 0u;
const WARP_KOS: u32 = 1u;
const BPR: u32 = 2u;
const LOGISTIC: u32 = 3u;

const NEGATIVES: u32 = 0x6e656761u;
const POSITIVES: u32 = 0x706f7369u;
const NONE: u32 = 0xffffffffu;

struct Params {
    seed: vec2<u32>,
    epoch: u32,
    batch: u32,
    first_keys: vec4<u32>, // of the epoch's permutation
    last_keys: vec4<u32>,
    first: u32,  // position of the batch's first interaction
    length: u32, // interactions in the batch
    count: u32,  // interactions
    users: u32,
    items: u32,
    cells: u32,
    max_sampled: u32,
    k: u32,
    n: u32,
    margin: f32,
    learning_rate: f32,
    user_alpha: f32,
    item_alpha: f32,
    capacity: u32, // interactions in a full batch
    user_rows: u32, // updated rows: users, or features of users
    item_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
