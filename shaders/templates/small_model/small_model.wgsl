// Fused small-model kernel: trains a small network for many steps. Each workgroup trains one
// network, a member of a population, on all its batches. Nothing leaves the device between two
// steps, and no step waits for a launch.
//
//     for each batch:  y = network(features[rows]);  values = (loss, correct rows);
//                      gradient = dL/dw;  (w, state) = update(w, clip (gradient + dR/dw), state)
//
// Linked with templates/small_model/small_model_dense, once per layer with the layer's number in
// the names (`forward`, `backward`, `last_…` call them in order), with
// templates/small_model/small_model_pointwise or small_model_rowwise and a loss, with an optimizer,
// and lib/numbers, random and clip. From the header: WORKGROUP, LENGTH (parameters), OUTPUTS,
// STATES (of the optimizer), ALL_STATES (including that of an average), STATE_STRIDE, CLIPS_NORM,
// CLIPS_VALUE, SKIPS, AVERAGES, OPTIONS (number of per-member options, `load_options`), HAS_LABELS,
// COUNTS_CORRECT, CLASSES and so on.
//
// The scratch memory of a workgroup is in `work`: the gradient, the rows of the batch, then for
// each layer its outputs, the input of its activation, and the gradient of that input. All threads
// of a workgroup reach every barrier: branch conditions come from the uniform or from `table`,
// which is never written.

struct State {
    first: f32,
    second: f32,
    third: f32,
    fourth: f32,
}

struct Update {
    parameter: f32,
    state: State,
}

// As in templates/optimizer/optimizer_step.
struct Step {
    learning_rate: f32,
    correction_first: f32,
    correction_second: f32,
    is_first: f32,
    own: vec3<f32>,
    is_matrix: f32,
}

struct Params {
    member_steps: u32,      // number of workgroups with work
    steps: u32,             // batches per member step
    member_step_words: u32, // words of `table` per member step
    stride: u32,            // parameters from member to member
    work: u32,              // numbers of scratch per workgroup
    capacity: u32,          // maximum number of rows in a batch
    // This field and `columns` are referenced by the code of auxiliary outputs, which is not used
    // here.
    plane: u32,
    columns: u32,
}

// A member step in `table`: its member, the limit of the gradient's norm (0: none), and the
// options, followed by the batches.
const MEMBER_STEP: u32 = 2u;

// A batch in `table`.
const START: u32 = 0u;
const ROWS: u32 = 1u;
const ORDER_LENGTH: u32 = 2u; // 0: the order of the data set
const MODE: u32 = 3u;
const FACTOR: u32 = 4u;       // of the reduction
const ACCUMULATES: u32 = 5u;
const STEP: u32 = 8u;
const KEYS: u32 = 16u;
const BATCH: u32 = 24u;

const PREDICT: u32 = 0u;
const EVALUATE: u32 = 1u;
const GRADIENT: u32 = 2u; // forward, backward
const TRAIN: u32 = 3u;    // and an update

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> features: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<u32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
// The states of all members in order, STATE_STRIDE numbers each.
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> work: array<f32>;
@group(0) @binding(7) var<storage, read_write> values: array<f32>;

// Offsets of this workgroup's member, its states and its scratch.
var<private> own: u32;
var<private> own_states: u32;
var<private> scratch: u32;
var<private> local_index: u32;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

// Offset of an activation buffer of `capacity` rows that begins `width` numbers per row after the
// gradient.
fn plane_at(width: u32) -> u32 {
    return scratch + LENGTH + params.capacity * width;
}

// The data set row of a batch row. Stored as bits: only copied, never used in arithmetic.
fn place_of(row: u32) -> u32 {
    return bitcast<u32>(work[plane_at(0u) + row]);
}

fn sync() {
    // Separates a thread's writes from the reads of other threads.
    storageBarrier();
}

fn place_rows(batch: u32) {
    let rows = table[batch + ROWS];
    let length = table[batch + ORDER_LENGTH];
    let k = batch + KEYS;
    let first_keys = vec4<u32>(table[k], table[k + 1u], table[k + 2u], table[k + 3u]);
    let last_keys = vec4<u32>(table[k + 4u], table[k + 5u], table[k + 6u], table[k + 7u]);
    for (var row = local_index; row < rows; row += WORKGROUP) {
        var place = table[batch + START] + row;
        if length != 0u {
            place = permuted(place, length, first_keys, last_keys);
        }
        work[plane_at(0u) + row] = bitcast<f32>(place);
    }
}

// Loss, correct rows, and the gradient down to the last activation's input. Each thread processes
// whole rows.
fn score_rows(rows: u32, factor: f32) -> vec4<f32> {
    var sums_of_step = vec4<f32>();
    for (var row = local_index; row < rows; row += WORKGROUP) {
        sums_of_step.x += score(row, factor);
        if COUNTS_CORRECT {
            sums_of_step.y += correct(row);
        }
        last_through(row);
    }
    return sums_of_step;
}

// 1 if the row is predicted correctly, as in ops/metrics/correct.
fn correct(row: u32) -> f32 {
    let first = plane_at(LAST_OUTPUTS) + row * OUTPUTS;
    let place = place_of(row);
    var predicted = 0u;
    var truth = 0u;
    if OUTPUTS == 1u {
        predicted = u32(work[first] > THRESHOLD);
        truth = u32(bitcast<f32>(targets[place]) > TRUTH_THRESHOLD);
    }
    for (var k = 1u; k < OUTPUTS; k += 1u) {
        if work[first + k] > work[first + predicted] {
            predicted = k;
        }
        if !HAS_LABELS && bitcast<f32>(targets[place * OUTPUTS + k]) > bitcast<f32>(targets[place * OUTPUTS + truth]) {
            truth = k;
        }
    }
    var counts = true;
    if HAS_LABELS {
        truth = targets[place];
        counts = !is_ignored_label(bitcast<i32>(truth));
    }
    return select(0.0, 1.0, counts && predicted == truth);
}

