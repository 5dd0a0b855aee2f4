// A dense layer of templates/small_model/small_model: forward pass, gradient of its weights,
// gradient of its input. The text appears in the program once per layer, with the layer's number in
// place of N in the names. The host declares, for each layer:
//
//     LAYER_N_INPUTS, LAYER_N_UNITS, LAYER_N_HAS_BIAS, LAYER_N_KEEP_INPUT;
//     LAYER_N_WEIGHTS and LAYER_N_BIASES (their offsets in the parameters);
//     LAYER_N_…_PLANE (offsets in the scratch: input, output, the activation's input, its gradient,
//     that of the previous layer)
//     layer_N_first_input(row), layer_N_input_at(place);
//     layer_N_activate(x), layer_N_derivative(x, y);
//     layer_N_derivative_below(row, k): the derivative of the previous layer's activation
//
// A thread processes four adjacent columns of one row or, on software adapters, of four rows
// (ROWS_PER_THREAD), because each load costs far more than the arithmetic there. Columns past the
// last are read but not written. Every buffer has room for them.

// An activation buffer holds `width` numbers per row.
fn layer_N_cell(activation_buffer: u32, row: u32, width: u32, column: u32) -> u32 {
    return plane_at(activation_buffer) + row * width + column;
}

fn layer_N_weights_at(k: u32, unit: u32) -> vec4<f32> {
    let at = own + LAYER_N_WEIGHTS + k * LAYER_N_UNITS + unit;
    return vec4<f32>(parameters[at], parameters[at + 1u], parameters[at + 2u], parameters[at + 3u]);
}

fn layer_N_write_outputs(row: u32, unit: u32, x: vec4<f32>) {
    for (var u = 0u; u < min(4u, LAYER_N_UNITS - unit); u += 1u) {
        var sum = x[u];
        if LAYER_N_HAS_BIAS {
            sum += parameters[own + LAYER_N_BIASES + unit + u];
        }
        work[layer_N_cell(LAYER_N_OUTPUT_PLANE, row, LAYER_N_UNITS, unit + u)] = layer_N_activate(sum);
        if LAYER_N_KEEP_INPUT {
            work[layer_N_cell(LAYER_N_SAVED_INPUT_PLANE, row, LAYER_N_UNITS, unit + u)] = sum;
        }
    }
}

fn layer_N_forward(rows: u32) {
    let across = (LAYER_N_UNITS + 3u) / 4u;
    let tiles = (rows + ROWS_PER_THREAD - 1u) / ROWS_PER_THREAD * across;
    for (var tile = local_index; tile < tiles; tile += WORKGROUP) {
        let row = tile / across * ROWS_PER_THREAD;
        let unit = tile % across * 4u;
        // Rows past the last are clamped to the last.
        let rows_of = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(rows - 1u));
        let at = vec4<u32>(layer_N_first_input(rows_of.x), layer_N_first_input(rows_of.y), layer_N_first_input(rows_of.z), layer_N_first_input(rows_of.w));
        var a = vec4<f32>();
        var b = vec4<f32>();
        var c = vec4<f32>();
        var d = vec4<f32>();
        for (var k = 0u; k < LAYER_N_INPUTS; k += 1u) {
            let w = layer_N_weights_at(k, unit);
            a += layer_N_input_at(at.x + k) * w;
            if ROWS_PER_THREAD > 1u {
                b += layer_N_input_at(at.y + k) * w;
                c += layer_N_input_at(at.z + k) * w;
                d += layer_N_input_at(at.w + k) * w;
            }
        }
        layer_N_write_outputs(row, unit, a);
        if ROWS_PER_THREAD > 1u {
            if row + 1u < rows {
                layer_N_write_outputs(row + 1u, unit, b);
            }
            if row + 2u < rows {
                layer_N_write_outputs(row + 2u, unit, c);
            }
            if row + 3u < rows {
                layer_N_write_outputs(row + 3u, unit, d);
            }
        }
    }
}

fn layer_N_gradients_at(row: u32, unit: u32) -> vec4<f32> {
    let at = layer_N_cell(LAYER_N_GRADIENT_PLANE, row, LAYER_N_UNITS, unit);
    return vec4<f32>(work[at], work[at + 1u], work[at + 2u], work[at + 3u]);
}

fn layer_N_write_gradient(at: u32, unit: u32, values: vec4<f32>, accumulates: bool) {
    for (var u = 0u; u < min(4u, LAYER_N_UNITS - unit); u += 1u) {
        let index = scratch + at + unit + u;
        var value = values[u];
        if accumulates {
            value += work[index];
        }
        work[index] = value;
    }
}

