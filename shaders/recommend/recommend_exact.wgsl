// WARP with the exact rank: all items are scored, the rank is the number of violating items that
// are not known, and word 0 of the interaction chooses one of them, counted in the order of items.
//
// One workgroup per interaction; each thread counts in its range of items, and the thread whose
// range holds the chosen one goes through it again. Linked as recommend/recommend_sample with
// recommend/recommend_positive_group, without the threads or row groups.

const LANES: u32 = 64u;
const THREADS_PER_INTERACTION: u32 = LANES;

var<workgroup> counts: array<u32, LANES>;

fn violates(job: Job, item: u32, score: f32) -> bool {
    if score > job.bar {
        return !holds(job.user, item);
    }
    return false;
}

// The violating item of this number in a range of items.
fn violator(job: Job, begin: u32, end: u32, number: u32) -> Found {
    var left = number;
    for (var item = begin; item < end; item++) {
        let score = decisive(job.user, item);
        if violates(job, item, score) {
            if left == 0u {
                return Found(0u, item, score);
            }
            left--;
        }
    }
    return Found(NONE, NONE, 0.0);
}

@compute @workgroup_size(LANES)
fn sample_exactly(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = workgroup.y * count.x + workgroup.x;
    if place >= params.length {
        if local_index == 0u {
            leave_out(place);
        }
        return;
    }
    let job = job_at(place, true, local_index);
    let stretch = (params.items + LANES - 1u) / LANES;
    let begin = min(local_index * stretch, params.items);
    let end = min(begin + stretch, params.items);
    var own = 0u;
    if job.item != NONE {
        for (var item = begin; item < end; item++) {
            own += select(0u, 1u, violates(job, item, decisive(job.user, item)));
        }
    }
    counts[local_index] = own;
    workgroupBarrier(); // all ranges are counted
    var before = 0u;
    var rank = 0u;
    for (var other = 0u; other < LANES; other++) {
        before += select(0u, counts[other], other < local_index);
        rank += counts[other];
    }
    let chosen = below(word_of(job.number, 0u, NEGATIVES), rank);
    if job.item == NONE || rank == 0u {
        if local_index == 0u {
            finish(place, job, NONE, select(params.items, 0u, job.item == NONE), 0.0, 0.0);
        }
    } else if chosen >= before && chosen - before < own {
        let found = violator(job, begin, end, chosen - before);
        let step = job.weight * rank_weights[rank];
        finish(place, job, found.item, params.items, step, step * (found.score - job.bar));
    }
}
