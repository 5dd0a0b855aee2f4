// Shared by the kernels that sort ids: pairs (id, position) and their digits.

override WORKGROUP: u32 = 64u;
override IS_FIRST: bool = false; // the ids are read from their original buffer
const DIGITS: u32 = 16u;

struct Params {
    count: u32, // ids
    limit: u32, // rows of the table: replaces an id that names no row
    shift: u32, // position of the digit
    run: u32,   // ids per run
    runs: u32,
    reserved: u32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> pairs: array<vec2<u32>>;

fn pair_at(index: u32) -> vec2<u32> {
    if IS_FIRST {
        return vec2<u32>(min(ids[index], params.limit), index);
    }
    return pairs[index];
}

fn digit_of(pair: vec2<u32>) -> u32 {
    return (pair.x >> params.shift) & (DIGITS - 1u);
}
