// The row-wise frame: a loss of one row of logits against its label or its row of dense targets.
//
//     sums           = fold over the cells of the row
//     outcome        = finish(row, sums), its .loss the row's value
//     gradients[r,c] = factor * upstream * weight[r] * derivative(row, outcome, cell)
//     results[r]     = factor * weight[r] * outcome.loss
//
// Filled by shaders/losses/*.wgsl with `struct Sums`, `struct Outcome`, `empty_sums`, `fold`, `merge`, `finish`,
// `derivative` and `auxiliary`. Linked with helpers/numbers and one of rowwise_lane (a lane takes a row) and
// rowwise_group (a workgroup takes a row).

struct Params {
    rows: u32,          // in this part of the tensor
    columns: u32,
    plane: u32,         // distance between the planes of results: the rows of the whole tensor
    first_row: u32,     // of this part, in the whole tensor
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
    ignored_count: u32,
    reserved: u32,
    ignored: array<vec4<i32>, 4>,
}

// What is known of a row before its cells are read.
struct Row {
    first: u32,      // index of its first cell
    label: u32,      // NO_LABEL with dense targets
    weight: f32,     // factor and weight
    upstream: f32,
    state: u32,      // KEPT, LEFT_OUT or BAD_LABEL
    mask_first: u32, // index of its first cell in the class mask
}

// What is known of one cell.
struct Cell {
    logit: f32,
    truth: f32,        // the dense target; 1 at the label, else 0
    class_weight: f32,
    column: u32,
    is_label: bool,
    kept: bool,        // by the class mask
}

const NO_LABEL: u32 = 0xffffffffu;
const KEPT: u32 = 0u;
const BAD_LABEL: u32 = 1u;
const LEFT_OUT: u32 = 2u;

override WORKGROUP: u32 = 64u;
override HAS_LABELS: bool = true;
override HAS_WEIGHT: bool = false;
override HAS_CLASS_WEIGHT: bool = false;
// Class mask: 0 none, 1 one for all rows, 2 one for each row.
override CLASS_MASK: u32 = 0u;
override EACH: bool = false;
// The divisor of the mean was summed on the device, since the labels live there: it is upstreams[2].
override DIVISOR_ON_DEVICE: bool = false;
override AUXILIARY: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> class_weights: array<f32>;
@group(0) @binding(4) var<storage, read> class_mask: array<u32>;
@group(0) @binding(5) var<storage, read> weights: array<u32>;
@group(0) @binding(6) var<storage, read> upstreams: array<f32>;
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>;
// Planes of one number for each row: value, status, then the auxiliary ones.
@group(0) @binding(8) var<storage, read_write> results: array<f32>;

fn is_ignored(label: i32) -> bool {
    for (var i = 0u; i < params.ignored_count; i += 1u) {
        if params.ignored[i / 4u][i % 4u] == label {
            return true;
        }
    }
    return false;
}

fn begin_row(index: u32) -> Row {
    var row = Row(index * params.columns, NO_LABEL, params.factor, params.upstream, KEPT, 0u);
    if CLASS_MASK == 2u {
        row.mask_first = row.first;
    }
    if HAS_WEIGHT {
        let bits = weights[index];
        row.state = select(KEPT, LEFT_OUT, bits == MASKED);
        row.weight *= bitcast<f32>(bits);
    }
    if HAS_LABELS && row.state == KEPT {
        let label = bitcast<i32>(targets[index]);
        row.label = u32(label);
        if is_ignored(label) {
            row.state = LEFT_OUT;
        } else if label < 0 || u32(label) >= params.columns {
            row.state = BAD_LABEL;
        }
    }
    if DIVISOR_ON_DEVICE {
        let divisor = upstreams[2];
        row.weight = select(row.weight / divisor, 0.0, divisor == 0.0);
    }
    if EACH {
        row.upstream *= upstreams[index];
    }
    return row;
}

fn read_cell(row: Row, column: u32) -> Cell {
    let index = row.first + column;
    var cell = Cell(logits[index], 0.0, 1.0, column, column == row.label, true);
    if HAS_LABELS {
        cell.truth = select(0.0, 1.0, cell.is_label);
    } else {
        cell.truth = bitcast<f32>(targets[index]);
    }
    if HAS_CLASS_WEIGHT {
        cell.class_weight = class_weights[column];
    }
    if CLASS_MASK != 0u {
        cell.kept = class_mask[row.mask_first + column] != 0u;
    }
    return cell;
}

fn is_broken(cell: Cell) -> bool {
    return cell.kept && (is_nan(cell.logit) || is_nan(cell.truth));
}

// A NaN that a compiler cannot fold away: the quiet bit is set on bits known at run time only.
fn nan_of(row: Row) -> f32 {
    return bitcast<f32>(0x7fc00000u | (row.first & 1u));
}

fn write_row(index: u32, row: Row, outcome: Outcome, broken: bool) {
    var value = row.weight * outcome.loss;
    if row.state == BAD_LABEL || broken {
        value = nan_of(row);
    }
    if row.state == LEFT_OUT {
        value = 0.0;
    }
    let place = params.first_row + index;
    results[place] = value;
    results[params.plane + place] = select(0.0, 1.0, row.state == BAD_LABEL);
    if AUXILIARY {
        auxiliary(place, row, outcome);
    }
}

fn gradient_of(row: Row, outcome: Outcome, cell: Cell, broken: bool) -> f32 {
    let gradient = row.upstream * row.weight * derivative(row, outcome, cell);
    return select(gradient, nan_of(row), broken);
}
