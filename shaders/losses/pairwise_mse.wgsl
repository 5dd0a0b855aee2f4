// Pairwise mean squared error of a list: the mean over the pairs of its N items of (e_i - e_j)^2,
// e = s - y; with m the mean of e it is 2/(N - 1) sum of (e - m)^2, derivative 4/(N - 1) (e - m).
// Means and sums of squares are merged pairwise, so that no digits are lost to a common shift of the
// scores (Chan, Golub and LeVeque, Updating formulae, 1979).

struct PairwiseMseSums {
    count: f32,
    mean: f32,
    squares: f32, // sum of (e - mean)^2
}

struct PairwiseMseOutcome {
    loss: f32,
    mean: f32,
    factor: f32,
}

fn pairwise_mse_errors_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.logits - cells.truths, cells.kept);
}

fn pairwise_mse_empty_sums() -> PairwiseMseSums {
    return PairwiseMseSums(0.0, 0.0, 0.0);
}

fn pairwise_mse_fold(sums: PairwiseMseSums, cells: Cells) -> PairwiseMseSums {
    let ones = select(vec4<f32>(), vec4<f32>(1.0), cells.kept);
    let errors = pairwise_mse_errors_of(cells);
    let added = sum4(ones);
    if added == 0.0 {
        return sums;
    }
    // Four numbers of half the range: their sum does not overflow.
    let own = sum4(errors * (1.0 / added));
    let apart = ones * (errors - own);
    let count = sums.count + added;
    let step = own - sums.mean;
    return PairwiseMseSums(
        count,
        sums.mean + step * (added / count),
        sums.squares + dot(apart, apart) + step * step * (sums.count * added / count),
    );
}

fn pairwise_mse_join(sums: PairwiseMseSums) -> PairwiseMseSums {
    let count = row_group_sum(sums.count);
    let mean = row_group_sum(select(sums.mean * (sums.count / count), 0.0, sums.count == 0.0));
    let step = sums.mean - mean;
    let squares = row_group_sum(select(sums.squares + sums.count * step * step, 0.0, sums.count == 0.0));
    return PairwiseMseSums(count, mean, squares);
}

fn pairwise_mse_finish(row: Row, sums: PairwiseMseSums) -> PairwiseMseOutcome {
    if sums.count < 2.0 {
        return PairwiseMseOutcome(0.0, 0.0, 0.0);
    }
    // An infinite score: its differences to the others are infinite, that to itself is inf - inf.
    if (bitcast<u32>(sums.mean) & 0x7fffffffu) >= INFINITY_BITS {
        let nan = nan_of(row);
        return PairwiseMseOutcome(nan, nan, 1.0);
    }
    return PairwiseMseOutcome(2.0 * sums.squares / (sums.count - 1.0), sums.mean, 4.0 / (sums.count - 1.0));
}

fn pairwise_mse_gradient(row: Row, outcome: PairwiseMseOutcome, cells: Cells) -> vec4<f32> {
    let errors = pairwise_mse_errors_of(cells);
    return select(vec4<f32>(), outcome.factor * (errors - outcome.mean), cells.kept & vec4<bool>(outcome.factor != 0.0));
}

fn pairwise_mse_auxiliary(place: u32, row: Row, outcome: PairwiseMseOutcome) {}
