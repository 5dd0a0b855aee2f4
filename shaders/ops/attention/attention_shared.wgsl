// PARTS adjacent threads of a subgroup share the vectors of a token. All of them get the same bits:
// halves of a sum are exchanged, and addition commutes. Its alternative is attention_whole.wgsl.

struct Thread {
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}

// The workgroup is a multiple of every subgroup size: all subgroups are full.
fn place_in_workgroup(thread: Thread) -> u32 {
    return thread.subgroup * thread.size + thread.lane;
}

fn token_of(thread: Thread) -> u32 {
    return place_in_workgroup(thread) / PARTS;
}

fn part_of(thread: Thread) -> u32 {
    return place_in_workgroup(thread) % PARTS;
}

// Every thread of a token must call.
fn join_parts(x: f32) -> f32 {
    var sum = x;
    for (var distance = 1u; distance < PARTS; distance *= 2u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
