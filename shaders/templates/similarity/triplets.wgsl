// Kernel template of mined triplets: for each row of a matrix of scores, pairs of a positive and
// the negative mined for it. The scores are overwritten by dL/d(score). Products and linking are as
// in templates/similarity/similarity.
//
//     value = sum over the pairs of [distance(positive) - distance(negative) + MARGIN]+
//
// Without SEMI_HARD: one pair, the positive with the lowest score and the negative with the highest
// score. With SEMI_HARD: one pair per positive. Its negative has the highest score below that of
// the positive, or if there is none, the lowest score. Ties are resolved in favor of the first.
// Requires from shaders/losses/*.wgsl, through an adaptor, `distance`, MARGIN and SEMI_HARD.

// Enables the barrier of the row groups, which separates the writes of a row's marks from their
// reads.
const IN_PLACE: bool = true;

// For a positive: the column of its negative plus 1, or 0 if the pair is not counted. For a
// negative: the number of its pairs.
@group(0) @binding(6) var<storage, read_write> marks: array<f32>;

fn is_negative(row: u32, column: u32) -> bool {
    return labels[row] != labels[params.first_label + column];
}

fn distance_gradient(score: f32) -> f32 {
    let d = distance(score);
    return select(0.0, 1.0 / d, d > 0.0);
}

// The column of the negative paired with a positive.
fn negative_of(row: u32, first: u32, score: f32, farthest: u32) -> u32 {
    var best = LOWEST;
    var found = farthest;
    for (var column = 0u; column < params.columns; column += 1u) {
        let other = scores[first + column];
        if is_negative(row, column) && other < score && other > best {
            best = other;
            found = column;
        }
    }
    return found;
}

// The first column of this thread with the given score, negated so that a maximum selects the first
// of all columns.
fn first_column(row: u32, first: u32, local_index: u32, score: f32, positives: bool) -> f32 {
    var found = LOWEST;
    for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
        let kind = select(is_negative(row, column), is_positive(row, column), positives);
        if kind && scores[first + column] == score {
            found = max(found, -f32(column));
        }
    }
    return found;
}

fn column_from(found: f32) -> u32 {
    return min(u32(min(-found, 1.6777216e7)), params.columns - 1u);
}

// Writes dL/d(score) and the value of a row. Every thread of the row group calls it.
fn take_row(index: u32, local_index: u32) {
    let row = params.first_row + index;
    let first = index * params.columns;
    let weight = weight_of(row);
    let counts = weight.counts;
    // The highest and the lowest score of the negatives, and the lowest score of the positives. The
    // lowest ones are negated.
    var peaks = vec3<f32>(LOWEST);
    var max_bits = 0u;
    for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
        let score = scores[first + column];
        max_bits = max(max_bits, bitcast<u32>(score) & 0x7fffffffu);
        if is_negative(row, column) {
            peaks.x = max(peaks.x, score);
            peaks.y = max(peaks.y, -score);
        } else if is_positive(row, column) {
            peaks.z = max(peaks.z, -score);
        }
    }
    peaks = vec3<f32>(row_group_max(peaks.x), row_group_max(peaks.y), row_group_max(peaks.z));
    let is_invalid = row_group_max(select(0.0, 1.0, max_bits >= 0x7f800000u)) != 0.0;
    let has_both = peaks.x > LOWEST && peaks.z > LOWEST;
    let negative = select(peaks.x, -peaks.y, SEMI_HARD);
    let other = column_from(row_group_max(first_column(row, first, local_index, negative, false)));
    let hardest = column_from(row_group_max(first_column(row, first, local_index, -peaks.z, true)));
    var sum = 0.0;
    for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
        var mark = 0.0;
        if counts && has_both && is_positive(row, column) && (SEMI_HARD || column == hardest) {
            let score = scores[first + column];
            var pair = other;
            if SEMI_HARD {
                pair = negative_of(row, first, score, other);
            }
            let short = distance(score) - distance(scores[first + pair]) + MARGIN;
            if short > 0.0 {
                sum += short;
                mark = f32(pair) + 1.0;
            }
        }
        marks[first + column] = mark;
    }
    row_group_barrier();
    if local_index == 0u {
        for (var column = 0u; column < params.columns; column += 1u) {
            let mark = marks[first + column];
            if mark > 0.0 && is_positive(row, column) {
                marks[first + u32(mark) - 1u] += 1.0;
            }
        }
    }
    row_group_barrier();
    let value = weight.factor * row_group_sum(sum);
    let scale = scale_of(row, weight);
    let nan_value = nan_of(row);
    for (var column = local_index; column < params.columns; column += THREADS_PER_ROW) {
        let mark = marks[first + column];
        let score = scores[first + column];
        // A distance decreases as its score increases.
        var d_score = select(mark, -1.0, is_positive(row, column));
        d_score = select(0.0, scale * d_score * distance_gradient(score), mark > 0.0);
        scores[first + column] = select(d_score, nan_value, is_invalid && counts);
    }
    if local_index == 0u {
        values[row] = select(select(0.0, value, counts), nan_value, is_invalid && counts);
    }
}
