// Tversky loss of probabilities p against t: 1 - (I + s)/B, B = I + E + s, E = ALPHA F + BETA M, where I = sum w p t is what was
// found, F = sum w p (1 - t) what was found though it is not there, M = sum w (1 - p) t what was missed, s = SMOOTH. Written as E/B;
// derivative w ((1 - t) ALPHA (I + s) - t (BETA (I + s) + E))/B^2. 0 where B is.
override ALPHA: f32 = 0.5;
override BETA: f32 = 0.5;
override SMOOTH: f32 = 1.0;

struct Sums {
    found: f32,
    errors: f32,
}

struct Outcome {
    loss: f32,
    near: f32, // the derivative where t = 0
    far: f32,  // and where t = 1
}

fn weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights, cells.kept);
}

fn empty_sums() -> Sums {
    return Sums(0.0, 0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let weights = weights_of(cells);
    let p = select(vec4<f32>(), cells.logits, cells.kept);
    let t = select(vec4<f32>(), cells.truths, cells.kept);
    let errors = ALPHA * (p * (1.0 - t)) + BETA * ((1.0 - p) * t);
    return Sums(sums.found + dot(weights, p * t), sums.errors + dot(weights, errors));
}

fn join(sums: Sums) -> Sums {
    return Sums(team_sum(sums.found), team_sum(sums.errors));
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let right = sums.found + SMOOTH;
    let whole = right + sums.errors;
    if whole == 0.0 {
        return Outcome(0.0, 0.0, 0.0);
    }
    let loss = sums.errors / whole;
    return Outcome(loss, ALPHA * (right / whole) / whole, -(BETA * (right / whole) + loss) / whole);
}

fn derivative(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let t = cells.truths;
    return select(vec4<f32>(), cells.class_weights * ((1.0 - t) * outcome.near + t * outcome.far), cells.kept);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
