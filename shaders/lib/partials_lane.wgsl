// Partial sums for software adapters: every lane writes its own. A barrier there costs more than the sum it saves.
fn write_partial(block: u32, lane: u32, sum: f32, used: bool) {
    if used {
        values[params.first_partial + block * WORKGROUP + lane] = sum;
    }
}
