// Kullback-Leibler divergence of the targets t from predictions x given as log-probabilities:
// sum of t (ln t - x), 0 where t = 0; with LOG_TARGET the targets are logarithms too: sum of e^t (t - x).
override LOG_TARGET: bool = false;

struct Sums {
    total: f32,
}

struct Outcome {
    loss: f32,
}

// The targets as probabilities, each times the weight of its class.
fn weighted(cells: Cells, probabilities: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights * probabilities, cells.kept);
}

fn probabilities_of(cells: Cells) -> vec4<f32> {
    if LOG_TARGET {
        return exp(cells.truths);
    }
    return cells.truths;
}

fn empty_sums() -> Sums {
    return Sums(0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let probabilities = probabilities_of(cells);
    var logarithms = cells.truths;
    if !LOG_TARGET {
        logarithms = log_accurate4(probabilities);
    }
    let weights = weighted(cells, probabilities);
    // 0 ln 0 = 0, and so it is where the prediction is -inf.
    let parts = select(weights * (logarithms - cells.logits), vec4<f32>(), weights == vec4<f32>());
    return Sums(sums.total + sum4(parts));
}

fn join(sums: Sums) -> Sums {
    return Sums(team_sum(sums.total));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    return Outcome(sums.total);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    return -weighted(cells, probabilities_of(cells));
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
