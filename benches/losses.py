"""The table of all losses from the JSON of `gradus bench`: time of value and gradient, and as a share of a copy's.

    cargo run --release -- bench --device gpu LOSS ... --json > benches/results/DATE-losses-ADAPTER.json
    python3 benches/losses.py benches/results/DATE-losses-ADAPTER.json > benches/losses.md

Without names of losses `bench` measures the rest too; rows that are no loss are left out here. A run on a GPU measures the
CPU beside it. Several files are one table: of a case that stands in two the later one counts.
"""

import json
import sys

NO_LOSS = "copy read fma matmul matmul_nt matmul_tn dense adam train_step epoch".split()

# The goal: of rows of many logits 0.4 of a copy's rate, of everything pointwise 0.6.
ROWWISE = 0.4
POINTWISE = 0.6

# What keeps a loss below: counted in its shader, per element (a "log" is a series and a division).
REASONS = {
    "log_cosh": "1 exp, 1 log, 2 series, 2 divisions: all for digits near 0",
    "cauchy": "1 log of the whole range, 2 divisions",
    "msle": "1 log of the whole range, 3 divisions",
    "bce": "2 logs, of which one of subnormal numbers too, 3 divisions",
    "bce_with_logits": "1 exp, 1 log, 2 divisions",
    "binary_focal": "1 exp, 1 log, 3 divisions, a power",
    "soft_margin": "1 exp, 1 log, 2 divisions",
    "exponential": "1 exp of 1.5 ulp, where a driver's own may lose 3 + 2|x|",
    "poisson_nll": "1 exp of 1.5 ulp, where a driver's own may lose 3 + 2|x|",
    "gamma_deviance": "2 exps that keep their digits",
    "tweedie": "3 exps with their excess over 1, 1 log, 1 power: digits at its best, where the terms cancel",
    "gaussian_nll": "1 log, 3 divisions",
    "bpr": "1 exp, 1 log, 2 divisions",
    "pseudo_huber": "1 root, 2 divisions",
    "cross_entropy": "1 exp in each of 2 passes; rows of 10 and 32,000 besides: a start for each row, a second reading from memory",
    "nll": "1 gradient of zeros for each row of logarithms, and a start for each row",
    "focal": "1 exp in each of 2 passes",
    "poly1_cross_entropy": "1 exp in each of 2 passes",
    "poly_cross_entropy": "1 exp in each of 2 passes",
    "generalized_cross_entropy": "1 exp in each of 2 passes",
    "linear_cross_entropy": "three matrix products: bound by arithmetic",
    "linear_multilabel_soft_margin": "three matrix products: bound by arithmetic",
    "linear_distillation": "matrix products of student and teacher: bound by arithmetic",
    "linear_dpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_simpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_orpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_grpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_bnpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_dr_grpo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_dapo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_cispo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_sapo": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "linear_kto": "four matrix products, as the logits are computed twice: bound by arithmetic",
    "info_nce": "n² scores of n vectors, never stored: bound by their products, 1 exp each",
    "sup_con": "n² scores of n vectors, never stored: bound by their products, 1 exp each",
    "nt_xent": "n² scores of n vectors, never stored: bound by their products, 1 exp each",
    "multi_similarity": "n² scores of n vectors, never stored: bound by their products, 1 exp each",
    "circle": "n² scores of n vectors, never stored: bound by their products, 1 exp each",
    "batch_triplet": "n² distances of n vectors, looked through by each row for its triplets",
    "proxy_nca": "scores of n vectors and their proxies: bound by their products, 1 exp each",
    "proxy_anchor": "scores of n vectors and their proxies: bound by their products, 1 exp each",
    "jsd": "3 exps and 1 log",
    "distillation": "2 exps in each of 2 passes, and half of one more in the first, where the maxima rise",
    "list_net": "2 exps in each of 2 passes",
    "ranking_softmax": "1 exp in each of 2 passes, and which lists have items is counted first",
    "calibrated_softmax": "1 exp in each of 2 passes, and which lists have items is counted first",
    "kl_div": "1 log",
    "sparsemax": "16 passes over the row: the maximum, 14 that close in on the threshold, the gradient",
    "entmax": "16 passes over the row: the maximum, 14 that close in on the threshold, the gradient",
    "multilabel_soft_margin": "1 exp and 1 log in the first pass, 1 exp in the second",
    "ordinal": "1 exp and 1 log",
    "multiclass_hinge": "2 passes, the second of which looks for the largest rival again",
    "multi_margin": "2 passes, the margin to the label in each",
    "categorical_hinge": "2 passes",
        "multilabel_margin": "n² pairs of a row of n",
    "pairwise_logistic": "n² pairs of a list of n, 1 exp and 1 log each",
    "pairwise_hinge": "n² pairs of a list of n",
    "pairwise_soft_zero_one": "n² pairs of a list of n, 1 exp each",
    "lambda_rank": "n² pairs of a list of n, 1 exp and 1 log each, and the ranks of n² comparisons",
    "approx_ndcg": "n² pairs of a list of n, 1 exp each, twice: the ranks, then their derivatives",
    "approx_mrr": "n² pairs of a list of n, 1 exp each, twice: the ranks, then their derivatives",
    "list_mle": "n² pairs of a list of n, 1 exp each: every place sums over the places below",
    "unique_softmax": "n² pairs of a list of n, 1 exp each: every item sums over the items below",
    "ctc": "one step after the other along the sequence, in logarithms: 2 exps and 1 log for each cell",
    "rnnt": "one diagonal after the other through the lattice: 2 exps for each node, 2 for each logit",
    "cosine_similarity": "2 passes over short vectors: three dot products, then the gradient",
    "cosine_embedding": "2 passes over short vectors: three dot products, then the gradients",
    "contrastive": "2 passes over short vectors: a distance, then the gradients",
    "triplet_margin": "2 passes over short vectors: three distances, then the gradients",
    "dpo": "few numbers: the call itself, not the memory",
    "simpo": "few numbers: the call itself, not the memory",
    "orpo": "few numbers: the call itself, not the memory",
    "kto": "few numbers: the call itself, not the memory",
}


