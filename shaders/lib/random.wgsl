// Counter-based random numbers: the same counter and key give the same bits on every device. The
// CPU implementation is src/cpu/random.rs.
//
// Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2,
// 3" (2011).

// The high 32 bits of a × b. WGSL has no 64-bit integers, so the product is assembled from 16-bit
// halves:
// a × b = high·2³² + (cross + carry)·2¹⁶ + low, where no sum below exceeds 2³² − 1.
fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
}

// Four random words for each counter and key.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var round_key = key;
    for (var round = 0u; round < 10u; round++) {
        let left = multiply_high(0xd2511f53u, words.x);
        let right = multiply_high(0xcd9e8d57u, words.z);
        words = vec4(right ^ words.y ^ round_key.x, 0xcd9e8d57u * words.z, left ^ words.w ^ round_key.y, 0xd2511f53u * words.x);
        round_key += vec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return words;
}

// Each bit of the result depends on each bit of `value` (the finaliser of MurmurHash3, by A.
// Appleby, public domain).
fn mix_bits(value: u32) -> u32 {
    var bits = value;
    bits = (bits ^ (bits >> 16u)) * 0x85ebca6bu;
    bits = (bits ^ (bits >> 13u)) * 0xc2b2ae35u;
    return bits ^ (bits >> 16u);
}

// One Feistel round: (left, right) becomes (right, left ⊕ f(right)), which is invertible for any f.
fn feistel_round(halves: vec2<u32>, key: u32, mask: u32) -> vec2<u32> {
    return vec2(halves.y, halves.x ^ (mix_bits(halves.y + key) & mask));
}

// The position that a shuffle of 0..length assigns to `index`; the keys are those of
// `Permutation::keys`.
fn permuted(index: u32, length: u32, first_keys: vec4<u32>, last_keys: vec4<u32>) -> u32 {
    // With a length of 0 the loop below would not end.
    if (length < 2u) {
        return 0u;
    }
    // At least four bits: with halves of two bits, eight rounds did not reach all orders of five
    // indices with equal frequency.
    let half_bits = max((33u - countLeadingZeros(length - 1u)) / 2u, 4u);
    let mask = (1u << half_bits) - 1u;
    // An index out of range is reduced into it: the cycle of a start outside may contain no index
    // inside.
    var place = index % length;
    loop {
        var halves = vec2(place >> half_bits, place & mask);
        halves = feistel_round(halves, first_keys.x, mask);
        halves = feistel_round(halves, first_keys.y, mask);
        halves = feistel_round(halves, first_keys.z, mask);
        halves = feistel_round(halves, first_keys.w, mask);
        halves = feistel_round(halves, last_keys.x, mask);
        halves = feistel_round(halves, last_keys.y, mask);
        halves = feistel_round(halves, last_keys.z, mask);
        halves = feistel_round(halves, last_keys.w, mask);
        place = (halves.x << half_bits) | halves.y;
        if (place < length) {
            return place;
        }
    }
    return 0u; // not reached
}
