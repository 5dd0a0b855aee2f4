// Categorical hinge, as in Keras: max(1 + max over c of (1 - t_c) x_c - sum t_c x_c, 0), t one-hot
// for a label, whose own cell is 0 in the maximum. Tied maxima divide the derivative equally. A
// score of -inf is a masked class.

struct CategoricalHingeSums {
    best: f32,
    ties: f32, // number of cells equal to the maximum
    own: f32,  // sum of t x
}

struct CategoricalHingeOutcome {
    loss: f32,
    best: f32,
    share: f32, // derivative at each tied maximum
    own: f32,   // 1 where the loss is above 0
}

// Stands for a masked score: below all scores.
const CATEGORICAL_HINGE_CLOSED: f32 = -3.0e38;

fn categorical_hinge_truths_of_cells(cells: Cells) -> vec4<f32> {
    if HAS_LABELS {
        return select(vec4<f32>(), vec4<f32>(1.0), cells.is_label);
    }
    return cells.truths;
}

// (1 - t) x. 0 times infinity gives 0, and a masked class is never the maximum.
fn categorical_hinge_rivals(cells: Cells) -> vec4<f32> {
    let left = 1.0 - categorical_hinge_truths_of_cells(cells);
    let x = select(left * cells.logits, vec4<f32>(), left == vec4<f32>());
    return select(vec4<f32>(CATEGORICAL_HINGE_CLOSED), x, (x >= vec4<f32>(LOWEST)) & cells.kept);
}

fn categorical_hinge_empty_sums() -> CategoricalHingeSums {
    return CategoricalHingeSums(LOWEST, 0.0, 0.0);
}

fn categorical_hinge_fold(sums: CategoricalHingeSums, cells: Cells) -> CategoricalHingeSums {
    let x = categorical_hinge_rivals(cells);
    let best = max(sums.best, max(max(x.x, x.y), max(x.z, x.w)));
    let ties = sum4(select(vec4<f32>(), vec4<f32>(1.0), x == vec4<f32>(best)));
    let t = categorical_hinge_truths_of_cells(cells);
    let own = sum4(select(t * cells.logits, vec4<f32>(), t == vec4<f32>()));
    return CategoricalHingeSums(best, ties + select(0.0, sums.ties, sums.best == best), sums.own + own);
}

fn categorical_hinge_join(sums: CategoricalHingeSums) -> CategoricalHingeSums {
    let best = row_group_max(sums.best);
    return CategoricalHingeSums(best, row_group_sum(select(0.0, sums.ties, sums.best == best)), row_group_sum(sums.own));
}

fn categorical_hinge_finish(row: Row, sums: CategoricalHingeSums) -> CategoricalHingeOutcome {
    let excess = 1.0 + (sums.best - sums.own);
    if excess > 0.0 {
        return CategoricalHingeOutcome(excess, sums.best, 1.0 / max(sums.ties, 1.0), 1.0);
    }
    return CategoricalHingeOutcome(0.0, sums.best, 0.0, 0.0);
}

fn categorical_hinge_gradient(row: Row, outcome: CategoricalHingeOutcome, cells: Cells) -> vec4<f32> {
    let t = categorical_hinge_truths_of_cells(cells);
    let is_best = categorical_hinge_rivals(cells) == vec4<f32>(outcome.best);
    return select(vec4<f32>(), outcome.share * (1.0 - t), is_best) - outcome.own * t;
}

fn categorical_hinge_auxiliary(place: u32, row: Row, outcome: CategoricalHingeOutcome) {}
