// THREADS_PER_INTERACTION threads per interaction: they try that many draws at once, and the first
// accepted one is taken, as with draws in sequence.

const THREADS_PER_INTERACTION: u32 = 16u;

var<workgroup> draws: array<u32, 64>;
var<workgroup> candidates: array<u32, 64>;
var<workgroup> scores: array<f32, 64>;

fn first_draw(job: Job, wants: bool, local_index: u32) -> Found {
    let member = local_index % THREADS_PER_INTERACTION;
    let leader = local_index - member;
    var found = Found(NONE, NONE, 0.0);
    for (var begin = 0u; begin < params.max_sampled; begin += THREADS_PER_INTERACTION) {
        let draw = begin + member;
        draws[local_index] = NONE;
        if wants && found.draw == NONE && draw < params.max_sampled {
            let own = tried(job, draw, word_of(job.number, draw, NEGATIVES));
            draws[local_index] = own.draw;
            candidates[local_index] = own.item;
            scores[local_index] = own.score;
        }
        workgroupBarrier(); // the group's results are written
        for (var other = leader; other < leader + THREADS_PER_INTERACTION; other++) {
            if found.draw == NONE && draws[other] != NONE {
                found = Found(draws[other], candidates[other], scores[other]);
            }
        }
        workgroupBarrier(); // all results are read
    }
    return found;
}
