// Crammer-Singer multi-class hinge: w_y max(1 + max over c != y of x_c - x_y, 0). Tied maxima
// divide the derivative equally. A logit of -inf is a masked class.

struct MulticlassHingeSums {
    best: f32,
    ties: f32, // number of cells equal to the maximum
}

struct MulticlassHingeOutcome {
    loss: f32,
    best: f32,
    share: f32, // derivative at each tied maximum
    label_gradient: f32, // derivative at the label
}

// Stands for a masked logit: below all logits.
const MULTICLASS_HINGE_CLOSED: f32 = -3.0e38;

fn multiclass_hinge_rivals(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(MULTICLASS_HINGE_CLOSED), cells.logits, (cells.logits >= vec4<f32>(LOWEST)) & cells.kept & !cells.is_label);
}

fn multiclass_hinge_empty_sums() -> MulticlassHingeSums {
    return MulticlassHingeSums(LOWEST, 0.0);
}

fn multiclass_hinge_fold(sums: MulticlassHingeSums, cells: Cells) -> MulticlassHingeSums {
    let x = multiclass_hinge_rivals(cells);
    let best = max(sums.best, max(max(x.x, x.y), max(x.z, x.w)));
    let ties = sum4(select(vec4<f32>(), vec4<f32>(1.0), x == vec4<f32>(best)));
    return MulticlassHingeSums(best, ties + select(0.0, sums.ties, sums.best == best));
}

fn multiclass_hinge_join(sums: MulticlassHingeSums) -> MulticlassHingeSums {
    let best = row_group_max(sums.best);
    return MulticlassHingeSums(best, row_group_sum(select(0.0, sums.ties, sums.best == best)));
}

fn multiclass_hinge_finish(row: Row, sums: MulticlassHingeSums) -> MulticlassHingeOutcome {
    let excess = 1.0 + (sums.best - row.label_logit);
    let weight = class_weight(min(row.label, row_length() - 1u));
    if excess > 0.0 && weight != 0.0 {
        return MulticlassHingeOutcome(weight * excess, sums.best, weight / max(sums.ties, 1.0), -weight);
    }
    return MulticlassHingeOutcome(0.0, sums.best, 0.0, 0.0);
}

fn multiclass_hinge_gradient(row: Row, outcome: MulticlassHingeOutcome, cells: Cells) -> vec4<f32> {
    let d_logits = select(vec4<f32>(), vec4<f32>(outcome.share), multiclass_hinge_rivals(cells) == vec4<f32>(outcome.best));
    return select(d_logits, vec4<f32>(outcome.label_gradient), cells.is_label);
}

fn multiclass_hinge_auxiliary(place: u32, row: Row, outcome: MulticlassHingeOutcome) {}
