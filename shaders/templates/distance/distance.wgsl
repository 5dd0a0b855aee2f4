// The kernel template over vectors: a loss of a row of two or three vectors and perhaps a truth, value and derivatives.
//
//     sums           = fold over the columns, four at a time; joined over the threads of the row's row group
//     outcome        = finish(peaks, sums, truth), its .value the row's value
//     gradients[r,c] = upstream * factor * weight[r] * gradients(outcome, peaks, cells), one for each vector
//     values         = sum over r of factor * weight[r] * outcome.value
//
// Takes from shaders/losses/*.wgsl, by an adaptor, `is_scaled`, `leaves_range`, `peaks`, `fold`, `finish` and `gradients`; one that is scaled has the
// largest of each of its three peaks found first, in a pass of its own. Any other is handed scales in their place: 1, and where its sums
// leave the range of f32 powers of two that bring the peaks near 1, with which the sums are taken anew.
// Linked with lib/scale and one of templates/distance/vectors_* (how the columns lie in memory) and one of rowwise_lane,
// rowwise_subgroups and rowwise_memory: the group of threads that takes a row. A header names `VEC4S_PER_THREAD`.

// Four columns of each vector; the third is 0 where there are but two.
struct Cells {
    first: vec4<f32>,
    second: vec4<f32>,
    third: vec4<f32>,
}

struct Sums {
    first: vec4<f32>,
    second: vec4<f32>,
    third: vec4<f32>,
}

struct Outcome {
    value: f32,
    factors: vec4<f32>,
}

struct Params {
    rows: u32,          // in this part of the tensor
    columns: u32,
    first_row: u32,     // of this part, in the whole tensor
    block: u32,         // rows that one workgroup takes
    first_partial: u32, // where this part's partial sums begin
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
}

const INFINITY_BITS: u32 = 0x7f800000u;
// What the row groups know of the row-wise kernel template and this one has not.
const AUXILIARY: bool = false;
const IN_PLACE: bool = false;

override WORKGROUP: u32 = 64u;
// The length of the rows where it is fixed, so that short rows are unrolled; 0 where the parameters hold it.
override COLUMNS: u32 = 0u;
// Whether the columns are kept between the passes over a row, VEC4S_PER_THREAD groups of four in each thread.
override ROW_IN_REGISTERS: bool = false;
override HAS_WEIGHT: bool = false;
// The third input is a vector.
override HAS_THIRD: bool = false;
// The third input is a number for each row.
override HAS_TRUTH: bool = false;
// How many of the vectors get a gradient.
override GRADIENTS: u32 = 2u;
// Reduction `none`: every value is written over the upstream that was there.
override REDUCTION_NONE: bool = false;

// Bindings 1 to 3 and 5 to 7, the vectors and their gradients, stand in templates/distance/vectors_*.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
// Partial sums; with REDUCTION_NONE one number for each row: its upstream at first, then its value.
@group(0) @binding(8) var<storage, read_write> values: array<f32>;

fn row_length() -> u32 {
    if COLUMNS != 0u {
        return COLUMNS;
    }
    return params.columns;
}

fn inside_of(columns: vec4<u32>) -> vec4<bool> {
    return columns < vec4<u32>(row_length());
}

// The bits of what is not NaN are at most those of infinity.
fn magnitude_bits(x: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
}

// A constant that the driver does not know for one: Mesa takes (a - b) + 1e-6 for (a + 1e-6) - b where it is used once, and of two
// equal numbers a digit is left.
fn unknown(x: f32) -> f32 {
    return select(0.0, x, params.rows > 0u);
}

