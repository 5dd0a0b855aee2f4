// One thread per interaction, draws in sequence: for CPU adapters, which run few threads.

const THREADS_PER_INTERACTION: u32 = 1u;

fn first_draw(job: Job, wants: bool, local_index: u32) -> Found {
    var found = Found(NONE, NONE, 0.0);
    if !wants {
        return found;
    }
    var words = vec4<u32>();
    for (var draw = 0u; draw < params.max_sampled; draw++) {
        if draw % 4u == 0u {
            words = philox(vec4<u32>(draw / 4u, job.number, params.epoch, NEGATIVES), params.seed);
        }
        found = tried(job, draw, words[draw % 4u]);
        if found.draw != NONE {
            break;
        }
    }
    return found;
}