fn layer_N_weight_gradient(rows: u32, accumulates: bool) {
    let across = (LAYER_N_UNITS + 3u) / 4u;
    let tiles = (LAYER_N_INPUTS + ROWS_PER_THREAD - 1u) / ROWS_PER_THREAD * across;
    for (var tile = local_index; tile < tiles; tile += WORKGROUP) {
        let k = tile / across * ROWS_PER_THREAD;
        let unit = tile % across * 4u;
        let ks = min(vec4<u32>(k, k + 1u, k + 2u, k + 3u), vec4<u32>(LAYER_N_INPUTS - 1u));
        var a = vec4<f32>();
        var b = vec4<f32>();
        var c = vec4<f32>();
        var d = vec4<f32>();
        for (var row = 0u; row < rows; row += 1u) {
            let d_outputs = layer_N_gradients_at(row, unit);
            let at = layer_N_first_input(row);
            a += layer_N_input_at(at + ks.x) * d_outputs;
            if ROWS_PER_THREAD > 1u {
                b += layer_N_input_at(at + ks.y) * d_outputs;
                c += layer_N_input_at(at + ks.z) * d_outputs;
                d += layer_N_input_at(at + ks.w) * d_outputs;
            }
        }
        layer_N_write_gradient(LAYER_N_WEIGHTS + k * LAYER_N_UNITS, unit, a, accumulates);
        if ROWS_PER_THREAD > 1u {
            if k + 1u < LAYER_N_INPUTS {
                layer_N_write_gradient(LAYER_N_WEIGHTS + (k + 1u) * LAYER_N_UNITS, unit, b, accumulates);
            }
            if k + 2u < LAYER_N_INPUTS {
                layer_N_write_gradient(LAYER_N_WEIGHTS + (k + 2u) * LAYER_N_UNITS, unit, c, accumulates);
            }
            if k + 3u < LAYER_N_INPUTS {
                layer_N_write_gradient(LAYER_N_WEIGHTS + (k + 3u) * LAYER_N_UNITS, unit, d, accumulates);
            }
        }
    }
    if LAYER_N_HAS_BIAS {
        for (var unit = 4u * local_index; unit < LAYER_N_UNITS; unit += 4u * WORKGROUP) {
            var sum = vec4<f32>();
            for (var row = 0u; row < rows; row += 1u) {
                sum += layer_N_gradients_at(row, unit);
            }
            layer_N_write_gradient(LAYER_N_BIASES, unit, sum, accumulates);
        }
    }
}

// dL/dx of the previous layer's activation, or dL/dy if that is a softmax.
fn layer_N_input_gradient(rows: u32) {
    for (var item = local_index; item < rows * LAYER_N_INPUTS; item += WORKGROUP) {
        let row = item / LAYER_N_INPUTS;
        let k = item % LAYER_N_INPUTS;
        let gradients_at = layer_N_cell(LAYER_N_GRADIENT_PLANE, row, LAYER_N_UNITS, 0u);
        let weight = own + LAYER_N_WEIGHTS + k * LAYER_N_UNITS;
        var sum = 0.0;
        for (var unit = 0u; unit < LAYER_N_UNITS; unit += 1u) {
            sum += work[gradients_at + unit] * parameters[weight + unit];
        }
        work[layer_N_cell(LAYER_N_GRADIENT_BELOW_PLANE, row, LAYER_N_INPUTS, k)] = sum * layer_N_derivative_below(row, k);
    }
}

// The derivative of this layer's own activation at a unit of a row.
fn layer_N_derivative_at(row: u32, unit: u32) -> f32 {
    var x = 0.0;
    if LAYER_N_KEEP_INPUT {
        x = work[layer_N_cell(LAYER_N_SAVED_INPUT_PLANE, row, LAYER_N_UNITS, unit)];
    }
    return layer_N_derivative(x, work[layer_N_cell(LAYER_N_OUTPUT_PLANE, row, LAYER_N_UNITS, unit)]);
}

// Softmax of this layer's outputs, in place, and the gradient through it, as in
// ops/softmax/softmax_forward and softmax_backward. Each thread processes whole rows.
fn layer_N_softmax_row(row: u32) {
    let first = layer_N_cell(LAYER_N_OUTPUT_PLANE, row, LAYER_N_UNITS, 0u);
    var maximum = LOWEST;
    var nan_value = 0.0;
    for (var i = first; i < first + LAYER_N_UNITS; i += 1u) {
        let x = work[i];
        maximum = max(maximum, x);
        nan_value = select(nan_value, x, is_nan(x));
    }
    var sum = 0.0;
    for (var i = first; i < first + LAYER_N_UNITS; i += 1u) {
        let e = exp(work[i] - maximum);
        work[i] = e;
        sum += e;
    }
    for (var i = first; i < first + LAYER_N_UNITS; i += 1u) {
        work[i] = select(work[i] / sum, nan_value, is_nan(nan_value));
    }
}

fn layer_N_softmax_backward_row(row: u32) {
    let y = layer_N_cell(LAYER_N_OUTPUT_PLANE, row, LAYER_N_UNITS, 0u);
    let g = layer_N_cell(LAYER_N_GRADIENT_PLANE, row, LAYER_N_UNITS, 0u);
    var dot_product = 0.0;
    for (var i = 0u; i < LAYER_N_UNITS; i += 1u) {
        dot_product += work[g + i] * work[y + i];
    }
    for (var i = 0u; i < LAYER_N_UNITS; i += 1u) {
        work[g + i] = work[y + i] * (work[g + i] - dot_product);
    }
}

fn layer_N_softmax_rows(rows: u32) {
    for (var row = local_index; row < rows; row += WORKGROUP) {
        layer_N_softmax_row(row);
    }
}

fn layer_N_softmax_backward_rows(rows: u32) {
    for (var row = local_index; row < rows; row += WORKGROUP) {
        layer_N_softmax_backward_row(row);
    }
}

// Converts a row of dL/dy of this layer to dL/dx of its activation, in place.
fn layer_N_activation_backward_row(row: u32) {
    for (var unit = 0u; unit < LAYER_N_UNITS; unit += 1u) {
        work[layer_N_cell(LAYER_N_GRADIENT_PLANE, row, LAYER_N_UNITS, unit)] *= layer_N_derivative_at(row, unit);
    }
}
