// Partial sums for hardware: one per workgroup, by a tree of fixed shape in workgroup memory.
var<workgroup> partials: array<f32, WORKGROUP>;

fn write_partial(block: u32, local_index: u32, sum: f32, used: bool) {
    partials[local_index] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if local_index < half {
            partials[local_index] += partials[local_index + half];
        }
    }
    if local_index == 0u && used {
        values[params.first_partial + block] = partials[0];
    }
}
