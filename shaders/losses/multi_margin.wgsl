// Multi-class margin: w_y/C times the sum over c != y of max(z, 0)^P, z = MARGIN - x_y + x_c. At z = 0 no gradient passes. A logit
// of -inf is a masked class.
override P: u32 = 1u;
override MARGIN: f32 = 1.0;

struct Sums {
    total: f32,
    slope: f32, // of the derivatives
}

struct Outcome {
    loss: f32,
    weight: f32, // w_y/C
    slope: f32,
}

// max(z, 0), 0 for the label and for masked classes.
fn excess(cells: Cells) -> vec4<f32> {
    let z = MARGIN + (cells.logits - cells.label_logit);
    return select(vec4<f32>(), z, (z > vec4<f32>()) & (cells.logits >= vec4<f32>(LOWEST)) & cells.kept & !cells.is_label);
}

fn excess_slope(z: vec4<f32>) -> vec4<f32> {
    if P == 2u {
        return 2.0 * z;
    }
    return select(vec4<f32>(), vec4<f32>(1.0), z > vec4<f32>());
}

fn empty_sums() -> Sums {
    return Sums(0.0, 0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let z = excess(cells);
    var values = z;
    if P == 2u {
        values = z * z;
    }
    return Sums(sums.total + sum4(values), sums.slope + sum4(excess_slope(z)));
}

fn join(sums: Sums) -> Sums {
    return Sums(team_sum(sums.total), team_sum(sums.slope));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let weight = class_weight(min(row.label, row_length() - 1u)) / f32(row_length());
    return Outcome(select(weight * sums.total, 0.0, weight == 0.0), weight, sums.slope);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let slopes = select(excess_slope(excess(cells)), vec4<f32>(-outcome.slope), cells.is_label);
    return select(outcome.weight * slopes, vec4<f32>(), outcome.weight == 0.0);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
