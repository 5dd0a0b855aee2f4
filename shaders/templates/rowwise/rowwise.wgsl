// Row-wise kernel template: losses of a row of logits and its label or its row of dense targets.
//
//     sums           = fold over the cells of the row, four at a time; joined over the row group
//                      PASSES times, each from restart(sums) of the previous pass
//     outcome        = finish(row, sums), its .loss the row's value
//     gradients[r,c] = upstream * factor * weight[r] * gradient(row, outcome, cells)
//     values         = sum over r of factor * weight[r] * outcome.loss
//
// Requires from shaders/losses/*.wgsl, through an adaptor (src/templates/adaptor.rs), `struct
// Sums`, `struct Outcome`, `empty_sums`, `fold`, `join`, `restart`, `finish`, `gradient` and
// `auxiliary`. The adaptor's `written_gradient` is the first derivative or the second. Linked with
// templates/rowwise/rows and one of rowwise_lane, rowwise_subgroups and rowwise_memory: the group
// of threads that processes a row, with `row_group_sum`, `row_group_max` and `row_group_barrier`
// over it. The header defines `VEC4S_PER_THREAD`, the number of groups of four cells of a row that
// one thread keeps in registers, `PASSES`, and `SINGLE_PASS`. With SINGLE_PASS the derivative of a
// cell does not need the outcome and is written during the fold, which shares the arithmetic (jsd
// of 1,000 classes on software Vulkan: 0.31 of the rate of a copy without it, 0.54 with it).

// Four cells of a row.
struct Cells {
    logits: vec4<f32>,
    truths: vec4<f32>,        // dense targets; 0 with labels
    class_weights: vec4<f32>,
    columns: vec4<u32>,
    is_label: vec4<bool>,
    kept: vec4<bool>,         // inside the row and not masked
    label: u32,               // NO_LABEL with dense targets
    label_logit: f32,
}

const INFINITY_BITS: u32 = 0x7f800000u;

// True if the cells stay in registers between the two passes over a row, VEC4S_PER_THREAD groups of
// four per thread.
override ROW_IN_REGISTERS: bool = false;
// A negative target masks its cell: the row is a list with padding.
override TARGETS_ARE_PADDED: bool = false;

fn cells_of(row: Row, columns: vec4<u32>, logits: vec4<f32>, truths: vec4<f32>) -> Cells {
    var cells = Cells(logits, truths, vec4<f32>(1.0), columns, vec4<bool>(), inside_of(columns), row.label, row.label_logit);
    if HAS_LABELS {
        cells.is_label = columns == vec4<u32>(row.label);
    }
    if HAS_CLASS_WEIGHT {
        cells.class_weights = class_weights_of(columns);
    }
    if CLASS_MASK != 0u {
        cells.kept &= class_mask_of(select(0u, row.first, CLASS_MASK == 2u), columns);
        // The target of a class that the mask takes out is left out.
        cells.truths = select(vec4<f32>(), truths, cells.kept);
    }
    if TARGETS_ARE_PADDED {
        // Tested by the bits: NaN is not padding.
        let bits = bitcast<vec4<u32>>(truths);
        cells.kept &= (bits <= vec4<u32>(0x80000000u)) | (bits > vec4<u32>(0xff800000u));
    }
    return cells;
}

// The bits of a number other than NaN are at most those of infinity.
fn magnitude_bits(x: vec4<f32>, kept: vec4<bool>) -> vec4<u32> {
    return select(vec4<u32>(), bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu), kept);
}

// A NaN that no compiler can fold away: the quiet bit is set on bits known only at run time.
fn nan_of(row: Row) -> f32 {
    return bitcast<f32>(0x7fc00000u | (row.first & 1u));
}

fn write_d_logits(row: Row, columns: vec4<u32>, cells: Cells, d_logits: vec4<f32>) {
    if TARGETS_ARE_PADDED {
        write_gradients(row, columns, select(vec4<f32>(), d_logits, cells.kept));
        return;
    }
    write_gradients(row, columns, d_logits);
}

