// Sampling: the interaction at a position, the item of a draw, lookup of known items. Linked with
// recommend/recommend and lib/random by the kernels that sample.

@group(0) @binding(1) var<storage, read> known: array<u32>;
@group(0) @binding(2) var<storage, read> users: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> items: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> rank_weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<vec4<u32>>; // positive, negative, draws, step
@group(0) @binding(6) var<storage, read_write> losses: array<f32>;
@group(0) @binding(7) var<storage, read_write> user_hits: array<u32>;
@group(0) @binding(8) var<storage, read_write> item_hits: array<vec2<u32>>;

// One interaction of the batch.
struct Job {
    number: u32, // of the interaction
    user: u32,
    item: u32,     // the positive item, or NONE
    weight: f32,
    bar: f32,      // a violating score is above it
}

// The first draw that is accepted.
struct Found {
    draw: u32, // NONE if there is none
    item: u32,
    score: f32,
}

fn item_at(interaction: u32) -> u32 {
    return known[params.users + 1u + interaction];
}

fn user_at(interaction: u32) -> u32 {
    return known[params.users + 1u + params.count + interaction];
}

fn weight_at(interaction: u32) -> f32 {
    return bitcast<f32>(known[params.users + 1u + 2u * params.count + interaction]);
}

// True if a user has interacted with an item: binary search in the user's row, whose items ascend.
fn holds(user: u32, item: u32) -> bool {
    var low = known[user];
    var high = known[user + 1u];
    while low < high {
        let middle = low + (high - low) / 2u;
        if item_at(middle) < item {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low < known[user + 1u] && item_at(min(low, params.count - 1u)) == item;
}

// Maps a random word to an integer below a bound.
fn below(word: u32, bound: u32) -> u32 {
    return multiply_high(word, bound);
}

fn word_of(interaction: u32, draw: u32, stream: u32) -> u32 {
    return philox(vec4<u32>(draw / 4u, interaction, params.epoch, stream), params.seed)[draw % 4u];
}

// Rounds to the 12 leading bits: products of two are exact, so that fused multiply-add makes no
// difference.
fn cut(factors: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(factors) & vec4<u32>(0xfffff000u));
}

// Sum of eight numbers, by halves.
fn folded(low: vec4<f32>, high: vec4<f32>) -> f32 {
    let half = low + high;
    return (half.x + half.z) + (half.y + half.w);
}

// Score used for decisions: the dot product of the truncated factors plus the item's bias.
fn decisive(user: u32, item: u32) -> f32 {
    let a = user * params.cells;
    let b = item * params.cells;
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var cell = 0u; cell + 1u < params.cells; cell += 2u) {
        low += cut(users[a + cell]) * cut(items[b + cell]);
        high += cut(users[a + cell + 1u]) * cut(items[b + cell + 1u]);
    }
    return folded(low, high) + items[b + params.cells - 1u].x;
}

// Score without the user's bias, from full-precision factors.
fn score_of(user: u32, item: u32) -> f32 {
    let a = user * params.cells;
    let b = item * params.cells;
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var cell = 0u; cell + 1u < params.cells; cell += 2u) {
        low += users[a + cell] * items[b + cell];
        high += users[a + cell + 1u] * items[b + cell + 1u];
    }
    return folded(low, high) + items[b + params.cells - 1u].x;
}

// The job of a position of the batch; outside of it one without an item. A disliked interaction has
// no positive item, except with the logistic loss. Every thread of a workgroup must call.
fn job_at(place: u32, is_inside: bool, local_index: u32) -> Job {
    var job = Job(0u, 0u, NONE, 0.0, 0.0);
    if is_inside {
        let number = permuted(params.first + place, params.count, params.first_keys, params.last_keys);
        job = Job(number, user_at(number), item_at(number), weight_at(number), 0.0);
        if LOSS != LOGISTIC && !(job.weight > 0.0) {
            job.item = NONE;
        }
    }
    if LOSS == WARP_KOS {
        job.item = kth_positive(job, local_index);
    }
    if LOSS <= WARP_KOS && job.item != NONE {
        job.bar = decisive(job.user, job.item) - params.margin;
    }
    return job;
}

// Maps a draw's random word to its item, and checks whether it is accepted.
fn tried(job: Job, draw: u32, word: u32) -> Found {
    if LOSS == BPR {
        let item = item_at(below(word, params.count));
        return Found(select(draw, NONE, holds(job.user, item)), item, 0.0);
    }
    let item = below(word, params.items);
    var found = Found(NONE, item, decisive(job.user, item));
    // Most draws do not violate: only those that do are looked up.
    if found.score > job.bar {
        if !holds(job.user, item) {
            found.draw = draw;
        }
    }
    return found;
}

// A position behind the end of a partial batch updates nothing.
fn leave_out(place: u32) {
    if place < params.capacity {
        user_hits[place] = NONE;
        item_hits[place] = vec2<u32>(NONE);
    }
}

// Writes the updates of an interaction; `item_hits` of NONE are dropped by the sort.
fn finish(place: u32, job: Job, negative: u32, draws: u32, step: f32, loss: f32) {
    records[place] = vec4<u32>(job.item, negative, draws, bitcast<u32>(step));
    losses[place] = loss;
    let moves = step != 0.0;
    user_hits[place] = select(NONE, job.user, moves);
    item_hits[place] = select(vec2<u32>(NONE), vec2<u32>(job.item, negative), moves);
}
