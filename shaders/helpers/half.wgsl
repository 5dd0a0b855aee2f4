// Four numbers in f16, two in a word, to f32 and back. Every adapter has these functions; the type f16 few have. A lane
// writes whole words, so that no two write into one.

fn widened(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn narrowed(x: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(pack2x16float(x.xy), pack2x16float(x.zw));
}
