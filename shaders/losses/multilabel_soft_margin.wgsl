// Multi-label soft margin, with p_c the weight of positives, as mean over the C unmasked classes of
//     w_c (p_c t softplus(-x) + (1 - t) softplus(x))
//     derivative w_c/C ((1 - t) sigmoid(x) - p_c t sigmoid(-x))

struct MultilabelSoftMarginSums {
    total: f32,
    classes: f32,
}

struct MultilabelSoftMarginOutcome {
    loss: f32,
    share: f32, // 1/C
}

fn multilabel_soft_margin_weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights, cells.kept);
}

// Weights of the positive terms, before the class weights.
fn multilabel_soft_margin_positives_of(cells: Cells) -> vec4<f32> {
    if HAS_POS_WEIGHT {
        return pos_weights_of(cells.columns) * cells.truths;
    }
    return cells.truths;
}

fn multilabel_soft_margin_empty_sums() -> MultilabelSoftMarginSums {
    return MultilabelSoftMarginSums(0.0, 0.0);
}

fn multilabel_soft_margin_fold(sums: MultilabelSoftMarginSums, cells: Cells) -> MultilabelSoftMarginSums {
    let x = cells.logits;
    let e = exp(-abs(x));
    // ln(1 + e) as in ln_1p_unit_interval, four at a time.
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = 2.0 * s + 2.0 * s * q * (0.333331573 + q * (0.200124551 + q * (0.139803014 + q * 0.140891676)));
    let up = multilabel_soft_margin_weights_of(cells) * multilabel_soft_margin_positives_of(cells);
    let down = multilabel_soft_margin_weights_of(cells) * (1.0 - cells.truths);
    // A side with weight 0 contributes nothing, even at infinity.
    let left = select(up * (max(-x, vec4<f32>()) + tail), vec4<f32>(), up == vec4<f32>());
    let right = select(down * (max(x, vec4<f32>()) + tail), vec4<f32>(), down == vec4<f32>());
    var classes = 0.0;
    if CLASS_MASK != 0u {
        classes = sum4(select(vec4<f32>(), vec4<f32>(1.0), cells.kept));
    }
    return MultilabelSoftMarginSums(sums.total + sum4(left + right), sums.classes + classes);
}

fn multilabel_soft_margin_join(sums: MultilabelSoftMarginSums) -> MultilabelSoftMarginSums {
    if CLASS_MASK != 0u {
        return MultilabelSoftMarginSums(row_group_sum(sums.total), row_group_sum(sums.classes));
    }
    return MultilabelSoftMarginSums(row_group_sum(sums.total), f32(row_length()));
}

fn multilabel_soft_margin_finish(row: Row, sums: MultilabelSoftMarginSums) -> MultilabelSoftMarginOutcome {
    let share = select(1.0 / sums.classes, 0.0, sums.classes == 0.0);
    return MultilabelSoftMarginOutcome(share * sums.total, share);
}

fn multilabel_soft_margin_gradient(row: Row, outcome: MultilabelSoftMarginOutcome, cells: Cells) -> vec4<f32> {
    let e = exp(-abs(cells.logits));
    let high = 1.0 / (1.0 + e);
    let is_positive = cells.logits >= vec4<f32>();
    let up = select(e * high, high, is_positive);
    let down = select(high, e * high, is_positive);
    let d_logits = outcome.share * cells.class_weights * ((1.0 - cells.truths) * up - multilabel_soft_margin_positives_of(cells) * down);
    return select(vec4<f32>(), d_logits, cells.kept);
}

fn multilabel_soft_margin_auxiliary(place: u32, row: Row, outcome: MultilabelSoftMarginOutcome) {}
