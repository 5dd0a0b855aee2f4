// Shared declarations of the kernels over the columns of two matrices of embeddings. A loss has one
// value, of which each row of a matrix of covariances and each column of embeddings gives a part.

struct Params {
    rows: u32,
    columns: u32,
    over: f32,        // 1 over the divisor of sums over the rows
    epsilon: f32,     // added to the variances
    factor: f32,      // of the reduction
    upstream: f32,    // dL/d(value)
    first_value: u32, // place of the first part of the value
    reserved: u32,
}

override WORKGROUP: u32 = 64u;
// The columns are divided by their deviations.
override CORRELATES: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
