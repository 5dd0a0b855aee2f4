// The positive item of k-OS for one thread per interaction, in private arrays: for CPU adapters,
// where these are the thread's stack.

// The k-th best of the liked items among min(n, known) draws from a user's interactions, or the
// last if there are fewer; NONE for a job without an item.
fn kth_positive(job: Job, local_index: u32) -> u32 {
    var scores: array<f32, 64>;
    var drawn: array<u32, 64>;
    var liked = 0u;
    if job.item == NONE {
        return NONE;
    }
    let begin = known[job.user];
    let length = known[job.user + 1u] - begin;
    for (var draw = 0u; draw < min(params.n, min(length, 64u)); draw++) {
        let place = begin + below(word_of(job.number, draw, POSITIVES), length);
        if weight_at(place) > 0.0 {
            scores[liked] = decisive(job.user, item_at(place));
            drawn[liked] = item_at(place);
            liked++;
        }
    }
    let wanted = min(params.k, liked) - 1u;
    for (var draw = 0u; draw < liked; draw++) {
        var better = 0u;
        for (var other = 0u; other < liked; other++) {
            let is_better = scores[other] > scores[draw] || (scores[other] == scores[draw] && other < draw);
            better += select(0u, 1u, is_better);
        }
        if better == wanted {
            return drawn[draw];
        }
    }
    return NONE;
}
