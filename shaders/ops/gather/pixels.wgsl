// The source of a gather: pixels of one byte, four to a word, lowest first; a table has the bits of
// the number of each.

@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(3) var<storage, read> palette: array<u32>;

fn sample_at(index: u32) -> u32 {
    return palette[(samples[index / 4u] >> (8u * (index % 4u))) & 0xffu];
}
