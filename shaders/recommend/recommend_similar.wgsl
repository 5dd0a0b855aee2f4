// Cosine similarity of all items to one item:
//
//     cosines[i] = a b / (|a| |b|), 0 where one is 0 or not finite,
//                  a and b the vectors of the given item and of item i
//
// Vectors are first scaled by a power of two, so that no square overflows or underflows. One thread
// per item. Linked with lib/numbers.

override WORKGROUP: u32 = 64u;

struct Params {
    items: u32,
    cells: u32, // vectors of four in a row, the last one the bias
    item: u32,
    reserved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> items: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> cosines: array<f32>;

// The power of two that scales a row's largest component to between 1 and 4; 0 if one is not
// finite. By bits: a comparison may drop NaN.
fn scale_of(row: u32) -> f32 {
    var largest = vec4<u32>();
    for (var cell = 0u; cell + 1u < params.cells; cell++) {
        largest = max(largest, bitcast<vec4<u32>>(items[row * params.cells + cell]) & vec4<u32>(0x7fffffffu));
    }
    let exponent = max(max(largest.x, largest.y), max(largest.z, largest.w)) >> 23u;
    if exponent == 255u {
        return 0.0;
    }
    return bitcast<f32>(max(254u - exponent, 1u) << 23u);
}

@compute @workgroup_size(WORKGROUP)
fn compare(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.items {
        return;
    }
    let scales = vec2<f32>(scale_of(params.item), scale_of(row));
    var cosine = 0.0;
    if scales.x > 0.0 && scales.y > 0.0 {
        var product = vec4<f32>();
        var own = vec4<f32>();
        var other = vec4<f32>();
        for (var cell = 0u; cell + 1u < params.cells; cell++) {
            let a = scales.x * items[params.item * params.cells + cell];
            let b = scales.y * items[row * params.cells + cell];
            product += a * b;
            own += a * a;
            other += b * b;
        }
        let norms = sqrt(sum4(own)) * sqrt(sum4(other));
        if norms > 0.0 {
            cosine = clamp(sum4(product) / norms, -1.0, 1.0);
        }
    }
    cosines[row] = cosine;
}
