// XE-NDCG: cross-entropy of softmax(s) against q = f / sum of f, f = 2^y - noise, the noise of each
// place within [0, 1]: sum of q (lse - s); derivative p - q. 0 where f is 0 for all items. Linked
// with templates/listwise/gains. The softmax is relative to its running maximum, as in
// losses/cross_entropy; the noise takes the place of the class weights.

struct RankXendcgSums {
    maximum: f32,
    total: f32, // sum of e^below, below = s - maximum
    mass: f32,  // sum of f
    dot: f32,   // sum of f below
}

struct RankXendcgOutcome {
    loss: f32,
    maximum: f32,
    inverse: f32, // 1 / total
    share: f32,   // 1 / mass
}

const RANK_XENDCG_CLOSED: f32 = -3.0e38;

fn rank_xendcg_minus_infinity() -> f32 {
    return bitcast<f32>(0xff800000u | (params.columns & 0x80000000u));
}

fn rank_xendcg_scores_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(RANK_XENDCG_CLOSED), cells.logits, cells.kept);
}

fn rank_xendcg_weights_of(cells: Cells) -> vec4<f32> {
    let y = cells.truths;
    let gains = vec4<f32>(gain(y.x), gain(y.y), gain(y.z), gain(y.w));
    let noise = clamp(cells.class_weights, vec4<f32>(), vec4<f32>(1.0));
    return select(vec4<f32>(), gains + (1.0 - noise), cells.kept);
}

fn rank_xendcg_empty_sums() -> RankXendcgSums {
    return RankXendcgSums(LOWEST, 0.0, 0.0, 0.0);
}

// The sums relative to a maximum that is `rise` higher.
fn rank_xendcg_raised(sums: RankXendcgSums, rise: f32) -> RankXendcgSums {
    let dot = sums.dot - select(rise * sums.mass, 0.0, sums.mass == 0.0);
    return RankXendcgSums(sums.maximum + rise, exp(-rise) * sums.total, sums.mass, dot);
}

fn rank_xendcg_fold(sums: RankXendcgSums, cells: Cells) -> RankXendcgSums {
    let scores = rank_xendcg_scores_of(cells);
    let is_open = scores >= vec4<f32>(LOWEST);
    let maximum = max(sums.maximum, max(max(scores.x, scores.y), max(scores.z, scores.w)));
    var next = rank_xendcg_raised(sums, maximum - sums.maximum);
    next.maximum = maximum;
    let below = select(vec4<f32>(rank_xendcg_minus_infinity()), scores - maximum, is_open);
    let weights = rank_xendcg_weights_of(cells);
    next.total += sum4(select(vec4<f32>(), exp(below), is_open));
    next.mass += sum4(weights);
    next.dot += sum4(select(weights * below, vec4<f32>(), weights == vec4<f32>()));
    return next;
}

fn rank_xendcg_join(sums: RankXendcgSums) -> RankXendcgSums {
    let maximum = row_group_max(sums.maximum);
    let own = rank_xendcg_raised(sums, maximum - sums.maximum);
    return RankXendcgSums(maximum, row_group_sum(own.total), row_group_sum(own.mass), row_group_sum(own.dot));
}

fn rank_xendcg_finish(row: Row, sums: RankXendcgSums) -> RankXendcgOutcome {
    var log_total = log_accurate(sums.total);
    var inverse = 1.0 / sums.total;
    if sums.total == 0.0 {
        log_total = 0.0;
        inverse = 0.0;
    }
    // inf - inf makes the whole list NaN.
    if bitcast<u32>(sums.maximum) == INFINITY_BITS {
        log_total = nan_of(row);
        inverse = log_total;
    }
    let share = select(1.0 / sums.mass, 0.0, sums.mass == 0.0);
    let loss = select(log_total - sums.dot * share, 0.0, sums.mass == 0.0);
    return RankXendcgOutcome(loss, sums.maximum, inverse, share);
}

fn rank_xendcg_gradient(row: Row, outcome: RankXendcgOutcome, cells: Cells) -> vec4<f32> {
    let scores = rank_xendcg_scores_of(cells);
    let d_logits = exp(scores - outcome.maximum) * outcome.inverse - rank_xendcg_weights_of(cells) * outcome.share;
    return select(vec4<f32>(), d_logits, (scores >= vec4<f32>(LOWEST)) & vec4<bool>(outcome.share != 0.0));
}

fn rank_xendcg_auxiliary(place: u32, row: Row, outcome: RankXendcgOutcome) {}
