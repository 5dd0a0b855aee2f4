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
// `auxiliary`. The adaptor's `written_gradient` is the first derivative or the second. A softmax may
// also define `fold_peak`, `join_peaks`, `fold_below`, `scaled_outcome` and
// `gradient_of_exponentials`: with PEAKS_FIRST the maximum of a row in registers is found before
// anything is summed, and the exponentials take the place of the logits there, so that each is
// computed once. Linked with
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
        cells.is_label = is_label_of(row, columns);
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

// The largest bits of some numbers as integers: signed ones, which those of a NaN without a sign
// exceed, and unsigned ones, which those of a NaN with a sign exceed. Two instructions each for four
// numbers.
struct LargestBits {
    signed: i32,
    unsigned: u32,
}

fn with_bits_of(largest: LargestBits, x: vec4<f32>, kept: vec4<bool>) -> LargestBits {
    let i = bitcast<vec4<i32>>(select(vec4<f32>(), x, kept));
    let u = bitcast<vec4<u32>>(i);
    return LargestBits(
        max(largest.signed, max(max(i.x, i.y), max(i.z, i.w))),
        max(largest.unsigned, max(max(u.x, u.y), max(u.z, u.w))),
    );
}

fn has_nan_of(largest: LargestBits) -> bool {
    return largest.signed > 0x7f800000 || largest.unsigned > 0xff800000u;
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
    var largest_bits = LargestBits();
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
                largest_bits = with_bits_of(largest_bits, logits, cells.kept);
                if !HAS_LABELS {
                    largest_bits = with_bits_of(largest_bits, truths, cells.kept);
                }
                if PEAKS_FIRST {
                    sums = fold_peak(sums, cells);
                } else {
                    sums = fold(sums, cells);
                }
                if SINGLE_PASS && !IN_PLACE {
                    write_d_logits(row, columns, cells, scale * written_gradient(row, no_outcome, cells));
                }
            }
        }
    }
    if PEAKS_FIRST {
        sums = join_peaks(sums);
        if row.state == KEPT {
            for (var group = 0u; group < groups; group += 1u) {
                let columns = columns_of(row, group, local_index);
                if reaches(columns) {
                    let below = fold_below(sums, cells_of(row, columns, held_logits[group], held_truths[group]));
                    sums = below.sums;
                    held_logits[group] = below.exponentials;
                }
            }
        }
    }
    // Without the test a driver may keep the loop that never runs.
    if PASSES > 1u {
        for (var pass_number = 1u; pass_number < PASSES; pass_number += 1u) {
            sums = restart(join(sums));
            if row.state == KEPT {
                for (var group = 0u; group < groups; group += 1u) {
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
        }
    }
    let is_invalid = row_group_max(select(0.0, 1.0, has_nan_of(largest_bits))) != 0.0 || row.state == BAD_LABEL;
    let outcome = finish(row, join(sums));
    row_group_barrier();
    let is_plain = row.state == KEPT && !is_invalid;
    let otherwise = vec4<f32>(select(0.0, nan_of(row), is_invalid));
    var is_written = SINGLE_PASS && !IN_PLACE && is_plain;
    // Where the loss is infinite the label's own logit may be, and then its derivative is 0.
    let is_finite = (bitcast<u32>(outcome.loss) & 0x7fffffffu) < INFINITY_BITS;
    if PEAKS_FIRST && is_plain && is_finite {
        is_written = true;
        let scaled = scaled_outcome(outcome, scale);
        for (var group = 0u; group < groups; group += 1u) {
            let columns = columns_of(row, group, local_index);
            if reaches(columns) {
                let cells = cells_of(row, columns, held_logits[group], held_truths[group]);
                write_d_logits(row, columns, cells, gradient_of_exponentials(scaled, cells));
            }
        }
    }
    for (var group = 0u; group < select(groups, 0u, is_written); group += 1u) {
        let columns = columns_of(row, group, local_index);
        if reaches(columns) {
            var logits: vec4<f32>;
            var truths: vec4<f32>;
            if ROW_IN_REGISTERS && !PEAKS_FIRST {
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
