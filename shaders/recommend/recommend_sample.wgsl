// Samples the update of each interaction of a batch, from the rows at the batch's start;
// src/recommend/sampling.rs describes it in full.
//
//     warp, k-OS: the first of max_sampled draws with s(draw) > s(positive) - margin not known;
//                 step = weight L(draws), loss = step (s(draw) - s(positive) + margin)
//     bpr:        the first draw that is not known; d = s(positive) - s(draw),
//                 step = weight sigmoid(-d), loss = weight softplus(-d)
//     logistic:   no draw; z = -s or s by the sign of the weight,
//                 step = weight sigmoid(z), loss = |weight| softplus(z)
//
// One thread or group of threads per interaction. Linked with recommend/recommend,
// recommend/recommend_draws, recommend/recommend_lane or recommend/recommend_row_group,
// recommend/recommend_positive_lane or recommend/recommend_positive_group, lib/random and
// lib/numbers.

@compute @workgroup_size(WORKGROUP)
fn sample(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let place = (workgroup.y * count.x + workgroup.x) * (WORKGROUP / THREADS_PER_INTERACTION) + local_index / THREADS_PER_INTERACTION;
    let is_inside = place < params.length;
    let job = job_at(place, is_inside, local_index);
    let found = first_draw(job, job.item != NONE && LOSS != LOGISTIC, local_index);
    if local_index % THREADS_PER_INTERACTION != 0u {
        return;
    }
    if !is_inside {
        leave_out(place);
        return;
    }
    if LOSS == LOGISTIC {
        let score = score_of(job.user, job.item) + users[(job.user + 1u) * params.cells - 1u].x;
        let against = select(score, -score, job.weight > 0.0);
        finish(place, job, NONE, 0u, job.weight * sigmoid(against), abs(job.weight) * softplus(against));
    } else if job.item == NONE {
        finish(place, job, NONE, 0u, 0.0, 0.0);
    } else if found.draw == NONE {
        finish(place, job, NONE, params.max_sampled, 0.0, 0.0);
    } else if LOSS == BPR {
        let against = score_of(job.user, found.item) - score_of(job.user, job.item);
        finish(place, job, found.item, found.draw + 1u, job.weight * sigmoid(against), job.weight * softplus(against));
    } else {
        let step = job.weight * rank_weights[found.draw + 1u];
        finish(place, job, found.item, found.draw + 1u, step, step * (found.score - job.bar));
    }
}
