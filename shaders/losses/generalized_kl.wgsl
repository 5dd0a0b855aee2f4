// Generalized Kullback-Leibler divergence of t from e^x, neither normalized: sum of
// t (ln t - x) - t + e^x, e^x where t = 0; derivative e^x - t. With d = x - ln t a cell is
// t (e^d - 1 - d); near d = 0 by the series of the bracket, whose first term left out is below
// d^10/10!.

struct GeneralizedKlSums {
    total: f32,
}

struct GeneralizedKlOutcome {
    loss: f32,
}

fn generalized_kl_weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights, cells.kept);
}

fn generalized_kl_empty_sums() -> GeneralizedKlSums {
    return GeneralizedKlSums(0.0);
}

fn generalized_kl_fold(sums: GeneralizedKlSums, cells: Cells) -> GeneralizedKlSums {
    let t = cells.truths;
    let x = cells.logits;
    let mass = exp_and_less4(x)[0];
    let d = x - log_accurate4(t);
    let tail = 0.0083333333 + d * (0.0013888889 + d * (1.9841270e-4 + d * (2.4801587e-5 + d * 2.7557319e-6)));
    let series = 0.5 + d * (0.16666667 + d * (0.041666667 + d * tail));
    let far = (mass - t) - t * d;
    let is_mass = (t == vec4<f32>()) | (bitcast<vec4<u32>>(x) == vec4<u32>(INFINITY_BITS));
    let found = select(select(far, t * d * d * series, abs(d) < vec4<f32>(0.5)), mass, is_mass);
    let weights = generalized_kl_weights_of(cells);
    return GeneralizedKlSums(sums.total + sum4(select(weights * found, vec4<f32>(), weights == vec4<f32>())));
}

fn generalized_kl_join(sums: GeneralizedKlSums) -> GeneralizedKlSums {
    return GeneralizedKlSums(row_group_sum(sums.total));
}

fn generalized_kl_finish(row: Row, sums: GeneralizedKlSums) -> GeneralizedKlOutcome {
    return GeneralizedKlOutcome(sums.total);
}

fn generalized_kl_gradient(row: Row, outcome: GeneralizedKlOutcome, cells: Cells) -> vec4<f32> {
    let weights = generalized_kl_weights_of(cells);
    return select(weights * (exp_and_less4(cells.logits)[0] - cells.truths), vec4<f32>(), weights == vec4<f32>());
}

fn generalized_kl_auxiliary(place: u32, row: Row, outcome: GeneralizedKlOutcome) {}
