// A cell of four adjacent channels: channels in multiples of four, and at most 256 places in the
// window of a maximum, so that its four winners are the bytes of one word.

alias Cell = vec4<f32>;
alias Taps = vec4<u32>;
alias Keys = vec4<i32>;

fn pack(taps: Taps) -> u32 {
    return taps.x | (taps.y << 8u) | (taps.z << 16u) | (taps.w << 24u);
}

fn unpack(word: u32) -> Taps {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);
}
