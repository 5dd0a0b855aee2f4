// Softmax cross-entropy of a label, with the logits shifted by a number u of each class (its
// frequency, for example), in the place of the class weights:
//
//     z_c = SCALE (x_c + shift(u_c)),  at the label SCALE (x_y + shift(u_y) - label_shift(u_y, least)),
//     least the smallest u above 0 of the row;  loss = lse(z) - z_y,  d/dx = SCALE (p_c - [c = y])
//
// Linked with a loss that defines SCALE, `shift` and `label_shift`, and USES_LEAST, false if
// label_shift does not read `least`. The label is left out of the sums: lse - z_y = ln(1 + others)
// and 1 - p_y = others / (others + e^z_y) keep their digits as p_y goes to 1. Logits are subtracted
// before they are scaled: their products would round as much as large logits differ. A class with a
// shift of -inf is a masked class, as one with a logit of -inf is.

struct Sums {
    maximum: f32, // of the shifted logits of the others, x + shift
    others: f32,  // sum of e^(SCALE (x + shift - maximum))
    most: f32,    // the largest of -u where u > 0
}

struct Outcome {
    loss: f32,
    maximum: f32,
    lead: f32,    // of the label's z over that of the maximum, at least 0
    inverse: f32, // 1 / sum of e^(z - the largest z)
    rest: f32,    // probability of the others
    is_open: bool, // the label has a probability above 0
}

// Placeholder for a masked logit, below all logits.
const CLOSED: f32 = -3.0e38;

// A -inf that no compiler folds away: its bits depend on a value known only at run time.
fn minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn empty_sums() -> Sums {
    return Sums(LOWEST, 0.0, -3.0e38);
}

fn shifted_logits(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(CLOSED), cells.logits + shift(cells.class_weights), cells.kept);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let z = select(shifted_logits(cells), vec4<f32>(CLOSED), cells.is_label);
    let is_open = z >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(z.x, z.y), max(z.z, z.w)));
    let e = select(vec4<f32>(), exp(SCALE * (z - maximum)), is_open);
    var most = sums.most;
    if USES_LEAST {
        let u = cells.class_weights;
        let found = select(vec4<f32>(-3.0e38), -u, cells.kept & (u > vec4<f32>()));
        most = max(most, max(max(found.x, found.y), max(found.z, found.w)));
    }
    return Sums(maximum, exp(SCALE * (sums.maximum - maximum)) * sums.others + sum4(e), most);
}

fn join(sums: Sums) -> Sums {
    let maximum = row_group_max(sums.maximum);
    var most = sums.most;
    if USES_LEAST {
        most = row_group_max(most);
    }
    return Sums(maximum, row_group_sum(exp(SCALE * (sums.maximum - maximum)) * sums.others), most);
}

fn finish(row: Row, sums: Sums) -> Outcome {
    let label = min(row.label, row_length() - 1u);
    let u = class_weight(label);
    let shifted = row.label_logit + shift(vec4<f32>(u)).x;
    let is_open = keeps(row, label) && shifted >= LOWEST;
    // Relative to the largest of the others, and to the label where that is ahead or alone.
    let is_alone = sums.others == 0.0;
    let maximum = select(sums.maximum, shifted, is_alone);
    let above = SCALE * ((shifted - maximum) - label_shift(u, -sums.most));
    let lead = select(0.0, select(max(above, 0.0), above, is_alone), is_open);
    let others = exp(-lead) * sums.others;
    // Not above - lead, which is inf - inf where the scale overflows.
    let label_below = select(minus_infinity(), select(min(above, 0.0), 0.0, is_alone), is_open);
    let label_exp = select(0.0, exp(label_below), is_open);
    let total = others + label_exp;
    var log_total = log_accurate(total);
    if label_exp == 1.0 && others <= 1.0 {
        log_total = ln_1p_unit_interval(others);
    }
    var inverse = 1.0 / total;
    if total == 0.0 {
        log_total = 0.0;
        inverse = 0.0;
    }
    // For a logit of +inf the difference is inf - inf, so the whole row is NaN. Drivers return 0,
    // NaN or inf here.
    if bitcast<u32>(max(sums.maximum, shifted)) == INFINITY_BITS {
        let nan = nan_of(row);
        return Outcome(nan, maximum, 0.0, nan, nan, is_open);
    }
    return Outcome(log_total - label_below, maximum, lead, inverse, others * inverse, is_open);
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let z = shifted_logits(cells);
    let p = select(vec4<f32>(), outcome.inverse * exp(SCALE * (z - outcome.maximum) - outcome.lead), z >= vec4<f32>(LOWEST));
    let own = select(0.0, -outcome.rest, outcome.is_open);
    return SCALE * select(p, vec4<f32>(own), cells.is_label);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
