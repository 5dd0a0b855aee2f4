// Conversion of four f16 numbers, packed in two words, to f32 and back. Every adapter has these
// functions; few have the type f16. A thread writes whole words, so that no two threads write into
// one word.

fn widened(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

// The nearest f16 number, ties to even; from 65520 on inf; NaN stays NaN. Not pack2x16float:
// SwiftShader's turns inf and everything beyond 65504 into NaN and rounds ties among subnormal
// numbers down; WGSL allows both.
fn nearest_halves(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7fffffffu);
    // 2^16 and everything above it, including inf, gets the bits of 2^16 here, which round to inf
    // in f16.
    let clamped = min(size, vec4<u32>(0x47800000u));
    let is_odd = (clamped >> vec4<u32>(13u)) & vec4<u32>(1u);
    // The exponent's bias goes from 127 to 15.
    let normal = (clamped - 0x38000000u + 0xfffu + is_odd) >> vec4<u32>(13u);
    // Below 2^-14 an f16 number is a multiple of 2^-24, which is one ulp of 1/2: the addition
    // rounds.
    let subnormal = bitcast<vec4<u32>>(bitcast<vec4<f32>>(min(size, vec4<u32>(0x38800000u))) + 0.5) - 0x3f000000u;
    let number = select(normal, subnormal, size < vec4<u32>(0x38800000u));
    let found = select(number, vec4<u32>(0x7e00u), size > vec4<u32>(0x7f800000u));
    return found | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
}

fn narrowed(x: vec4<f32>) -> vec2<u32> {
    let halves = nearest_halves(x);
    return halves.xz | (halves.yw << vec2<u32>(16u));
}