def milliseconds(row):
    return f"{1e3 * row['seconds']:.3g}" if row else ""


def fraction(row):
    found = row and row["copy_fraction"]
    if not found:
        return ""
    return f"{found:.2f}" if found >= 0.01 else f"{found:.1g}"


def goal_of(row):
    is_rowwise = len(row["shape"]) > 1 and row["name"] not in ("gaussian_nll", "bpr", "margin_ranking")
    return ROWWISE if is_rowwise else POINTWISE


def main(paths):
    rows = {}
    for path in paths:
        with open(path) as file:
            for row in json.load(file):
                if row["name"] not in NO_LOSS:
                    rows.setdefault((row["name"], tuple(row["shape"])), {})[row["device"]] = row
    gpu = next(row["gpu"] for row in rows.values() if "gpu" in row)
    print("# Time of every loss\n")
    print("Value and gradient in one call, inputs on the device; the median of repeated calls. A share is that of the rate at which")
    print("the same device copies, measured in turns with it, by the bytes that the loss has to read and write once.")
    print("The shares are the figures to compare: the times are of several runs, some beside other work on the machine.")
    print(f"Goal on software Vulkan: {POINTWISE} pointwise, {ROWWISE} of rows of 1,000; what is below says why.\n")
    print(f"{gpu['date'][:10]}, {gpu['processor']}, {gpu['threads']} threads; GPU: {gpu['adapter']}, {gpu['driver']}; CPU: f32.")
    print("Written by `python3 benches/losses.py " + " ".join(paths) + "`, whose head names the run.\n")
    print("| loss | shape | GPU ms | share | CPU ms | share | why the GPU's is below the goal |")
    print("|---|---|---|---|---|---|---|")
    for (name, shape), devices in rows.items():
        on_gpu, on_cpu = devices.get("gpu"), devices.get("cpu")
        found = on_gpu and on_gpu["copy_fraction"]
        is_below = found is not None and found < goal_of(on_gpu)
        reason = REASONS.get(name, "") if is_below else ""
        if is_below and not reason:
            sys.exit(f"{name} is below its goal: say why in REASONS")
        cells = [name, "×".join(map(str, shape)), milliseconds(on_gpu), fraction(on_gpu), milliseconds(on_cpu), fraction(on_cpu), reason]
        print("| " + " | ".join(cells) + " |")


main(sys.argv[1:])
