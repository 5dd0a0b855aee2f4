// Dice loss of probabilities p against t, with s = SMOOTH:
//     loss = 1 - (2I + s)/D,  I = sum w p t,  D = sum w (p + t) + s
//     derivative w ((1 - t) (2I + s) - t (D + A))/D^2
// Computed as A/D with A = D - (2I + s) = sum w (p (1 - t) + t (1 - p)). 0 where D is 0.
override DICE_SMOOTH: f32 = 1.0;

struct DiceSums {
    found: f32,
    apart: f32,
}

struct DiceOutcome {
    loss: f32,
    near: f32, // derivative where t = 0
    far: f32,  // derivative where t = 1
}

fn dice_weights_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(), cells.class_weights, cells.kept);
}

fn dice_empty_sums() -> DiceSums {
    return DiceSums(0.0, 0.0);
}

fn dice_fold(sums: DiceSums, cells: Cells) -> DiceSums {
    let weights = dice_weights_of(cells);
    let p = select(vec4<f32>(), cells.logits, cells.kept);
    let t = select(vec4<f32>(), cells.truths, cells.kept);
    return DiceSums(sums.found + dot(weights, p * t), sums.apart + dot(weights, p * (1.0 - t) + t * (1.0 - p)));
}

fn dice_join(sums: DiceSums) -> DiceSums {
    return DiceSums(row_group_sum(sums.found), row_group_sum(sums.apart));
}

fn dice_finish(row: Row, sums: DiceSums) -> DiceOutcome {
    let right = 2.0 * sums.found + DICE_SMOOTH;
    let whole = right + sums.apart;
    if whole == 0.0 {
        return DiceOutcome(0.0, 0.0, 0.0);
    }
    let loss = sums.apart / whole;
    return DiceOutcome(loss, right / whole / whole, -(1.0 + loss) / whole);
}

fn dice_gradient(row: Row, outcome: DiceOutcome, cells: Cells) -> vec4<f32> {
    let t = cells.truths;
    return select(vec4<f32>(), cells.class_weights * ((1.0 - t) * outcome.near + t * outcome.far), cells.kept);
}

fn dice_auxiliary(place: u32, row: Row, outcome: DiceOutcome) {}
