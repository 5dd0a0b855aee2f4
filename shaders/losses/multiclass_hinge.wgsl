// Multi-class hinge of Crammer and Singer: w_y max(1 + max over c != y of x_c - x_y, 0). Classes that share the maximum share its
// derivative. A logit of -inf is a masked class.

struct Sums {
    best: f32,
    ties: f32, // cells that hold it
}

struct Outcome {
    loss: f32,
    best: f32,
    share: f32, // the derivative at each of them
    slope: f32, // at the label
}

// No logit, and below all of them.
const CLOSED: f32 = -3.0e38;

fn rivals(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(CLOSED), cells.logits, (cells.logits >= vec4<f32>(LOWEST)) & cells.kept & !cells.is_label);
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, 0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let x = rivals(cells);
    let best = max(sums.best, max(max(x.x, x.y), max(x.z, x.w)));
    let ties = sum4(select(vec4<f32>(), vec4<f32>(1.0), x == vec4<f32>(best)));
    return Sums(best, ties + select(0.0, sums.ties, sums.best == best));
}

fn join(sums: Sums) -> Sums {
    let best = team_max(sums.best);
    return Sums(best, team_sum(select(0.0, sums.ties, sums.best == best)));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let excess = 1.0 + (sums.best - row.label_logit);
    let weight = class_weight(min(row.label, row_length() - 1u));
    if excess > 0.0 && weight != 0.0 {
        return Outcome(weight * excess, sums.best, weight / max(sums.ties, 1.0), -weight);
    }
    return Outcome(0.0, sums.best, 0.0, 0.0);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let slopes = select(vec4<f32>(), vec4<f32>(outcome.share), rivals(cells) == vec4<f32>(outcome.best));
    return select(slopes, vec4<f32>(outcome.slope), cells.is_label);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
