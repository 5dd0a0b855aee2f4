// Negative log-likelihood of log-probabilities x: -w_y x_y.

struct Sums {
    nothing: f32,
}

struct Outcome {
    loss: f32,
    weight: f32,
}

fn empty_sums() -> Sums {
    return Sums(0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    return sums;
}

fn join(sums: Sums) -> Sums {
    return sums;
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let weight = class_weight(min(row.label, row_length() - 1u));
    return Outcome(select(-weight * row.label_logit, 0.0, weight == 0.0), weight);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(-outcome.weight), cells.is_label);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