// Writes the gradient of a row and returns its value. Every thread of the row group calls it.
fn take_row(index: u32, local_index: u32) -> f32 {
    let row = begin_row(index);
    let groups = select((row_length() + 4u * THREADS_PER_ROW - 1u) / (4u * THREADS_PER_ROW), VEC4S_PER_THREAD, ROW_IN_REGISTERS);
    var held_logits: array<vec4<f32>, VEC4S_PER_THREAD>;
    var held_truths: array<vec4<f32>, VEC4S_PER_THREAD>;
    let scale = row.upstream * row.weight;
    var no_outcome: Outcome;
    var sums = empty_sums();
    var max_bits = vec4<u32>();
    if row.state == KEPT {
        for (var group = 0u; group < groups; group += 1u) {
            let columns = columns_of(row, group, local_index);
            if reaches(columns) {
                let logits = logits_of(row, columns);
                let truths = truths_of(row, columns);
                if ROW_IN_REGISTERS {
                    held_logits[group] = logits;
                    held_truths[group] = truths;
                }
                let cells = cells_of(row, columns, logits, truths);
                max_bits = max(max_bits, max(magnitude_bits(logits, cells.kept), magnitude_bits(truths, cells.kept)));
                sums = fold(sums, cells);
                if SINGLE_PASS && !IN_PLACE {
                    write_d_logits(row, columns, cells, scale * written_gradient(row, no_outcome, cells));
                }
            }
        }
    }
    for (var pass_number = 1u; pass_number < PASSES; pass_number += 1u) {
        sums = restart(join(sums));
        for (var group = 0u; group < select(0u, groups, row.state == KEPT); group += 1u) {
            let columns = columns_of(row, group, local_index);
            if reaches(columns) {
                var logits: vec4<f32>;
                var truths: vec4<f32>;
                if ROW_IN_REGISTERS {
                    logits = held_logits[group];
                    truths = held_truths[group];
                } else {
                    logits = logits_of(row, columns);
                    truths = truths_of(row, columns);
                }
                sums = fold(sums, cells_of(row, columns, logits, truths));
            }
        }
    }
    let has_nan = any(max_bits > vec4<u32>(INFINITY_BITS));
    let is_invalid = row_group_max(select(0.0, 1.0, has_nan)) != 0.0 || row.state == BAD_LABEL;
    let outcome = finish(row, join(sums));
    row_group_barrier();
    let is_plain = row.state == KEPT && !is_invalid;
    let otherwise = vec4<f32>(select(0.0, nan_of(row), is_invalid));
    let is_written = SINGLE_PASS && !IN_PLACE && is_plain;
    for (var group = 0u; group < select(groups, 0u, is_written); group += 1u) {
        let columns = columns_of(row, group, local_index);
        if reaches(columns) {
            var logits: vec4<f32>;
            var truths: vec4<f32>;
            if ROW_IN_REGISTERS {
                logits = held_logits[group];
                truths = held_truths[group];
            } else {
                logits = logits_of(row, columns);
                truths = truths_of(row, columns);
            }
            let cells = cells_of(row, columns, logits, truths);
            write_d_logits(row, columns, cells, select(otherwise, scale * written_gradient(row, outcome, cells), is_plain));
        }
    }
    let value = select(otherwise.x, row.weight * outcome.loss, is_plain);
    if (REDUCTION_NONE || AUXILIARY) && local_index == 0u {
        let place = params.first_row + index;
        values[place] = value;
        if AUXILIARY {
            auxiliary(place, row, outcome);
        }
    }
    return value;
}

// Processes the rows of a workgroup in sequence. All threads process one row together.
fn take_rows(block: u32, local_index: u32) {
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    // A plain sum: the registers of a running sum in groups of four caused rows kept in registers
    // to spill.
    var sum = 0.0;
    for (var index = begin; index < end; index += 1u) {
        sum += take_row(index, local_index);
    }
    if !REDUCTION_NONE && !AUXILIARY && local_index == 0u && begin < end {
        values[params.first_partial + block] = sum;
    }
}
