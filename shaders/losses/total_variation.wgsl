// Total variation distance of probabilities p from t: sum of w |p - t| / 2; derivative w sign(p - t) / 2, 0 at 0.

struct Sums {
    total: f32,
}

struct Outcome {
    loss: f32,
}

fn weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), 0.5 * cells.class_weights, cells.kept);
}

fn empty_sums() -> Sums {
    return Sums(0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let weights = weights_of(cells);
    let parts = select(weights * abs(cells.logits - cells.truths), vec4<f32>(), weights == vec4<f32>());
    return Sums(sums.total + sum4(parts));
}

fn join(sums: Sums) -> Sums {
    return Sums(team_sum(sums.total));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    return Outcome(sums.total);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let apart = cells.logits - cells.truths;
    let signs = select(select(vec4<f32>(), vec4<f32>(-1.0), apart < vec4<f32>()), vec4<f32>(1.0), apart > vec4<f32>());
    return weights_of(cells) * signs;
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
