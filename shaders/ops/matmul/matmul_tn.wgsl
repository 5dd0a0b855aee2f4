// Layout of the gradient of a layer's parameters: output = leftᵀ · right, with left stored as [k,
// m] and right [k, n]: dW[inputs, outputs] = X[batch, inputs]ᵀ · dZ[batch, outputs].
//
// With `params.ones` the stored left matrix has m - 1 columns and gets one more, of ones: the last
// row of the output is then the sum of the rows of dZ, the gradient of the bias, which is stored
// behind dW as the bias is behind W.
//
// A load gives four adjacent numbers. Indices outside the matrix are clamped to its edge: values
// computed there are never stored. `k` is kept inside by the core.

// Four adjacent numbers of the left matrix are four rows' values (of the output's rows) at one k.
const LEFT_ALONG_K: bool = false;
// Four adjacent numbers of the right matrix are four columns' values at one k.
const RIGHT_ALONG_K: bool = false;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    let stored = params.m - params.ones;
    let start = select(0u, row, row < stored);
    let found = left_four(params.left_offset + k * stored + start, stored - start);
    let rows = vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(found, vec4<f32>(1.0), rows >= vec4<u32>(stored));
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    let start = select(0u, column, column < params.n);
    return right_four(params.right_offset + k * params.n + start, params.n - start);
}
