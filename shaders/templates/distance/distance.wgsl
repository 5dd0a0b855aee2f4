// Distance kernel template: losses of a row of two or three vectors and an optional target.
// Computes value and derivatives.
//
//     sums           = fold over the columns, four at a time; joined over the row group
//     outcome        = finish(peaks, sums, truth), its .value the row's value
//     gradients[r,c] = upstream * factor * weight[r] * gradients(outcome, peaks, cells),
//                      one per vector
//     values         = sum over r of factor * weight[r] * outcome.value
//
// Requires from shaders/losses/*.wgsl, through an adaptor, `is_scaled`, `leaves_range`, `peaks`,
// `fold`, `finish` and `gradients`. If is_scaled() is true, a separate pass first finds the maximum
// of each of its three peaks. Otherwise the peaks are scales: 1, or, if the sums leave the range of
// f32, powers of two that bring the peaks near 1. The sums are then recomputed with these scales.
// Linked with lib/scale and one of templates/distance/vectors_* (memory layout of the columns) and
// one of rowwise_lane, rowwise_subgroups and rowwise_memory: the group of threads that processes a
// row. The header defines `VEC4S_PER_THREAD`.

// Four columns of each vector; the third is 0 if there are only two.
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
    rows: u32,          // in this chunk of the tensor
    columns: u32,
    first_row: u32,     // of this chunk, in the whole tensor
    block: u32,         // rows per workgroup
    first_partial: u32, // offset of this chunk's partial sums
    factor: f32,        // of the reduction
    upstream: f32,      // dL/d(value)
}

const INFINITY_BITS: u32 = 0x7f800000u;
// Constants of the row-wise kernel template that the row groups need.
const AUXILIARY: bool = false;
const IN_PLACE: bool = false;

override WORKGROUP: u32 = 64u;
// Row length as a compile-time constant, so that short rows are unrolled; 0 if it is a parameter.
override COLUMNS: u32 = 0u;
// True if the columns stay in registers between the passes over a row, VEC4S_PER_THREAD groups of
// four per thread.
override ROW_IN_REGISTERS: bool = false;
override HAS_WEIGHT: bool = false;
// True if the third input is a vector.
override HAS_THIRD: bool = false;
// True if the third input is one number per row.
override HAS_TRUTH: bool = false;
// Number of vectors with a gradient.
override GRADIENTS: u32 = 2u;
// Reduction `none`: each value overwrites its upstream gradient.
override REDUCTION_NONE: bool = false;

// Bindings 1 to 3 and 5 to 7, the vectors and their gradients, are declared in
// templates/distance/vectors_*.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(4) var<storage, read> weights: array<u32>;
// Partial sums. With REDUCTION_NONE one number per row: first its upstream gradient, then its
// value.
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

// The bits of a finite number are below those of infinity.
fn magnitude_bits(x: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
}

// A constant hidden from the driver: Mesa rewrites (a + 1e-6) - b as (a - b) + 1e-6 if the result
// is used once, and for two equal numbers only one digit remains.
fn unknown(x: f32) -> f32 {
    return select(0.0, x, params.rows > 0u);
}

fn most(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn row_group_total(x: vec4<f32>) -> f32 {
    return row_group_sum(sum4(x));
}

// Writes the gradients of a row and returns its value. Every thread of the row group calls it.
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
        // Only the thread that writes this location reads it.
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
    // Peaks if is_scaled(), otherwise scales.
    var largest = vec3<f32>(1.0);
    var joined = vec3<f32>();
    var max_bits = vec4<u32>();
    var wants_peaks = is_scaled();
    // At most two passes: the second recomputes the sums with scales if they left the range.
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
    // An infinite component has no direction and no distance to another one: NaN too.
    let has_invalid = any(max_bits >= vec4<u32>(INFINITY_BITS)) || is_nan(truth);
    let is_invalid = row_group_max(select(0.0, 1.0, has_invalid)) != 0.0;
    let outcome = finish(largest, joined, truth);
    // NaN in, NaN out: the comparisons of the loss function would hide it. The bits depend on a
    // value known only at run time.
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

// Processes the rows of a workgroup in sequence. All threads process one row together.
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
