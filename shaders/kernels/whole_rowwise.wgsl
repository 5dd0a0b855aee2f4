// The loss of a row in kernels/whole by a row-wise filling: as kernels/rowwise and rowwise_lane, without weights and masks.

struct Row {
    first: u32,      // index of its first cell in `work`
    label: u32,      // NO_LABEL with dense targets
    weight: f32,
    upstream: f32,
    state: u32,      // KEPT, LEFT_OUT or BAD_LABEL
    mask_first: u32, // nobody's
}

struct Cell {
    logit: f32,
    truth: f32,
    class_weight: f32,
    column: u32,
    is_label: bool,
    kept: bool,
}

const NO_LABEL: u32 = 0xffffffffu;
const KEPT: u32 = 0u;
const BAD_LABEL: u32 = 1u;
const LEFT_OUT: u32 = 2u;
const HAS_WEIGHT: bool = false;
const HAS_CLASS_WEIGHT: bool = false;
const CLASS_MASK: u32 = 0u;
const EACH: bool = false;
const AUXILIARY: bool = false;

// Where the dense targets of the row begin that a lane is at.
var<private> row_targets: u32;

fn read_cell(row: Row, column: u32) -> Cell {
    var cell = Cell(work[row.first + column], 0.0, 1.0, column, column == row.label, true);
    if HAS_LABELS {
        cell.truth = select(0.0, 1.0, cell.is_label);
    } else {
        cell.truth = bitcast<f32>(targets[row_targets + column]);
    }
    return cell;
}

// A NaN that a compiler cannot fold away: the quiet bit is set on bits known at run time only.
fn nan_of(row: Row) -> f32 {
    return bitcast<f32>(0x7fc00000u | (row.first & 1u));
}

fn score(index: u32, factor: f32) -> f32 {
    let g = plane_at(LAST_SLOPES) + index * OUTPUTS;
    var row = Row(plane_at(LAST_OUTPUTS) + index * OUTPUTS, NO_LABEL, factor, 1.0, KEPT, 0u);
    let place = place_of(index);
    row_targets = place * OUTPUTS;
    if HAS_LABELS {
        let label = bitcast<i32>(targets[place]);
        row.label = u32(label);
        if is_ignored_label(label) {
            row.state = LEFT_OUT;
        } else if label < 0 || u32(label) >= OUTPUTS {
            row.state = BAD_LABEL;
        }
    }
    var cells = empty_sums();
    var broken = false;
    if row.state == KEPT {
        for (var column = 0u; column < OUTPUTS; column += 1u) {
            let cell = read_cell(row, column);
            broken = broken || is_nan(cell.logit) || is_nan(cell.truth);
            cells = fold(cells, cell);
        }
    }
    let outcome = finish(row, cells);
    let spoiled = broken || row.state == BAD_LABEL;
    for (var column = 0u; column < OUTPUTS; column += 1u) {
        var slope = 0.0;
        if row.state == KEPT {
            slope = factor * derivative(row, outcome, read_cell(row, column));
        }
        work[g + column] = select(slope, nan_of(row), spoiled);
    }
    if row.state == LEFT_OUT {
        return 0.0;
    }
    return select(factor * outcome.loss, nan_of(row), spoiled);
}
