// Kullback-Leibler divergence of the targets t from predictions x given as log-probabilities:
// sum of t (ln t - x), 0 where t = 0; with LOG_TARGET the targets are logarithms too: sum of e^t (t
// - x).
override KL_DIV_LOG_TARGET: bool = false;

struct KlDivSums {
    total: f32,
}

struct KlDivOutcome {
    loss: f32,
}

// The targets as probabilities, multiplied by the class weights.
fn kl_div_weighted(cells: Cells, probabilities: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights * probabilities, cells.kept);
}

fn kl_div_probabilities_of(cells: Cells) -> vec4<f32> {
    if KL_DIV_LOG_TARGET {
        return exp(cells.truths);
    }
    return cells.truths;
}

fn kl_div_empty_sums() -> KlDivSums {
    return KlDivSums(0.0);
}

fn kl_div_fold(sums: KlDivSums, cells: Cells) -> KlDivSums {
    let probabilities = kl_div_probabilities_of(cells);
    var logarithms = cells.truths;
    if !KL_DIV_LOG_TARGET {
        logarithms = log_accurate4(probabilities);
    }
    let weights = kl_div_weighted(cells, probabilities);
    // 0 ln 0 = 0, also where the prediction is -inf.
    let parts = select(weights * (logarithms - cells.logits), vec4<f32>(), weights == vec4<f32>());
    return KlDivSums(sums.total + sum4(parts));
}

fn kl_div_join(sums: KlDivSums) -> KlDivSums {
    return KlDivSums(row_group_sum(sums.total));
}

fn kl_div_finish(row: Row, sums: KlDivSums) -> KlDivOutcome {
    return KlDivOutcome(sums.total);
}

fn kl_div_gradient(row: Row, outcome: KlDivOutcome, cells: Cells) -> vec4<f32> {
    return -kl_div_weighted(cells, kl_div_probabilities_of(cells));
}

fn kl_div_auxiliary(place: u32, row: Row, outcome: KlDivOutcome) {}
