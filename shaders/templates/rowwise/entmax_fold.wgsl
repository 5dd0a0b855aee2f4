// The Fenchel-Young loss of the alpha-entmax against a label y, 1 <= ALPHA <= 2 (1: softmax; 2:
// sparsemax), x = s - max s:
//
//     p = [1 + (ALPHA - 1)(x - theta)]+ ^ (1/(ALPHA - 1)), theta >= 0 such that sum of p = 1
//     loss = sum of p (x - x_y) + (1/ALPHA) sum of p (theta - x),  d/ds = p - [y]
//
// The sum is decreasing and convex in theta, so that a Newton step from any point ends at or before
// the root. It is a lower bound; the last theta with a sum below 1 is an upper bound. Newton steps
// and bisections alternate, PASSES in total. Twelve reached full f32 precision for up to 20,000
// classes of eight distributions, fourteen are used.

struct Sums {
    pass_number: u32,
    maximum: f32,
    low: f32,
    high: f32,
    theta: f32,
    total: f32,   // of p
    others: f32,  // sum of p without the label
    falling: f32, // -d total/d theta, the sum of p^(2 - ALPHA)
    dot: f32,     // sum of p x without the label
}

struct Outcome {
    loss: f32,
    maximum: f32,
    theta: f32,
    share: f32, // 1/total
    label_gradient: f32,
}

// Placeholder for a masked score, below all scores.
const CLOSED: f32 = -3.0e38;

fn scores_of(cells: Cells) -> vec4<f32> {
    return select(vec4<f32>(CLOSED), cells.logits, cells.kept);
}

// p^(ALPHA - 1), or p itself at an ALPHA where that is always 1.
fn root_of(below: vec4<f32>, theta: f32) -> vec4<f32> {
    return max(1.0 + (ALPHA - 1.0) * (below - theta), vec4<f32>());
}

fn probabilities(below: vec4<f32>, theta: f32) -> vec4<f32> {
    if ALPHA == 1.0 {
        return exp(below - theta);
    }
    let roots = root_of(below, theta);
    if ALPHA == 2.0 {
        return roots;
    }
    if ALPHA == 1.5 {
        return roots * roots;
    }
    var found = vec4<f32>();
    for (var k = 0u; k < 4u; k += 1u) {
        if roots[k] > 0.0 {
            // By ln(1 + w), which is accurate for small w, when ALPHA is near 1.
            found[k] = exp(ln_1p((ALPHA - 1.0) * (below[k] - theta)) / (ALPHA - 1.0));
        }
    }
    return found;
}

fn empty_sums() -> Sums {
    return Sums(0u, LOWEST, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
}

fn fold(sums: Sums, cells: Cells) -> Sums {
    let scores = scores_of(cells);
    var next = sums;
    if sums.pass_number == 0u {
        next.maximum = max(sums.maximum, max(max(scores.x, scores.y), max(scores.z, scores.w)));
        return next;
    }
    let is_open = scores >= vec4<f32>(LOWEST);
    let below = select(vec4<f32>(CLOSED), scores - sums.maximum, is_open);
    let p = select(vec4<f32>(), probabilities(below, sums.theta), is_open);
    var falling = p;
    if ALPHA != 1.0 {
        let roots = root_of(below, sums.theta);
        falling = select(vec4<f32>(), p / roots, roots > vec4<f32>());
    }
    next.total += sum4(p);
    let others = select(p, vec4<f32>(), cells.is_label);
    next.others += sum4(others);
    next.falling += sum4(falling);
    next.dot += sum4(select(others * below, vec4<f32>(), others == vec4<f32>()));
    return next;
}

// No branch on the pass: it is uniform, but no compiler can prove that all threads reach a barrier
// after the branch, and WebGPU rejects the program. Before the first pass the sums are 0; after it
// the maximum is the same in all threads.
fn join(sums: Sums) -> Sums {
    var all = sums;
    all.maximum = row_group_max(sums.maximum);
    all.total = row_group_sum(sums.total);
    all.others = row_group_sum(sums.others);
    all.falling = row_group_sum(sums.falling);
    all.dot = row_group_sum(sums.dot);
    return all;
}

// The largest possible theta, when all scores are equal.
fn highest() -> f32 {
    let log_count = log_accurate(f32(row_length()));
    if ALPHA == 1.0 {
        return log_count;
    }
    return -exp_m1(-(ALPHA - 1.0) * log_count) / (ALPHA - 1.0);
}

fn restart(sums: Sums) -> Sums {
    var next = Sums(sums.pass_number + 1u, sums.maximum, sums.low, sums.high, 0.0, 0.0, 0.0, 0.0, 0.0);
    if sums.pass_number == 0u {
        next.high = highest();
        return next;
    }
    let excess = sums.total - 1.0;
    if excess < 0.0 {
        next.high = sums.theta;
    }
    next.low = clamp(sums.theta + excess / max(sums.falling, 1.0e-30), sums.low, next.high);
    // The last two steps are Newton steps.
    let halves = sums.pass_number % 2u == 0u && sums.pass_number + 3u < PASSES;
    next.theta = select(next.low, 0.5 * (next.low + next.high), halves);
    return next;
}

// The label's own term of the loss, p (theta - x_y)/ALPHA, computed from the sums of the others:
// theta - x_y = (1 - p^(ALPHA - 1))/(ALPHA - 1), p = 1 - others. Computed as a difference it would
// leave a rounding error when the loss is 0.
fn own_part(others: f32) -> f32 {
    if others >= 1.0 {
        return 0.0;
    }
    let log_p = ln_1p(-others);
    if ALPHA == 1.0 {
        return (1.0 - others) * -log_p;
    }
    return (1.0 - others) * -exp_m1((ALPHA - 1.0) * log_p) / ((ALPHA - 1.0) * ALPHA);
}

fn finish(row: Row, sums: Sums) -> Outcome {
    var share = select(1.0 / sums.total, 0.0, sums.total == 0.0);
    // For a score of +inf the difference is inf - inf, so the whole row is NaN.
    if bitcast<u32>(sums.maximum) == INFINITY_BITS {
        share = nan_of(row);
    }
    // An inf that no compiler folds away: the masked bit depends on a value known only at run time.
    var loss = bitcast<f32>(0x7f800000u | (row.state & 0x80000000u));
    let others = sums.others * share;
    if row.label != NO_LABEL && keeps(row, min(row.label, row_length() - 1u)) && row.label_logit >= LOWEST {
        let label_below = row.label_logit - sums.maximum;
        loss = (1.0 - 1.0 / ALPHA) * sums.dot * share + others * (sums.theta / ALPHA - label_below) + own_part(others);
    }
    return Outcome(loss, sums.maximum, sums.theta, share, -others);
}

fn gradient(row: Row, outcome: Outcome, cells: Cells) -> vec4<f32> {
    let scores = scores_of(cells);
    let is_open = scores >= vec4<f32>(LOWEST);
    let below = select(vec4<f32>(CLOSED), scores - outcome.maximum, is_open);
    let p = outcome.share * probabilities(below, outcome.theta);
    return select(vec4<f32>(), select(p, vec4<f32>(outcome.label_gradient), cells.is_label), is_open);
}

fn auxiliary(place: u32, row: Row, outcome: Outcome) {}
