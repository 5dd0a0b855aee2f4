// Ordinal regression by cumulative logits: K ordered classes; column k predicts whether the label
// is above k, for k = 0 .. K - 2: sum over k of softplus(x_k) - [y > k] x_k. Derivative
// sigmoid(x_k) - [y > k].

struct OrdinalSums {
    total: f32,
}

struct OrdinalOutcome {
    loss: f32,
}

// x, or -x where the label is above the column: the quantity to minimize.
fn ordinal_wrongs(cells: Cells) -> vec4<f32> {
    return select(cells.logits, -cells.logits, cells.columns < vec4<u32>(cells.label));
}

fn ordinal_empty_sums() -> OrdinalSums {
    return OrdinalSums(0.0);
}

fn ordinal_fold(sums: OrdinalSums, cells: Cells) -> OrdinalSums {
    let x = ordinal_wrongs(cells);
    let e = exp(-abs(x));
    // ln(1 + e) as in ln_1p_unit_interval, four at a time.
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = 2.0 * s + 2.0 * s * q * (0.333331573 + q * (0.200124551 + q * (0.139803014 + q * 0.140891676)));
    return OrdinalSums(sums.total + sum4(select(vec4<f32>(), max(x, vec4<f32>()) + tail, cells.kept)));
}

fn ordinal_join(sums: OrdinalSums) -> OrdinalSums {
    return OrdinalSums(row_group_sum(sums.total));
}

fn ordinal_finish(row: Row, sums: OrdinalSums) -> OrdinalOutcome {
    return OrdinalOutcome(sums.total);
}

fn ordinal_gradient(row: Row, outcome: OrdinalOutcome, cells: Cells) -> vec4<f32> {
    let x = ordinal_wrongs(cells);
    let e = exp(-abs(x));
    let d_logits = select(e, vec4<f32>(1.0), x >= vec4<f32>()) / (1.0 + e);
    return select(d_logits, -d_logits, cells.columns < vec4<u32>(cells.label));
}

fn ordinal_auxiliary(place: u32, row: Row, outcome: OrdinalOutcome) {}
