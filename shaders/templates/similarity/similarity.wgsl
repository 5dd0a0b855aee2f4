// Similarity kernel template: each row of a matrix of scores against its own and all other columns.
// The scores, products of two matrices of embeddings, are overwritten by dL/d(score). Products with
// the embeddings then yield the embeddings' gradients.
//
//     lse     = ln of the sum of e^exponent over each of two pools of candidates
//     extras  = sums of two further terms over the candidates; with STAGED they may depend on lse
//     outcome = finish(lse, extras, positives), its .value the row's value
//
// Requires from shaders/losses/*.wgsl, through an adaptor, STAGED, `term`, `extra`, `finish` and
// `extra_gradient`. Linked with templates/similarity/score_rows and one of rowwise_subgroups and
// rowwise_memory: the group of threads that processes a row.

// Relation of a column to a row: its own (with two matrices the partner, with one matrix the row
// itself), same label, or neither.
struct Candidate {
    score: f32,
    is_own: bool,
    is_positive: bool,
}

// A candidate's contribution to the pools.
struct Term {
    exponent: f32,
    gradient: f32, // derivative of the exponent with respect to the score
    in_first: bool,
    in_second: bool,
}

struct Outcome {
    value: f32,
    lse: vec2<f32>,
    pools: vec2<f32>, // derivatives of the value with respect to the two lse
    extra: f32,       // input of `extra_gradient`
}

// Constants of the row-wise kernel template that the row groups need.
const IN_PLACE: bool = false;

fn candidate_of(row: u32, column: u32, score: f32) -> Candidate {
    var candidate = Candidate(score, is_own(row, column), false);
    if HAS_LABELS {
        candidate.is_positive = is_positive(row, column);
    }
    return candidate;
}

// ln of a sum of e^(exponent - peak); LOWEST for an empty pool.
fn lse_of(peak: f32, sum: f32) -> f32 {
    return select(LOWEST, peak + ln_positive(sum), sum > 0.0);
}

// `exp_any` throughout: the driver's built-in exponential has an error of 2|x| ulp, and |x| reaches
// 2/T and more.

// Writes dL/d(score) and the value of a row. Every thread of the row group calls it.
fn take_row(index: u32, local_index: u32) {
    let row = params.first_row + index;
    let first = index * params.columns;
    let weight = weight_of(row);
    let counts = weight.counts;
    // A masked row has no value of its own, but remains a candidate of the others.
    let length = select(0u, params.columns, counts);
    var peaks = vec2<f32>(LOWEST);
    var max_bits = 0u;
    var positives = 0.0;
    for (var column = local_index; column < length; column += THREADS_PER_ROW) {
        let candidate = candidate_of(row, column, scores[first + column]);
        let found = term(candidate);
        max_bits = max(max_bits, bitcast<u32>(candidate.score) & 0x7fffffffu);
        positives += select(0.0, 1.0, candidate.is_positive);
        peaks = max(peaks, select(vec2<f32>(LOWEST), vec2<f32>(found.exponent), vec2<bool>(found.in_first, found.in_second)));
    }
    peaks = vec2<f32>(row_group_max(peaks.x), row_group_max(peaks.y));
    positives = row_group_sum(positives);
    let is_invalid = row_group_max(select(0.0, 1.0, max_bits >= 0x7f800000u)) != 0.0;
    var sums = vec2<f32>();
    var extras = vec2<f32>();
    for (var column = local_index; column < length; column += THREADS_PER_ROW) {
        let candidate = candidate_of(row, column, scores[first + column]);
        let found = term(candidate);
        if found.in_first {
            sums.x += exp_any(found.exponent - peaks.x);
        }
        if found.in_second {
            sums.y += exp_any(found.exponent - peaks.y);
        }
        if !STAGED {
            extras += extra(candidate, vec2<f32>());
        }
    }
    sums = vec2<f32>(row_group_sum(sums.x), row_group_sum(sums.y));
    let lse = vec2<f32>(lse_of(peaks.x, sums.x), lse_of(peaks.y, sums.y));
    if STAGED {
        for (var column = local_index; column < length; column += THREADS_PER_ROW) {
            extras += extra(candidate_of(row, column, scores[first + column]), lse);
        }
    }
    let outcome = finish(lse, vec2<f32>(row_group_sum(extras.x), row_group_sum(extras.y)), positives);
    let scale = scale_of(row, weight);
    // Fractions of the sums themselves: e^(exponent - lse) would include the rounding error of the
    // logarithm.
    let pool_weights = select(vec2<f32>(), outcome.pools / sums, sums > vec2<f32>());
    let nan_value = nan_of(row);
    for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
        var d_score = 0.0;
        if is_invalid {
            d_score = nan_value;
        } else if counts {
            let candidate = candidate_of(row, column, scores[first + column]);
            let found = term(candidate);
            d_score = extra_gradient(candidate, outcome);
            if found.in_first {
                d_score += pool_weights.x * exp_any(found.exponent - peaks.x) * found.gradient;
            }
            if found.in_second {
                d_score += pool_weights.y * exp_any(found.exponent - peaks.y) * found.gradient;
            }
            d_score *= scale;
        }
        scores[first + column] = d_score;
    }
    if local_index == 0u {
        var value = select(0.0, weight.factor * outcome.value, counts);
        if is_invalid {
            value = nan_value;
        }
        if ADDS {
            value += values[row];
        }
        values[row] = value;
    }
}
