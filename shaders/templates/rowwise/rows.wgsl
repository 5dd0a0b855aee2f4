// Shared declarations of the row-wise kernels: bindings, constants, and the state of a row before
// its cells are read. Linked with one of templates/rowwise/cells_* (memory layout of a row's
// cells), which requires `THREADS_PER_ROW`, the number of threads per row.

struct Params {
    rows: u32,          // in this chunk of the tensor
    columns: u32,
    plane: u32,         // stride between the outputs in values: the rows of the whole tensor
    first_row: u32,     // of this chunk, in the whole tensor
    block: u32,         // rows per workgroup
    first_partial: u32, // offset of this chunk's partial sums
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
    ignored_count: u32,
    ignored: array<vec4<i32>, 4>,
}

// State of a row before its cells are read.
struct Row {
    first: u32,       // index of its first cell
    label: u32,       // NO_LABEL with dense targets, and for an excluded row
    label_logit: f32,
    weight: f32,      // reduction factor times row weight
    upstream: f32,
    state: u32,       // KEPT, LEFT_OUT or BAD_LABEL
}

const NO_LABEL: u32 = 0xffffffffu;
const KEPT: u32 = 0u;
const BAD_LABEL: u32 = 1u;
const LEFT_OUT: u32 = 2u;

override WORKGROUP: u32 = 64u;
// Row length as a compile-time constant, so that short rows are unrolled; 0 if it is a parameter.
override COLUMNS: u32 = 0u;
override HAS_LABELS: bool = true;
override HAS_WEIGHT: bool = false;
override HAS_CLASS_WEIGHT: bool = false;
// The weights of positives are stored after the class weights.
override HAS_POS_WEIGHT: bool = false;
// Class mask: 0 none, 1 shared by all rows, 2 per row.
override CLASS_MASK: u32 = 0u;
// Reduction `none`: every value is written, and each has its own upstream gradient.
override REDUCTION_NONE: bool = false;
// The divisor of the mean is upstreams[2]. It was computed on the device from the labels.
override DIVISOR_ON_DEVICE: bool = false;
override AUXILIARY: bool = false;
// The gradient overwrites the logits.
override IN_PLACE: bool = false;
// Number of classes without a column. A loss over thresholds has one column fewer than classes.
override EXTRA_CLASSES: u32 = 0u;

// Bindings 1 to 4 and 7, the arrays of cells, are declared in templates/rowwise/cells_*.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> weights: array<u32>;
@group(0) @binding(6) var<storage, read> upstreams: array<f32>;
// Partial sums. With REDUCTION_NONE or AUXILIARY, one number per row and output: the value, then
// the auxiliary outputs.
@group(0) @binding(8) var<storage, read_write> values: array<f32>;

fn row_length() -> u32 {
    if COLUMNS != 0u {
        return COLUMNS;
    }
    return params.columns;
}

fn is_ignored(label: i32) -> bool {
    for (var i = 0u; i < params.ignored_count; i += 1u) {
        if params.ignored[i / 4u][i % 4u] == label {
            return true;
        }
    }
    return false;
}

fn begin_row(index: u32) -> Row {
    var row = Row(index * row_length(), NO_LABEL, 0.0, params.factor, params.upstream, KEPT);
    if HAS_WEIGHT {
        let bits = weights[index];
        row.state = select(KEPT, LEFT_OUT, bits == MASKED);
        row.weight *= bitcast<f32>(bits);
    }
    if HAS_LABELS && row.state == KEPT {
        let label = label_of(index);
        if is_ignored(label) {
            row.state = LEFT_OUT;
        } else if label < 0 || u32(label) >= row_length() + EXTRA_CLASSES {
            row.state = BAD_LABEL;
        } else {
            row.label = u32(label);
            row.label_logit = logit_at(row.first + min(row.label, row_length() - 1u));
        }
    }
    if DIVISOR_ON_DEVICE {
        let divisor = upstreams[2];
        row.weight = select(row.weight / divisor, 0.0, divisor == 0.0);
    }
    if REDUCTION_NONE {
        row.upstream *= upstreams[index];
    }
    return row;
}

// True if the class mask includes a class of a row.
fn keeps(row: Row, column: u32) -> bool {
    return CLASS_MASK == 0u || class_mask_at(select(0u, row.first, CLASS_MASK == 2u) + column) != 0u;
}

fn class_weight(column: u32) -> f32 {
    if HAS_CLASS_WEIGHT {
        return class_weight_at(column);
    }
    return 1.0;
}

