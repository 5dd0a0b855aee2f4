// A dense layer of templates/small_model/whole: forward, the gradient of its weights, the gradient of what it was given. Linked once for
// each layer under a name of its own, with the filling of its activation and these, made by the host:
//
//     INPUTS, UNITS, HAS_BIAS, KEEP_INPUT; WEIGHTS, BIASES (in the parameters); FROM, INTO, KEPT, SLOPE, BELOW (planes of
//     the scratch: input, output, what the activation was given, its gradient, that of the layer below)
//     source(row, k): the layer's input;  below(x, y): the derivative of the activation below
//
// A lane owns four neighbouring columns, of one row or, on software adapters, of four (TALL), where each load costs far more
// than the arithmetic. What lies behind the last column is read and not written; every buffer has room for it.

// The planes hold `width` numbers for each row.
fn cell(plane: u32, row: u32, width: u32, column: u32) -> u32 {
    return plane_at(plane) + row * width + column;
}

fn weights_at(k: u32, unit: u32) -> vec4<f32> {
    let at = own + WEIGHTS + k * UNITS + unit;
    return vec4<f32>(parameters[at], parameters[at + 1u], parameters[at + 2u], parameters[at + 3u]);
}

fn write_outputs(row: u32, unit: u32, x: vec4<f32>) {
    for (var u = 0u; u < min(4u, UNITS - unit); u += 1u) {
        var sum = x[u];
        if HAS_BIAS {
            sum += parameters[own + BIASES + unit + u];
        }
        work[cell(INTO, row, UNITS, unit + u)] = activate(sum);
        if KEEP_INPUT {
            work[cell(KEPT, row, UNITS, unit + u)] = sum;
        }
    }
}

fn dense_forward(rows: u32) {
    let across = (UNITS + 3u) / 4u;
    let tiles = (rows + TALL - 1u) / TALL * across;
    for (var tile = lane; tile < tiles; tile += WORKGROUP) {
        let row = tile / across * TALL;
        let unit = tile % across * 4u;
        // Rows behind the last are the last once more.
        let rows_of = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(rows - 1u));
        let at = vec4<u32>(source(rows_of.x), source(rows_of.y), source(rows_of.z), source(rows_of.w));
        var a = vec4<f32>();
        var b = vec4<f32>();
        var c = vec4<f32>();
        var d = vec4<f32>();
        for (var k = 0u; k < INPUTS; k += 1u) {
            let w = weights_at(k, unit);
            a += load(at.x + k) * w;
            if TALL > 1u {
                b += load(at.y + k) * w;
                c += load(at.z + k) * w;
                d += load(at.w + k) * w;
            }
        }
        write_outputs(row, unit, a);
        if TALL > 1u {
            if row + 1u < rows {
                write_outputs(row + 1u, unit, b);
            }
            if row + 2u < rows {
                write_outputs(row + 2u, unit, c);
            }
            if row + 3u < rows {
                write_outputs(row + 3u, unit, d);
            }
        }
    }
}

fn slopes_at(row: u32, unit: u32) -> vec4<f32> {
    let at = cell(SLOPE, row, UNITS, unit);
    return vec4<f32>(work[at], work[at + 1u], work[at + 2u], work[at + 3u]);
}

fn write_gradient(at: u32, unit: u32, values: vec4<f32>, accumulates: bool) {
    for (var u = 0u; u < min(4u, UNITS - unit); u += 1u) {
        let index = scratch + at + unit + u;
        var value = values[u];
        if accumulates {
            value += work[index];
        }
        work[index] = value;
    }
}

