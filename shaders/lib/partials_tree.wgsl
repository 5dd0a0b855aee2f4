// Partial sums for hardware: one for each workgroup, by a tree of fixed shape in workgroup memory.
var<workgroup> partials: array<f32, WORKGROUP>;

fn write_partial(block: u32, lane: u32, sum: f32, used: bool) {
    partials[lane] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if lane < half {
            partials[lane] += partials[lane + half];
        }
    }
    if lane == 0u && used {
        values[params.first_partial + block] = partials[0];
    }
}
