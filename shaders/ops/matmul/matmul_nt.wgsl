// Layout of the gradient of a layer's input: output = left · rightᵀ, with left [m, k] and right
// stored as [n, k]: dX[batch, inputs] = dZ[batch, outputs] · W[inputs, outputs]ᵀ.
//
// A load gives four adjacent numbers. Indices outside the matrix are clamped to its edge: values
// computed there are never stored. `k` is kept inside by the core.

// Four adjacent numbers of either matrix are values at k, k + 1, k + 2, k + 3.
const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = true;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    return left_four(params.left_offset + min(row, params.m - 1u) * params.k + k, params.k - k);
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    return right_four(params.right_offset + min(column, params.n - 1u) * params.k + k, params.k - k);
}
