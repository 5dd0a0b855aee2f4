// Partial sums for software adapters: every thread writes its own, since a barrier there costs more
// than the sum it saves.
fn write_partial(block: u32, local_index: u32, sum: f32, used: bool) {
    if used {
        values[params.first_partial + block * WORKGROUP + local_index] = sum;
    }
}
