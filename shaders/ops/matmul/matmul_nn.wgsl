// Layout of the forward pass: output = left · right, neither transposed: left [m, k], right [k, n].
//
// A load gives four adjacent numbers. Indices outside the matrix are clamped to its edge: values
// computed there are never stored. `k` (and `k + 3` along k) is kept inside by the core.

// Four adjacent numbers of the left matrix are one row's values at k, k + 1, k + 2, k + 3.
const LEFT_ALONG_K: bool = true;
// Four adjacent numbers of the right matrix are four columns' values at one k.
const RIGHT_ALONG_K: bool = false;

fn load_left(row: u32, k: u32) -> vec4<f32> {
    return left_four(params.left_offset + min(row, params.m - 1u) * params.k + k, params.k - k);
}

fn load_right(k: u32, column: u32) -> vec4<f32> {
    let start = select(0u, column, column < params.n);
    return right_four(params.right_offset + k * params.n + start, params.n - start);
}
