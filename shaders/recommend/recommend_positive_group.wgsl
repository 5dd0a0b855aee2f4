// The positive item of k-OS for THREADS_PER_INTERACTION threads per interaction, which share its
// draws: their scores are in workgroup memory, as private arrays would be scratch memory. 64 threads
// per workgroup.

const POSITIVE_JOBS: u32 = 64u / THREADS_PER_INTERACTION;

var<workgroup> positive_scores: array<f32, 64u * POSITIVE_JOBS>;
var<workgroup> positive_items: array<u32, 64u * POSITIVE_JOBS>; // NONE if it is not liked
var<workgroup> positives: array<u32, POSITIVE_JOBS>;

// The k-th best of the liked items among min(n, known) draws from a user's interactions, or the
// last if there are fewer; NONE for a job without an item. Every thread must call.
fn kth_positive(job: Job, local_index: u32) -> u32 {
    let member = local_index % THREADS_PER_INTERACTION;
    let own = local_index / THREADS_PER_INTERACTION;
    let first = 64u * own;
    var draws = 0u;
    if job.item != NONE {
        let begin = known[job.user];
        let length = known[job.user + 1u] - begin;
        draws = min(params.n, min(length, 64u));
        for (var draw = member; draw < draws; draw += THREADS_PER_INTERACTION) {
            let place = begin + below(word_of(job.number, draw, POSITIVES), length);
            positive_items[first + draw] = NONE;
            if weight_at(place) > 0.0 {
                positive_scores[first + draw] = decisive(job.user, item_at(place));
                positive_items[first + draw] = item_at(place);
            }
        }
    }
    if member == 0u {
        positives[own] = NONE;
    }
    workgroupBarrier(); // all draws are scored
    var liked = 0u;
    for (var draw = 0u; draw < draws; draw++) {
        liked += select(1u, 0u, positive_items[first + draw] == NONE);
    }
    let wanted = min(params.k, liked) - 1u;
    for (var draw = member; draw < draws; draw += THREADS_PER_INTERACTION) {
        let score = positive_scores[first + draw];
        var better = 0u;
        for (var other = 0u; other < draws; other++) {
            let is_better = positive_scores[first + other] > score || (positive_scores[first + other] == score && other < draw);
            better += select(0u, 1u, is_better && positive_items[first + other] != NONE);
        }
        // One draw of the liked ones is the one: their ranks differ.
        if better == wanted && positive_items[first + draw] != NONE {
            positives[own] = positive_items[first + draw];
        }
    }
    workgroupBarrier(); // it is found
    return positives[own];
}
