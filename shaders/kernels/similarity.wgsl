// The frame over similarities: each row of a matrix of scores against its own and all the other columns. The scores, products of
// two matrices of embeddings, are overwritten by dL/d(score); products with the embeddings make the gradients of these.
//
//     lse     = ln of the sum of e^exponent over each of two pools of candidates
//     extras  = sums of two more numbers over the candidates; STAGED: they may be made of the lse
//     outcome = finish(lse, extras, positives), its .value the row's value
//
// Filled by shaders/losses/*.wgsl with STAGED, `term`, `extra`, `finish` and `extra_slope`. Linked with one of rowwise_subgroups and
// rowwise_memory: the team of lanes that takes a row.

struct Params {
    rows: u32,      // in this chunk
    columns: u32,   // candidates
    first_row: u32, // of this chunk
    block: u32,     // rows that one workgroup takes
    factor: f32,    // of the reduction
    upstream: f32,  // dL/d(value)
}

// What a column is to a row: its own (of two matrices the partner, of one matrix the row itself), of the same label, or neither.
struct Candidate {
    score: f32,
    is_own: bool,
    is_positive: bool,
}

// What a candidate adds to the pools.
struct Term {
    exponent: f32,
    slope: f32, // of the exponent, by the score
    in_first: bool,
    in_second: bool,
}

struct Outcome {
    value: f32,
    lse: vec2<f32>,
    pools: vec2<f32>, // derivatives of the value by the two lse
    extra: f32,       // what `extra_slope` wants to know
}

// What the teams know of the row-wise frame and this one has not.
const IN_PLACE: bool = false;

override WORKGROUP: u32 = 64u;
override COLUMNS: u32 = 0u;
override HOLDS: bool = false;
override HAS_LABELS: bool = false;
override HAS_WEIGHT: bool = false;
override EACH: bool = false;
// The values are added to those that are there: the other direction of a symmetric loss.
override ADDS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(4) var<storage, read> upstreams: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;

fn candidate_of(row: u32, column: u32, score: f32) -> Candidate {
    var candidate = Candidate(score, row == column, false);
    if HAS_LABELS {
        candidate.is_positive = row != column && labels[row] == labels[column];
    }
    return candidate;
}

// ln of a sum of e^(exponent - peak); an empty pool has the lowest there is.
fn lse_of(peak: f32, sum: f32) -> f32 {
    return select(LOWEST, peak + log_full(sum), sum > 0.0);
}

// `exp_full` throughout: a driver's own exponential is 2|x| ulp off, and |x| goes to 2/T and beyond.

// Writes dL/d(score) of a row and its value; every lane of the team calls it.
fn take_row(index: u32, lane: u32) {
    let row = params.first_row + index;
    let first = index * params.columns;
    var weight = params.factor;
    var counts = true;
    if HAS_WEIGHT {
        let bits = weights[row];
        counts = bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    // A row that is left out has no value of its own, and is a candidate of the others all the same.
    let length = select(0u, params.columns, counts);
    var peaks = vec2<f32>(LOWEST);
    var worst = 0u;
    var positives = 0.0;
    for (var column = lane; column < length; column += TEAM) {
        let candidate = candidate_of(row, column, scores[first + column]);
        let found = term(candidate);
        worst = max(worst, bitcast<u32>(candidate.score) & 0x7fffffffu);
        positives += select(0.0, 1.0, candidate.is_positive);
        peaks = max(peaks, select(vec2<f32>(LOWEST), vec2<f32>(found.exponent), vec2<bool>(found.in_first, found.in_second)));
    }
    peaks = vec2<f32>(team_max(peaks.x), team_max(peaks.y));
    positives = team_sum(positives);
    let is_broken = team_max(select(0.0, 1.0, worst > 0x7f800000u)) != 0.0;
    var sums = vec2<f32>();
    var extras = vec2<f32>();
    for (var column = lane; column < length; column += TEAM) {
        let candidate = candidate_of(row, column, scores[first + column]);
        let found = term(candidate);
        if found.in_first {
            sums.x += exp_full(found.exponent - peaks.x);
        }
        if found.in_second {
            sums.y += exp_full(found.exponent - peaks.y);
        }
        if !STAGED {
            extras += extra(candidate, vec2<f32>());
        }
    }
    sums = vec2<f32>(team_sum(sums.x), team_sum(sums.y));
    let lse = vec2<f32>(lse_of(peaks.x, sums.x), lse_of(peaks.y, sums.y));
    if STAGED {
        for (var column = lane; column < length; column += TEAM) {
            extras += extra(candidate_of(row, column, scores[first + column]), lse);
        }
    }
    let outcome = finish(lse, vec2<f32>(team_sum(extras.x), team_sum(extras.y)), positives);
    var scale = weight * params.upstream;
    if EACH {
        scale *= upstreams[row];
    }
    // Shares of the sums themselves: by way of e^(exponent - lse) they would carry the rounding of the logarithm.
    let shares = select(vec2<f32>(), outcome.pools / sums, sums > vec2<f32>());
    // NaN in, NaN out: its bits are put together from some known at run time only.
    let poison = bitcast<f32>(0x7fc00000u | (row & 1u));
    for (var column = lane; column < params.columns; column += TEAM) {
        var slope = 0.0;
        if is_broken {
            slope = poison;
        } else if counts {
            let candidate = candidate_of(row, column, scores[first + column]);
            let found = term(candidate);
            slope = extra_slope(candidate, outcome);
            if found.in_first {
                slope += shares.x * exp_full(found.exponent - peaks.x) * found.slope;
            }
            if found.in_second {
                slope += shares.y * exp_full(found.exponent - peaks.y) * found.slope;
            }
            slope *= scale;
        }
        scores[first + column] = slope;
    }
    if lane == 0u {
        var value = select(0.0, weight * outcome.value, counts);
        if is_broken {
            value = poison;
        }
        if ADDS {
            value += values[row];
        }
        values[row] = value;
    }
}

// The rows of a workgroup one after the other, all its lanes at each.
fn take_rows(block: u32, lane: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    for (var index = begin; index < end; index += 1u) {
        take_row(index, lane);
    }
}
