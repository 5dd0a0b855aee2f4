// Multi-class margin: w_y/C times the sum over c != y of max(z, 0)^P, z = MARGIN - x_y + x_c. The
// gradient at z = 0 is 0. A logit of -inf is a masked class.
override MULTI_MARGIN_P: u32 = 1u;
override MULTI_MARGIN_MARGIN: f32 = 1.0;

struct MultiMarginSums {
    total: f32,
    gradient_sum: f32, // sum of the derivatives
}

struct MultiMarginOutcome {
    loss: f32,
    weight: f32, // w_y/C
    gradient_sum: f32,
}

// max(z, 0), 0 for the label and for masked classes.
fn multi_margin_excess(cells: Cells) -> vec4<f32> {
    let z = MULTI_MARGIN_MARGIN + (cells.logits - cells.label_logit);
    return select(vec4<f32>(), z, (z > vec4<f32>()) & (cells.logits >= vec4<f32>(LOWEST)) & cells.kept & !cells.is_label);
}

fn multi_margin_excess_gradient(z: vec4<f32>) -> vec4<f32> {
    if MULTI_MARGIN_P == 2u {
        return 2.0 * z;
    }
    return select(vec4<f32>(), vec4<f32>(1.0), z > vec4<f32>());
}

fn multi_margin_empty_sums() -> MultiMarginSums {
    return MultiMarginSums(0.0, 0.0);
}

fn multi_margin_fold(sums: MultiMarginSums, cells: Cells) -> MultiMarginSums {
    let z = multi_margin_excess(cells);
    var values = z;
    if MULTI_MARGIN_P == 2u {
        values = z * z;
    }
    return MultiMarginSums(sums.total + sum4(values), sums.gradient_sum + sum4(multi_margin_excess_gradient(z)));
}

fn multi_margin_join(sums: MultiMarginSums) -> MultiMarginSums {
    return MultiMarginSums(row_group_sum(sums.total), row_group_sum(sums.gradient_sum));
}

fn multi_margin_finish(row: Row, sums: MultiMarginSums) -> MultiMarginOutcome {
    let weight = class_weight(min(row.label, row_length() - 1u)) / f32(row_length());
    return MultiMarginOutcome(select(weight * sums.total, 0.0, weight == 0.0), weight, sums.gradient_sum);
}

fn multi_margin_gradient(row: Row, outcome: MultiMarginOutcome, cells: Cells) -> vec4<f32> {
    let d_logits = select(multi_margin_excess_gradient(multi_margin_excess(cells)), vec4<f32>(-outcome.gradient_sum), cells.is_label);
    return select(outcome.weight * d_logits, vec4<f32>(), outcome.weight == 0.0);
}

fn multi_margin_auxiliary(place: u32, row: Row, outcome: MultiMarginOutcome) {}
