// Shared by the kernel templates over similarities, templates/similarity/similarity and
// templates/similarity/triplets: chunks of rows of a matrix of scores, the weight of a row, and the
// loop of a workgroup. Calls their `take_row`.

struct Params {
    rows: u32,      // in this chunk
    columns: u32,   // number of candidates
    first_row: u32, // of this chunk
    block: u32,     // rows per workgroup
    factor: f32,    // of the reduction
    upstream: f32,  // dL/d(value)
    first_label: u32, // of the columns; those of the rows come first
}

override WORKGROUP: u32 = 64u;
override COLUMNS: u32 = 0u;
override ROW_IN_REGISTERS: bool = false;
override HAS_LABELS: bool = false;
// The column of a row's index is its own. Rows that are compared with references alone have none.
override HAS_OWN: bool = true;
override HAS_WEIGHT: bool = false;
override REDUCTION_NONE: bool = false;
// Adds to the existing values: the second direction of a symmetric loss.
override ADDS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(4) var<storage, read> upstreams: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;

// True if a column is another candidate with the row's label.
fn is_positive(row: u32, column: u32) -> bool {
    return !is_own(row, column) && labels[row] == labels[params.first_label + column];
}

fn is_own(row: u32, column: u32) -> bool {
    return HAS_OWN && row == column;
}

struct Weight {
    factor: f32,
    counts: bool,
}

fn weight_of(row: u32) -> Weight {
    if !HAS_WEIGHT {
        return Weight(params.factor, true);
    }
    let bits = weights[row];
    return Weight(params.factor * bitcast<f32>(bits), bits != MASKED);
}

// Upstream factor of a row's derivatives.
fn scale_of(row: u32, weight: Weight) -> f32 {
    let scale = weight.factor * params.upstream;
    if REDUCTION_NONE {
        return scale * upstreams[row];
    }
    return scale;
}

// NaN in, NaN out, and so for a score that is infinite, of which no share can be taken: the bits depend on a value known only at run time.
fn nan_of(row: u32) -> f32 {
    return bitcast<f32>(0x7fc00000u | (row & 1u));
}

// Processes the rows of a workgroup in sequence. All threads process one row together.
fn take_rows(block: u32, local_index: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    for (var index = begin; index < end; index += 1u) {
        take_row(index, local_index);
    }
}
