// Kullback-Leibler divergence of the targets t from predictions x given as log-probabilities:
// sum of t (ln t - x), 0 where t = 0; with LOG_TARGET the targets are logarithms too: sum of e^t (t - x).
override LOG_TARGET: bool = false;

struct Sums {
    total: f32,
}

struct Outcome {
    loss: f32,
}

fn probability(cell: Cell) -> f32 {
    return select(cell.truth, exp(cell.truth), LOG_TARGET);
}

fn empty_sums() -> Sums {
    return Sums(0.0);
}

fn fold(sums: Sums, cell: Cell) -> Sums {
    let t = probability(cell);
    if !cell.kept || t == 0.0 || cell.class_weight == 0.0 {
        return sums;
    }
    let log_t = select(log_accurate(t), cell.truth, LOG_TARGET);
    return Sums(sums.total + cell.class_weight * t * (log_t - cell.logit));
}

fn merge(a: Sums, b: Sums) -> Sums {
    return Sums(a.total + b.total);
}

fn finish(row: Row, sums: Sums) -> Outcome {
    return Outcome(sums.total);
}

fn derivative(row: Row, outcome: Outcome, cell: Cell) -> f32 {
    return select(0.0, -cell.class_weight * probability(cell), cell.kept);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
