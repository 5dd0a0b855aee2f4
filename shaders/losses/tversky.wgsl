// Tversky loss of probabilities p against t, with s = SMOOTH:
//     loss = 1 - (I + s)/B,  B = I + E + s,  E = ALPHA F + BETA M
//     true positives I = sum w p t, false positives F = sum w p (1 - t),
//     false negatives M = sum w (1 - p) t
//     derivative w ((1 - t) ALPHA (I + s) - t (BETA (I + s) + E))/B^2
// Computed as E/B. 0 where B is 0.
override TVERSKY_FALSE_POSITIVE_WEIGHT: f32 = 0.5;
override TVERSKY_FALSE_NEGATIVE_WEIGHT: f32 = 0.5;
override TVERSKY_SMOOTH: f32 = 1.0;

struct TverskySums {
    found: f32,
    errors: f32,
}

struct TverskyOutcome {
    loss: f32,
    near: f32, // derivative where t = 0
    far: f32,  // derivative where t = 1
}

fn tversky_weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights, cells.kept);
}

fn tversky_empty_sums() -> TverskySums {
    return TverskySums(0.0, 0.0);
}

fn tversky_fold(sums: TverskySums, cells: Cells) -> TverskySums {
    let weights = tversky_weights_of(cells);
    let p = select(vec4<f32>(), cells.logits, cells.kept);
    let t = select(vec4<f32>(), cells.truths, cells.kept);
    let errors = TVERSKY_FALSE_POSITIVE_WEIGHT * (p * (1.0 - t)) + TVERSKY_FALSE_NEGATIVE_WEIGHT * ((1.0 - p) * t);
    return TverskySums(sums.found + dot(weights, p * t), sums.errors + dot(weights, errors));
}

fn tversky_join(sums: TverskySums) -> TverskySums {
    return TverskySums(row_group_sum(sums.found), row_group_sum(sums.errors));
}

fn tversky_finish(row: Row, sums: TverskySums) -> TverskyOutcome {
    let right = sums.found + TVERSKY_SMOOTH;
    let whole = right + sums.errors;
    if whole == 0.0 {
        return TverskyOutcome(0.0, 0.0, 0.0);
    }
    let loss = sums.errors / whole;
    return TverskyOutcome(loss, TVERSKY_FALSE_POSITIVE_WEIGHT * (right / whole) / whole, -(TVERSKY_FALSE_NEGATIVE_WEIGHT * (right / whole) + loss) / whole);
}

fn tversky_gradient(row: Row, outcome: TverskyOutcome, cells: Cells) -> vec4<f32> {
    let t = cells.truths;
    return select(vec4<f32>(), cells.class_weights * ((1.0 - t) * outcome.near + t * outcome.far), cells.kept);
}

fn tversky_auxiliary(place: u32, row: Row, outcome: TverskyOutcome) {}