// Adds the gradient of the penalties, and sums squares as in templates/optimizer/gradient_norm.
fn penalize() -> vec2<f32> {
    var squares = vec2<f32>();
    for (var i = local_index; i < LENGTH; i += WORKGROUP) {
        var gradient = work[scratch + i];
        if HAS_PENALTY {
            let parameter = parameters[own + i];
            let factors = penalty_at(i);
            gradient += factors.x * sign(parameter) + 2.0 * factors.y * parameter;
            work[scratch + i] = gradient;
        }
        let small = gradient * 7.8886090522e-31;
        squares += vec2(gradient * gradient, small * small);
    }
    return squares;
}

// The step options of a batch: eight numbers of the table.
fn step_of(batch: u32) -> Step {
    let at = batch + STEP;
    return Step(
        bitcast<f32>(table[at]),
        bitcast<f32>(table[at + 1u]),
        bitcast<f32>(table[at + 2u]),
        bitcast<f32>(table[at + 3u]),
        vec3(bitcast<f32>(table[at + 4u]), bitcast<f32>(table[at + 5u]), bitcast<f32>(table[at + 6u])),
        0.0,
    );
}

fn state_at(i: u32) -> State {
    var state = State(0.0, 0.0, 0.0, 0.0);
    if STATES > 0u {
        state.first = states[own_states + i];
    }
    if STATES > 1u {
        state.second = states[own_states + STATE_STRIDE + i];
    }
    if STATES > 2u {
        state.third = states[own_states + 2u * STATE_STRIDE + i];
    }
    if STATES > 3u {
        state.fourth = states[own_states + 3u * STATE_STRIDE + i];
    }
    return state;
}

fn keep(i: u32, state: State) {
    if STATES > 0u {
        states[own_states + i] = state.first;
    }
    if STATES > 1u {
        states[own_states + STATE_STRIDE + i] = state.second;
    }
    if STATES > 2u {
        states[own_states + 2u * STATE_STRIDE + i] = state.third;
    }
    if STATES > 3u {
        states[own_states + 3u * STATE_STRIDE + i] = state.fourth;
    }
}

fn optimize(batch: u32, clip: f32, limit: f32) {
    let step = step_of(batch);
    for (var i = local_index; i < LENGTH; i += WORKGROUP) {
        var gradient = clip * work[scratch + i];
        if CLIPS_VALUE && !is_nan(gradient) {
            gradient = clamp(gradient, -limit, limit);
        }
        let result = update(parameters[own + i], gradient, state_at(i), step);
        var moved = result.parameter;
        if HAS_PROXIMAL {
            let by = step.learning_rate * proximal_at(i);
            if by > 0.0 && !is_nan(moved) {
                moved = sign(moved) * max(abs(moved) - by, 0.0);
            }
        }
        parameters[own + i] = moved;
        keep(i, result.state);
        if AVERAGES {
            let at = own_states + STATES * STATE_STRIDE + i;
            states[at] += AVERAGE_WEIGHT * (moved - states[at]);
        }
    }
}

fn join_sums(sums_of_step: vec4<f32>) {
    sums[local_index] = sums_of_step;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            sums[local_index] += sums[local_index + half];
        }
    }
    // Separates the last sum from all reads of it.
    workgroupBarrier();
}

fn run(batch: u32, limit: f32, slot: u32) {
    let rows = table[batch + ROWS];
    let mode = table[batch + MODE];
    place_rows(batch);
    sync();
    forward(rows);
    if mode == PREDICT {
        return;
    }
    var sums_of_step = score_rows(rows, bitcast<f32>(table[batch + FACTOR]));
    sync();
    if mode >= GRADIENT {
        backward(rows, table[batch + ACCUMULATES] != 0u);
    }
    if mode == TRAIN && (HAS_PENALTY || CLIPS_NORM || SKIPS) {
        let squares = penalize();
        sums_of_step.z = squares.x;
        sums_of_step.w = squares.y;
    }
    join_sums(sums_of_step);
    let norm_factor = clip_factor(sums[0].zw, select(3.4028234e38, limit, CLIPS_NORM), CLIP_EPSILON);
    let skipped = SKIPS && mode == TRAIN && is_nan(norm_factor);
    if local_index == 0u {
        values[2u * slot] = sums[0].x;
        // Negative if the step was skipped.
        values[2u * slot + 1u] = select(sums[0].y, -1.0 - sums[0].y, skipped);
    }
    if mode == TRAIN && !skipped {
        optimize(batch, select(1.0, norm_factor, CLIPS_NORM), limit);
    }
}

@compute @workgroup_size(WORKGROUP)
fn whole(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let member_number = workgroup.y * count.x + workgroup.x;
    // The whole workgroup returns together, so that the barriers stay in uniform control flow.
    if member_number >= params.member_steps {
        return;
    }
    local_index = index;
    let header = member_number * params.member_step_words;
    own = table[header] * params.stride;
    own_states = table[header] * ALL_STATES * STATE_STRIDE;
    scratch = member_number * params.work;
    load_options(header + MEMBER_STEP);
    for (var step = 0u; step < params.steps; step += 1u) {
        let batch = header + MEMBER_STEP + OPTIONS + step * BATCH;
        run(batch, bitcast<f32>(table[header + 1u]), member_number * params.steps + step);
        // The next batch overwrites the sums and reads the parameters.
        workgroupBarrier();
        sync();
    }
}