fn dense_weight_gradient(rows: u32, accumulates: bool) {
    let across = (UNITS + 3u) / 4u;
    let tiles = (INPUTS + TALL - 1u) / TALL * across;
    for (var tile = lane; tile < tiles; tile += WORKGROUP) {
        let k = tile / across * TALL;
        let unit = tile % across * 4u;
        let ks = min(vec4<u32>(k, k + 1u, k + 2u, k + 3u), vec4<u32>(INPUTS - 1u));
        var a = vec4<f32>();
        var b = vec4<f32>();
        var c = vec4<f32>();
        var d = vec4<f32>();
        for (var row = 0u; row < rows; row += 1u) {
            let slopes = slopes_at(row, unit);
            let at = source(row);
            a += load(at + ks.x) * slopes;
            if TALL > 1u {
                b += load(at + ks.y) * slopes;
                c += load(at + ks.z) * slopes;
                d += load(at + ks.w) * slopes;
            }
        }
        write_gradient(WEIGHTS + k * UNITS, unit, a, accumulates);
        if TALL > 1u {
            if k + 1u < INPUTS {
                write_gradient(WEIGHTS + (k + 1u) * UNITS, unit, b, accumulates);
            }
            if k + 2u < INPUTS {
                write_gradient(WEIGHTS + (k + 2u) * UNITS, unit, c, accumulates);
            }
            if k + 3u < INPUTS {
                write_gradient(WEIGHTS + (k + 3u) * UNITS, unit, d, accumulates);
            }
        }
    }
    if HAS_BIAS {
        for (var unit = 4u * lane; unit < UNITS; unit += 4u * WORKGROUP) {
            var sum = vec4<f32>();
            for (var row = 0u; row < rows; row += 1u) {
                sum += slopes_at(row, unit);
            }
            write_gradient(BIASES, unit, sum, accumulates);
        }
    }
}

// dL/dx of the activation below, or dL/dy of it where that is a softmax.
fn dense_input_gradient(rows: u32) {
    for (var item = lane; item < rows * INPUTS; item += WORKGROUP) {
        let row = item / INPUTS;
        let k = item % INPUTS;
        let slope = cell(SLOPE, row, UNITS, 0u);
        let weight = own + WEIGHTS + k * UNITS;
        var sum = 0.0;
        for (var unit = 0u; unit < UNITS; unit += 1u) {
            sum += work[slope + unit] * parameters[weight + unit];
        }
        work[cell(BELOW, row, INPUTS, k)] = sum * below(row, k);
    }
}

// The derivative of this layer's own activation at a unit of a row.
fn slope_factor(row: u32, unit: u32) -> f32 {
    var x = 0.0;
    if KEEP_INPUT {
        x = work[cell(KEPT, row, UNITS, unit)];
    }
    return derivative(x, work[cell(INTO, row, UNITS, unit)]);
}

// This layer's outputs through a softmax, where they stand, and a gradient back through it: as ops/softmax/softmax_forward and
// softmax_backward. A lane takes whole rows.
fn softmax_row(row: u32) {
    let first = cell(INTO, row, UNITS, 0u);
    var maximum = LOWEST;
    var poison = 0.0;
    for (var i = first; i < first + UNITS; i += 1u) {
        let x = work[i];
        maximum = max(maximum, x);
        poison = select(poison, x, is_nan(x));
    }
    var sum = 0.0;
    for (var i = first; i < first + UNITS; i += 1u) {
        let e = exp(work[i] - maximum);
        work[i] = e;
        sum += e;
    }
    for (var i = first; i < first + UNITS; i += 1u) {
        work[i] = select(work[i] / sum, poison, is_nan(poison));
    }
}

fn softmax_slope_row(row: u32) {
    let y = cell(INTO, row, UNITS, 0u);
    let g = cell(SLOPE, row, UNITS, 0u);
    var pull = 0.0;
    for (var i = 0u; i < UNITS; i += 1u) {
        pull += work[g + i] * work[y + i];
    }
    for (var i = 0u; i < UNITS; i += 1u) {
        work[g + i] = work[y + i] * (work[g + i] - pull);
    }
}

fn softmax_rows(rows: u32) {
    for (var row = lane; row < rows; row += WORKGROUP) {
        softmax_row(row);
    }
}

fn softmax_slope_rows(rows: u32) {
    for (var row = lane; row < rows; row += WORKGROUP) {
        softmax_slope_row(row);
    }
}

// A row of dL/dy of this layer becomes dL/dx of its activation.
fn through_row(row: u32) {
    for (var unit = 0u; unit < UNITS; unit += 1u) {
        work[cell(SLOPE, row, UNITS, unit)] *= slope_factor(row, unit);
    }
}
