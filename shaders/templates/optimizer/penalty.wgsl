// Spans of the tensors in the flat parameters, and their regularisation R(w) = l1 |w| + l2 w^2
// (without a 1/2 before l2, as in Keras). Linked with a kernel template whose `params.spans` is the
// number of tensors, or 0 if no option is per tensor.

// Span of a tensor in the parameters. It ends before `end`. There may be padding between `start`
// plus its length and `end`.
struct ParameterSpan {
    end: u32,
    l1: f32,
    l2: f32,
    proximal: f32,
    rate: f32,    // factor of the learning rate; 0 for a frozen tensor
    start: u32,
    rows: u32,
    columns: u32, // 0 for a vector
    lines: u32,   // rows + columns of this matrix and of all previous ones
}

@group(0) @binding(1) var<storage, read> spans: array<ParameterSpan>;

// Binary search: an index belongs to the first span whose `end` is greater.
fn span_of(index: u32) -> u32 {
    var low = 0u;
    var high = max(params.spans, 1u) - 1u;
    while low < high {
        let middle = (low + high) / 2u;
        if spans[middle].end <= index {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// True if the parameters and states of a tensor stay as they are.
fn is_frozen(span: u32) -> bool {
    return params.spans > 0u && spans[span].rate == 0.0;
}

// dR/dw of one parameter.
fn regularization_in(span: u32, parameter: f32) -> f32 {
    return spans[span].l1 * sign(parameter) + 2.0 * spans[span].l2 * parameter;
}

// sign(w) max(|w| - rate proximal, 0): the proximal step of l1, which produces exact zeros.
fn shrunk(span: u32, parameter: f32, rate: f32) -> f32 {
    let by = rate * spans[span].proximal;
    if by == 0.0 || is_nan(parameter) {
        return parameter;
    }
    return sign(parameter) * max(abs(parameter) - by, 0.0);
}
