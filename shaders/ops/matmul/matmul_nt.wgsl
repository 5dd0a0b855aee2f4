// Layout of the gradient of a layer's input: output = left · rightᵀ, with left [m, k] and right stored as [n, k]:
// dX[batch, inputs] = dZ[batch, outputs] · W[inputs, outputs]ᵀ.
//
// A load gives four numbers that are neighbours in memory. Places outside the matrix are moved to its edge: what is
// computed there is never stored. `k` is kept inside by the core.

// Four neighbours of either matrix are values at k, k + 1, k + 2, k + 3.
const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = true;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    return left_four(params.left_offset + min(row, params.m - 1u) * params.k + k, params.k - k);
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    return right_four(params.right_offset + min(column, params.n - 1u) * params.k + k, params.k - k);
}
