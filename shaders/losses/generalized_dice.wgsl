// Generalized dice of an item's regions: 1 - (2 sum of w found + SMOOTH)/D, D = 2 sum of w found +
// sum of w apart + SMOOTH, computed as the sum of w apart over D; w = 1/(sum of t)^2. 0 where D is 0.
override GENERALIZED_DICE_SMOOTH: f32 = 1e-5;

fn generalized_dice_weight(total: f32) -> f32 {
    return 1.0 / total / total;
}

fn generalized_dice_finish(found: f32, apart: f32) -> vec3<f32> {
    let right = 2.0 * found + GENERALIZED_DICE_SMOOTH;
    let whole = right + apart;
    if whole == 0.0 {
        return vec3<f32>();
    }
    let loss = apart / whole;
    return vec3<f32>(loss, right / whole / whole, -(1.0 + loss) / whole);
}
