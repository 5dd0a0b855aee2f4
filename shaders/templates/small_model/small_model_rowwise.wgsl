// Loss of a row in templates/small_model/small_model for row-wise loss functions. As
// templates/rowwise/rows, rowwise and rowwise_lane, without weights and masks.

struct Row {
    first: u32,       // index of its first cell in `work`
    label: u32,       // NO_LABEL with dense targets, and for an excluded row
    label_logit: f32,
    weight: f32,
    upstream: f32,
    state: u32,       // KEPT, LEFT_OUT or BAD_LABEL
}

struct Cells {
    logits: vec4<f32>,
    truths: vec4<f32>,
    class_weights: vec4<f32>,
    columns: vec4<u32>,
    is_label: vec4<bool>,
    kept: vec4<bool>, // inside the row
    label: u32,
    label_logit: f32,
}

const NO_LABEL: u32 = 0xffffffffu;
const KEPT: u32 = 0u;
const BAD_LABEL: u32 = 1u;
const LEFT_OUT: u32 = 2u;
const INFINITY_BITS: u32 = 0x7f800000u;
const HAS_WEIGHT: bool = false;
const HAS_CLASS_WEIGHT: bool = false;
const HAS_POS_WEIGHT: bool = false;
const CLASS_MASK: u32 = 0u;
const REDUCTION_NONE: bool = false;
const AUXILIARY: bool = false;

fn row_group_sum(x: f32) -> f32 {
    return x;
}

fn row_group_max(x: f32) -> f32 {
    return x;
}

fn row_length() -> u32 {
    return OUTPUTS;
}

fn keeps(row: Row, column: u32) -> bool {
    return true;
}

fn class_weight(column: u32) -> f32 {
    return 1.0;
}

fn pos_weights_of(columns: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(1.0);
}

// Four cells starting at a column. Cells outside the row are 0 and masked.
fn cells_of(row: Row, first_target: u32, column: u32) -> Cells {
    let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
    let kept = columns < vec4<u32>(OUTPUTS);
    var cells = Cells(vec4<f32>(), vec4<f32>(), vec4<f32>(1.0), columns, vec4<bool>(), kept, row.label, row.label_logit);
    for (var k = 0u; k < 4u; k += 1u) {
        if column + k < OUTPUTS {
            cells.logits[k] = work[row.first + column + k];
            if !HAS_LABELS {
                cells.truths[k] = bitcast<f32>(targets[first_target + column + k]);
            }
        }
    }
    if HAS_LABELS {
        cells.is_label = columns == vec4<u32>(row.label);
    }
    return cells;
}

fn has_nan(x: vec4<f32>) -> bool {
    return any((bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(INFINITY_BITS));
}

// A NaN that no compiler can fold away: the quiet bit is set on bits known only at run time.
fn nan_of(row: Row) -> f32 {
    return bitcast<f32>(0x7fc00000u | (row.first & 1u));
}

fn score(index: u32, factor: f32) -> f32 {
    let g = plane_at(LAST_GRADIENTS) + index * OUTPUTS;
    var row = Row(plane_at(LAST_OUTPUTS) + index * OUTPUTS, NO_LABEL, 0.0, factor, 1.0, KEPT);
    let place = place_of(index);
    let first_target = place * OUTPUTS;
    if HAS_LABELS {
        let label = bitcast<i32>(targets[place]);
        if is_ignored_label(label) {
            row.state = LEFT_OUT;
        } else if label < 0 || u32(label) >= OUTPUTS + EXTRA_CLASSES {
            row.state = BAD_LABEL;
        } else {
            row.label = u32(label);
            row.label_logit = work[row.first + min(row.label, OUTPUTS - 1u)];
        }
    }
    var sums = empty_sums();
    var is_invalid = row.state == BAD_LABEL;
    if row.state == KEPT {
        for (var column = 0u; column < OUTPUTS; column += 4u) {
            let cells = cells_of(row, first_target, column);
            is_invalid = is_invalid || has_nan(cells.logits) || has_nan(cells.truths);
            sums = fold(sums, cells);
        }
    }
    for (var pass_number = 1u; pass_number < PASSES; pass_number += 1u) {
        sums = restart(join(sums));
        for (var column = 0u; column < select(0u, OUTPUTS, row.state == KEPT); column += 4u) {
            sums = fold(sums, cells_of(row, first_target, column));
        }
    }
    let outcome = finish(row, join(sums));
    let is_plain = row.state == KEPT && !is_invalid;
    let otherwise = select(0.0, nan_of(row), is_invalid);
    for (var column = 0u; column < OUTPUTS; column += 4u) {
        let d_logits = gradient(row, outcome, cells_of(row, first_target, column));
        for (var k = 0u; k < 4u; k += 1u) {
            if column + k < OUTPUTS {
                work[g + column + k] = select(otherwise, factor * d_logits[k], is_plain);
            }
        }
    }
    return select(otherwise, factor * outcome.loss, is_plain);
}