fn most(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn row_group_total(x: vec4<f32>) -> f32 {
    return row_group_sum(sum4(x));
}

// Writes the gradients of a row and gives its value; every thread of the row group calls it.
fn take_row(index: u32, local_index: u32) -> f32 {
    let length = row_length();
    let groups = select((length + 4u * THREADS_PER_ROW - 1u) / (4u * THREADS_PER_ROW), VEC4S_PER_THREAD, ROW_IN_REGISTERS);
    var weight = params.factor;
    var counts = true;
    if HAS_WEIGHT {
        let bits = weights[index];
        counts = bits != MASKED;
        weight *= bitcast<f32>(bits);
    }
    var upstream = params.upstream;
    if REDUCTION_NONE {
        // Only the thread that writes here reads here.
        var own = 0.0;
        if local_index == 0u {
            own = values[params.first_row + index];
        }
        upstream *= row_group_sum(own);
    }
    var held: array<Cells, VEC4S_PER_THREAD>;
    if ROW_IN_REGISTERS {
        for (var group = 0u; group < groups; group += 1u) {
            let columns = columns_of(group, local_index);
            if columns.x < length {
                held[group] = cells_at(index, columns);
            }
        }
    }
    // Of one that is scaled the peaks, else scales.
    var largest = vec3<f32>(1.0);
    var joined = vec3<f32>();
    var max_bits = vec4<u32>();
    var wants_peaks = is_scaled();
    // At most twice: the second time with scales, where the sums left the range.
    for (var attempt = 0u; attempt < 2u; attempt += 1u) {
        if wants_peaks {
            var found = vec3<f32>();
            for (var group = 0u; group < groups; group += 1u) {
                let columns = columns_of(group, local_index);
                if columns.x < length {
                    var cells: Cells;
                    if ROW_IN_REGISTERS {
                        cells = held[group];
                    } else {
                        cells = cells_at(index, columns);
                    }
                    found = max(found, peaks(cells, inside_of(columns)));
                }
            }
            largest = vec3<f32>(row_group_max(found.x), row_group_max(found.y), row_group_max(found.z));
            if !is_scaled() {
                largest = vec3<f32>(scale_to_one(largest.x), scale_to_one(largest.y), scale_to_one(largest.z));
            }
        }
        var sums = Sums(vec4<f32>(), vec4<f32>(), vec4<f32>());
        for (var group = 0u; group < groups; group += 1u) {
            let columns = columns_of(group, local_index);
            if columns.x < length {
                var cells: Cells;
                if ROW_IN_REGISTERS {
                    cells = held[group];
                } else {
                    cells = cells_at(index, columns);
                }
                max_bits = max(max_bits, max(magnitude_bits(cells.first), magnitude_bits(cells.second)));
                max_bits = max(max_bits, magnitude_bits(cells.third));
                let kept = inside_of(columns);
                let more = fold(largest, cells);
                sums.first += select(vec4<f32>(), more.first, kept);
                sums.second += select(vec4<f32>(), more.second, kept);
                sums.third += select(vec4<f32>(), more.third, kept);
            }
        }
        joined = vec3<f32>(row_group_total(sums.first), row_group_total(sums.second), row_group_total(sums.third));
        wants_peaks = !is_scaled() && leaves_range(joined);
        if !wants_peaks {
            break;
        }
    }
    var truth = 0.0;
    if HAS_TRUTH {
        truth = truth_at(index);
    }
    let has_nan = any(max_bits > vec4<u32>(INFINITY_BITS)) || is_nan(truth);
    let is_invalid = row_group_max(select(0.0, 1.0, has_nan)) != 0.0;
    let outcome = finish(largest, joined, truth);
    // NaN in, NaN out: the comparisons of the loss function would hide it. Its bits are put together from some known at run time only.
    let nan_value = bitcast<f32>(0x7fc00000u | (index & 1u));
    let scale = upstream * weight;
    let otherwise = select(0.0, nan_value, is_invalid && counts);
    let is_plain = counts && !is_invalid;
    for (var group = 0u; group < groups; group += 1u) {
        let columns = columns_of(group, local_index);
        if columns.x < length {
            var cells: Cells;
            if ROW_IN_REGISTERS {
                cells = held[group];
            } else {
                cells = cells_at(index, columns);
            }
            let found = gradients(outcome, largest, cells);
            let none = vec4<f32>(otherwise);
            write_first(index, columns, select(none, scale * found.first, is_plain));
            if GRADIENTS > 1u {
                write_second(index, columns, select(none, scale * found.second, is_plain));
            }
            if GRADIENTS > 2u {
                write_third(index, columns, select(none, scale * found.third, is_plain));
            }
        }
    }
    let value = select(otherwise, weight * outcome.value, is_plain);
    if REDUCTION_NONE && local_index == 0u {
        values[params.first_row + index] = value;
    }
    return value;
}

// The rows of a workgroup one after the other, all its threads at each.
fn take_rows(block: u32, local_index: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    var sum = RunningSum();
    for (var index = begin; index < end; index += 1u) {
        add_to(&sum, take_row(index, local_index));
    }
    if !REDUCTION_NONE && local_index == 0u && begin < end {
        values[params.first_partial + block] = total_of(sum);
    }
}
