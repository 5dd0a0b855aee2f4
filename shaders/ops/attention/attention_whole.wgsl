// A thread has the whole of its token's vectors. Its alternative is attention_shared.wgsl.

struct Thread {
    @builtin(local_invocation_index) index: u32,
}

fn token_of(thread: Thread) -> u32 {
    return thread.index;
}

fn part_of(thread: Thread) -> u32 {
    return 0u;
}

fn join_parts(x: f32) -> f32 {
    return x;
}
