// Negative log-likelihood of log-probabilities x: -w_y x_y.

struct NllSums {
    nothing: f32,
}

struct NllOutcome {
    loss: f32,
    weight: f32,
}

fn nll_empty_sums() -> NllSums {
    return NllSums(0.0);
}

fn nll_fold(sums: NllSums, cells: Cells) -> NllSums {
    return sums;
}

fn nll_join(sums: NllSums) -> NllSums {
    return sums;
}

fn nll_finish(row: Row, sums: NllSums) -> NllOutcome {
    let weight = class_weight(min(row.label, row_length() - 1u));
    return NllOutcome(select(-weight * row.label_logit, 0.0, weight == 0.0), weight);
}

fn nll_gradient(row: Row, outcome: NllOutcome, cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(-outcome.weight), cells.is_label);
}

fn nll_auxiliary(place: u32, row: Row, outcome: NllOutcome) {}
