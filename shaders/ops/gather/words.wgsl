// The source of a gather: a word for each number.

@group(0) @binding(1) var<storage, read> samples: array<u32>;

fn sample_at(index: u32) -> u32 {
    return samples[index];
}
