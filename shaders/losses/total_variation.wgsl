// Total variation distance of probabilities p from t: sum of w |p - t| / 2;
// derivative w sign(p - t) / 2, 0 at 0.

struct TotalVariationSums {
    total: f32,
}

struct TotalVariationOutcome {
    loss: f32,
}

fn total_variation_weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), 0.5 * cells.class_weights, cells.kept);
}

fn total_variation_empty_sums() -> TotalVariationSums {
    return TotalVariationSums(0.0);
}

fn total_variation_fold(sums: TotalVariationSums, cells: Cells) -> TotalVariationSums {
    let weights = total_variation_weights_of(cells);
    let parts = select(weights * abs(cells.logits - cells.truths), vec4<f32>(), weights == vec4<f32>());
    return TotalVariationSums(sums.total + sum4(parts));
}

fn total_variation_join(sums: TotalVariationSums) -> TotalVariationSums {
    return TotalVariationSums(row_group_sum(sums.total));
}

fn total_variation_finish(row: Row, sums: TotalVariationSums) -> TotalVariationOutcome {
    return TotalVariationOutcome(sums.total);
}

fn total_variation_gradient(row: Row, outcome: TotalVariationOutcome, cells: Cells) -> vec4<f32> {
    let apart = cells.logits - cells.truths;
    let signs = select(select(vec4<f32>(), vec4<f32>(-1.0), apart < vec4<f32>()), vec4<f32>(1.0), apart > vec4<f32>());
    return total_variation_weights_of(cells) * signs;
}

fn total_variation_auxiliary(place: u32, row: Row, outcome: TotalVariationOutcome) {}
