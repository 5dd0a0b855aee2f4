// Metrics of a recommender for users with ascending ranks: sums[workgroup] = (hits, recall, AUC,
// reciprocal rank, average precision, NDCG), each except the hits already divided by the user's own
// divisor.
//
// Each metric of a user is a sum over the user's test items of a term that depends on the item's
// rank and position and the user's counts. So a thread takes items, not users: one user with 20,000
// items takes no longer than 20,000 users with one. Each thread iterates over items; workgroups are
// summed by a tree, and their sums on the host, in f64. Definitions: `recommend::Metrics`.
//
// `rows` holds where each user's ranks begin, and the end, [users + 1], then the number of items
// excluded from each user's ranking, [users]. `discounts` is 1 / log2(r + 2) for each rank below k,
// then its sums over the first 1, 2, … ranks.

override WORKGROUP: u32 = 64u;
// The AUC of the library `implicit`, over the first k places.
override IMPLICIT: bool = false;

struct Params {
    count: u32, // number of ranks
    users: u32,
    items: u32,
    k: u32,      // at most `items`
    workgroups: u32,
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> owners: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> ranks: array<u32>;
@group(0) @binding(4) var<storage, read> discounts: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4<u32>>;

struct Terms {
    hits: u32,
    recall: f32,
    auc: f32,
    reciprocal_rank: f32,
    average_precision: f32,
    gain: f32,
}

var<workgroup> found: array<Terms, 64>;

fn add(a: Terms, b: Terms) -> Terms {
    return Terms(
        a.hits + b.hits,
        a.recall + b.recall,
        a.auc + b.auc,
        a.reciprocal_rank + b.reciprocal_rank,
        a.average_precision + b.average_precision,
        a.gain + b.gain,
    );
}

// max(a - b, 0).
fn less(a: u32, b: u32) -> u32 {
    return a - min(a, b);
}

// Number of ascending ranks below k.
fn hits_of(begin: u32, end: u32) -> u32 {
    var low = begin;
    var high = end;
    while low < high {
        let middle = low + (high - low) / 2u;
        if ranks[middle] < params.k {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low - begin;
}

// An item's term of 1 - mean(above / negatives): integers until the division, so that nothing
// cancels.
fn auc_term(rank: u32, place: u32, length: u32, excluded: u32) -> f32 {
    let negatives = less(params.items, excluded + length);
    if negatives == 0u {
        return 0.5 / f32(length);
    }
    return f32(negatives - min(less(rank, place), negatives)) / f32(negatives) / f32(length);
}

// An item's term of the area under the first places; the first item adds the straight line behind
// them.
fn auc_term_at_k(rank: u32, place: u32, begin: u32, end: u32, excluded: u32) -> f32 {
    let length = end - begin;
    let negatives = params.items - length;
    if negatives == 0u {
        return 0.5 / f32(length);
    }
    let places = min(params.k, less(params.items, excluded));
    let hits = min(hits_of(begin, end), places);
    var term = 0.0;
    if place < hits {
        // The misses below a hit; ties are not counted twice.
        term = f32(less(less(places, 1u + rank), hits - 1u - place)) / f32(negatives);
    }
    if place == 0u {
        let below = f32(i32(negatives) - i32(places - hits));
        term += 0.5 * (f32(hits) + f32(length)) * (below / f32(negatives));
    }
    return term / f32(length);
}

fn terms_of(index: u32) -> Terms {
    let owner = owners[index];
    let begin = rows[owner];
    let end = rows[owner + 1u];
    let excluded = rows[params.users + 1u + owner];
    let length = end - begin;
    let place = index - begin;
    let rank = ranks[index];
    var terms = Terms();
    if IMPLICIT {
        terms.auc = auc_term_at_k(rank, place, begin, end, excluded);
    } else {
        terms.auc = auc_term(rank, place, length, excluded);
    }
    if place == 0u {
        terms.reciprocal_rank = 1.0 / (f32(rank) + 1.0);
    }
    if rank < params.k {
        let most_hits = min(params.k, length);
        terms.hits = 1u;
        terms.recall = 1.0 / f32(length);
        terms.average_precision = (f32(place) + 1.0) / (f32(rank) + 1.0) / f32(most_hits);
        terms.gain = discounts[rank] / discounts[params.k + most_hits - 1u];
    }
    return terms;
}

@compute @workgroup_size(WORKGROUP)
fn measure(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local_index: u32) {
    var own = Terms();
    for (var index = workgroup.x * WORKGROUP + local_index; index < params.count; index += params.workgroups * WORKGROUP) {
        own = add(own, terms_of(index));
    }
    found[local_index] = own;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier(); // both halves are written
        if local_index < half {
            found[local_index] = add(found[local_index], found[local_index + half]);
        }
    }
    if local_index == 0u {
        let all = found[0];
        sums[2u * workgroup.x] = vec4<u32>(all.hits, bitcast<u32>(all.recall), bitcast<u32>(all.auc), 0u);
        sums[2u * workgroup.x + 1u] =
            vec4<u32>(bitcast<u32>(all.reciprocal_rank), bitcast<u32>(all.average_precision), bitcast<u32>(all.gain), 0u);
    }
}
