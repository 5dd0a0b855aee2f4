"""Losses of rows of classes. x are the scores of a row, y its label, t its target, p the softmax of x."""

import jax
import mpmath
import numpy as np
import optax
import torch
import torch.nn.functional as F

import draw
from peer import by_hand, by_jax, by_torch


def one_hot(case):
    """The targets as [rows, classes]: as they are, or 1 at the label."""
    if case.targets.shape == case.predictions.shape:
        return case.targets
    return F.one_hot(case.labels, case.predictions.shape[-1]).double()


def with_margin(case, transform):
    """ArcFace, CosFace and SphereFace: the label's cosine with its margin, all cosines times the scale."""
    cosines, is_label = case.predictions, one_hot(case).bool()
    if transform == "cosface":
        changed = cosines - case.option("margin", 0.35)
    elif transform == "sphereface":
        angle = case.option("margin", 4.0) * cosines.acos()
        sector = (angle.detach() / torch.pi).floor()
        changed = torch.where(sector % 2 == 0, 1.0, -1.0) * angle.cos() - 2 * sector
    else:
        margin = torch.tensor(case.option("margin", 0.5), dtype=torch.float64)
        angle = cosines.acos() + margin
        changed = torch.where(angle <= torch.pi, angle.cos(), cosines - margin * margin.sin())
    return case.option("scale", 64.0) * torch.where(is_label, changed, cosines)


@by_torch("cross_entropy", "F.cross_entropy", draw=draw.cosines_or_scores_and_labels)
def cross_entropy(case):
    logits = case.predictions
    if softcap := case.option("softcap"):
        logits = softcap * (logits / softcap).tanh()
    logits = logits / case.option("temperature", 1.0)
    if transform := case.option("target_logit_transform"):
        logits = with_margin(case, transform)
    options = {"weight": case.get("class_weight"), "label_smoothing": case.option("label_smoothing", 0.0)}
    ignored, z_loss = case.option("ignore_index", -100), case.option("z_loss", 0.0)
    if case.targets.shape == case.predictions.shape:
        targets, is_kept, count = case.targets, 1, None
    else:
        targets, is_kept = case.labels, case.labels != ignored
        count = kept_weight(case, is_kept)
        options["ignore_index"] = ignored
    if not z_loss and "weight" not in case.inputs:
        return case.reduced_by(F.cross_entropy, logits, targets, **options)
    values = F.cross_entropy(logits, targets, reduction="none", **options)
    return case.reduce(values + z_loss * logits.logsumexp(-1) ** 2 * is_kept, count)


def kept_weight(case, is_kept):
    """What the mean over labels divides by, as in torch: the class weights of the rows that are kept, or their number."""
    weight = case.get("class_weight")
    return is_kept.sum() if weight is None else weight[case.labels[is_kept]].sum()


@by_torch("nll", "F.nll_loss", draw=draw.log_probabilities_and_labels)
def nll(case):
    options = {"weight": case.get("class_weight"), "ignore_index": case.option("ignore_index", -100)}
    if "weight" not in case.inputs:
        return case.reduced_by(F.nll_loss, case.predictions, case.labels, **options)
    values = F.nll_loss(case.predictions, case.labels, reduction="none", **options)
    return case.reduce(values, kept_weight(case, case.labels != options["ignore_index"]))


@by_torch("multi_margin", "F.multi_margin_loss", draw=draw.scores_and_labels)
def multi_margin(case):
    options = {"p": int(case.option("p", 1)), "margin": case.option("margin", 1.0), "weight": case.get("class_weight")}
    return case.reduced_by(F.multi_margin_loss, case.predictions, case.labels, **options)


@by_jax("multiclass_hinge", "multiclass_hinge_loss (Crammer-Singer)", draw=draw.scores_and_labels)
def multiclass_hinge(case):
    return case.reduce(optax.losses.multiclass_hinge_loss(case.predictions, case.labels))


def label_log_probability(case):
    return case.predictions.log_softmax(-1).gather(-1, case.labels[..., None])[..., 0]


@by_torch("focal", "float64 autograd of -(1-p)^gamma log p (Lin et al.)", draw=draw.scores_and_labels)
def focal(case):
    logarithm = label_log_probability(case)
    factor = case.option("alpha", 1.0) * (1 - logarithm.exp()) ** case.option("gamma", 2.0)
    return case.reduce(-factor * logarithm)


@by_jax("poly1_cross_entropy", "poly_loss_cross_entropy", draw=draw.scores_and_labels)
def poly1_cross_entropy(case):
    labels = jax.nn.one_hot(case.labels, case.predictions.shape[-1], dtype=float)
    return case.reduce(optax.losses.poly_loss_cross_entropy(case.predictions, labels, epsilon=case.option("epsilon", 2.0)))


@by_torch(
    "poly1_cross_entropy", "float64 autograd of poly_loss_cross_entropy with dense labels (optax)", draw=draw.scores_and_labels
)
def poly1_cross_entropy_dense(case):
    targets, logarithms = one_hot(case), case.predictions.log_softmax(-1)
    missed = (targets * (1 - logarithms.exp())).sum(-1)
    return case.reduce(-(targets * logarithms).sum(-1) + case.option("epsilon", 2.0) * missed)


@by_torch("poly_cross_entropy", "float64 autograd of -log p + sum eps_j (1-p)^j (Leng et al.)", draw=draw.scores_and_labels)
def poly_cross_entropy(case):
    return poly(case, case.option("epsilons", [2.0]))


def poly(case, epsilons):
    targets, logarithms = one_hot(case), case.predictions.log_softmax(-1)
    missed = 1 - (targets * logarithms.exp()).sum(-1)
    terms = sum(epsilon * missed ** (j + 1) for j, epsilon in enumerate(epsilons))
    return case.reduce(-(targets * logarithms).sum(-1) + terms)


@by_torch(
    "generalized_cross_entropy",
    "float64 autograd of (1-p^q)/q of the softmax (Zhang & Sabuncu; Keras)",
    draw=draw.scores_and_labels,
)
def generalized_cross_entropy(case):
    q = case.option("q", 0.7)
    return case.reduce((1 - label_log_probability(case).exp() ** q) / q)


@by_torch(
    "logit_adjusted_cross_entropy",
    "float64 autograd of F.cross_entropy(x + tau log prior) (Menon et al.)",
    draw=draw.scores_labels_and_prior,
)
def logit_adjusted_cross_entropy(case):
    prior, tau = case.get("class_prior"), case.option("tau", 1.0)
    shift = 0.0 if prior is None else tau * (prior / prior.sum()).log()
    return case.reduced_by(F.cross_entropy, case.predictions + shift, case.labels)


@by_torch(
    "ldam",
    "float64 autograd of F.cross_entropy(s (x - onehot C/n^(1/4))), C such that the largest margin is m (Cao et al.)",
    draw=draw.scores_labels_and_prior,
)
def ldam(case):
    counts = case.get("class_prior")
    counts = torch.ones(case.predictions.shape[-1], dtype=torch.float64) if counts is None else counts
    margins = counts**-0.25
    margins = margins * (case.option("margin", 0.5) / margins.max())
    return case.reduced_by(F.cross_entropy, case.option("scale", 30.0) * (case.predictions - one_hot(case) * margins), case.labels)


@by_torch(
    "sampled_softmax",
    "float64 autograd of F.cross_entropy(x - log Q) (Jean et al.; Yi et al.)",
    draw=draw.sampled_scores,
)
def sampled_softmax(case):
    expected = case.get("expected_count")
    return case.reduced_by(F.cross_entropy, case.predictions - (0.0 if expected is None else expected.log()), case.labels)


@by_torch("multilabel_margin", "F.multilabel_margin_loss", draw=draw.label_sets)
def multilabel_margin(case):
    return case.reduced_by(F.multilabel_margin_loss, case.predictions, case.labels)


@by_torch("multilabel_soft_margin", "F.multilabel_soft_margin_loss", draw=draw.logits_and_shares)
def multilabel_soft_margin(case):
    x, t, weight, pos_weight = case.predictions, case.targets, case.get("class_weight"), case.get("pos_weight")
    if pos_weight is None:
        return case.reduced_by(F.multilabel_soft_margin_loss, x, t, weight=weight)
    # torch's function takes no pos_weight: the mean over the classes of the one that does.
    cells = F.binary_cross_entropy_with_logits(x, t, weight=weight, pos_weight=pos_weight, reduction="none")
    return case.reduce(cells.mean(-1))


@by_jax("sparsemax", "multiclass_sparsemax_loss", draw=draw.scores_and_labels)
def sparsemax(case):
    return case.reduce(optax.losses.multiclass_sparsemax_loss(case.predictions, case.labels))


@by_torch("kl_div", "F.kl_div", draw=draw.logarithms)
def kl_div(case):
    log_target = case.option("log_target", False)
    if case.reduction == "none":  # gradus gives one value for each row, torch one for each cell
        return case.reduce(F.kl_div(case.predictions, case.targets, reduction="none", log_target=log_target).sum(-1))
    return case.reduced_by(F.kl_div, case.predictions, case.targets, log_target=log_target)


@by_jax("generalized_kl", "generalized_kl_divergence", draw=draw.amounts)
def generalized_kl(case):
    return case.reduce(optax.losses.generalized_kl_divergence(case.predictions, case.targets))


def kl(first, second):
    """KL(first || second) of rows of log-probabilities."""
    return F.kl_div(second, first, reduction="none", log_target=True).sum(-1)


def js_divergence(p, q, beta):
    """beta KL(P||M) + (1-beta) KL(Q||M), M = beta P + (1-beta) Q, of logarithms; at 0 and 1 the two KL, as Liger."""
    if beta == 0:
        return kl(p, q)
    if beta == 1:
        return kl(q, p)
    m = (beta * p.exp() + (1 - beta) * q.exp()).log()
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


@by_torch(
    "jsd",
    "float64 autograd of the generalised JSD, m = beta p + (1-beta) q, p = exp(targets), q = exp(predictions) (Liger LigerJSD)",
    draw=draw.two_logarithms,
)
def jsd(case):
    return case.reduce(js_divergence(case.targets, case.predictions, case.option("beta", 0.5)))


@by_torch("dice", "float64 autograd of 1 - (2 sum(p t) + smooth) / (sum p + sum t + smooth) per row", draw=draw.masks)
def dice(case):
    p, t, smooth = case.predictions, case.targets, case.option("smooth", 1.0)
    return case.reduce(1 - (2 * (p * t).sum(-1) + smooth) / (p.sum(-1) + t.sum(-1) + smooth))


@by_torch(
    "generalized_dice",
    "float64 autograd of 1 - (2 sum(w I) + s)/(sum(w (P + T)) + s), w = 1/T^2 (Sudre et al., MONAI GeneralizedDiceLoss)",
    draw=draw.regions,
)
def generalized_dice(case):
    p, t, smooth = case.predictions, case.targets, case.option("smooth", 1e-5)
    total = t.sum(-1)
    weight = torch.where(total > 0, 1 / total.clamp(min=1e-30) ** 2, 0.0)
    weight = torch.where(total > 0, weight, weight.max(-1, keepdim=True).values)
    both, all = (weight * (p * t).sum(-1)).sum(-1), (weight * (p.sum(-1) + total)).sum(-1)
    return case.reduce(1 - (2 * both + smooth) / (all + smooth))


@by_torch("tversky", "float64 autograd of 1 - (I+smooth)/(I+alpha FP+beta FN+smooth) per row", draw=draw.masks)
def tversky(case):
    p, t, smooth = case.predictions, case.targets, case.option("smooth", 1.0)
    both, false, missed = (p * t).sum(-1), (p * (1 - t)).sum(-1), ((1 - p) * t).sum(-1)
    weighted = case.option("false_positive_weight", 0.5) * false + case.option("false_negative_weight", 0.5) * missed
    return case.reduce(1 - (both + smooth) / (both + weighted + smooth))


@by_hand(
    "entmax",
    "float64, threshold by 200 bisections, of the Fenchel-Young loss of the alpha-entmax (Peters, Niculae and Martins)",
    draw=draw.scores_and_labels,
)
def entmax(case):
    """p = max((alpha-1) x - tau, 0)^(1/(alpha-1)), where sum p = 1; the derivative is p - onehot."""
    x, alpha = case.predictions, case.option("alpha", 1.5)
    scaled = (alpha - 1) * x
    low, high = scaled.max(-1, keepdims=True) - 1, scaled.max(-1, keepdims=True)
    for _ in range(200):
        tau = (low + high) / 2
        is_low = (np.maximum(scaled - tau, 0) ** (1 / (alpha - 1))).sum(-1, keepdims=True) >= 1
        low, high = np.where(is_low, tau, low), np.where(is_low, high, tau)
    p = np.maximum(scaled - (low + high) / 2, 0) ** (1 / (alpha - 1))
    labels = case.labels[:, None]
    values = (p * (x - np.take_along_axis(x, labels, -1))).sum(-1) + (p - p**alpha).sum(-1) / (alpha * (alpha - 1))
    return values, p - (labels == np.arange(x.shape[-1]))


@by_torch(
    "categorical_hinge", "float64 autograd of max(neg - pos + 1, 0) (Keras categorical_hinge)", draw=draw.scores_and_labels
)
def categorical_hinge(case):
    x, t = case.predictions, one_hot(case)
    return case.reduce(F.relu(((1 - t) * x).amax(-1) - (t * x).sum(-1) + 1))


@by_torch(
    "ordinal",
    "float64 autograd of the sum of binary cross-entropies of y > k (CORAL, TF-Ranking OrdinalLoss)",
    draw=draw.ordered_labels,
)
def ordinal(case):
    is_above = (case.labels[:, None] > torch.arange(case.predictions.shape[-1])).double()
    return case.reduce(F.binary_cross_entropy_with_logits(case.predictions, is_above, reduction="none").sum(-1))


def softened(case):
    """What distillation reads: the temperature T, the factor T^2, and beta if the divergence is jsd."""
    temperature = case.option("temperature", 2.0)
    factor = temperature**2 if case.option("scaled", True) else 1.0
    # KL(p||q) is the generalised JSD with beta 0.
    beta = case.option("beta", 0.5) if case.option("divergence", "kl") == "jsd" else 0
    return temperature, factor, beta


@by_torch(
    "distillation",
    "float64 autograd of T^2 kl_div(log_softmax(x/T), log_softmax(y/T)) (Hinton et al.), or of T^2 times the generalised JSD",
    draw=draw.real,
)
def distillation(case):
    temperature, factor, beta = softened(case)
    student = (case.predictions / temperature).log_softmax(-1)
    teacher = (case.targets / temperature).log_softmax(-1)
    return case.reduce(factor * js_divergence(teacher, student, beta))


@by_hand("distillation", "50 digits, of the formula and its central differences", peer="mpmath")
def distillation_of_near_distributions(case):
    """Of a student near its teacher float64 keeps few digits: 50 digits, and differences over 2^-50 on both sides."""
    temperature, factor, beta = softened(case)
    step = mpmath.mpf(2) ** -50

    def distribution(scores):
        powers = [mpmath.exp(score / temperature) for score in scores]
        return [power / sum(powers) for power in powers]

    def divergence(first, second):
        return sum(a * mpmath.log(a / b) for a, b in zip(first, second))

    def value(student, teacher):
        q, p = distribution(student), distribution(teacher)
        if beta in (0, 1):
            return factor * (divergence(p, q) if beta == 0 else divergence(q, p))
        m = [beta * a + (1 - beta) * b for a, b in zip(p, q)]
        return factor * (beta * divergence(p, m) + (1 - beta) * divergence(q, m))

    def derivative(student, teacher, place):
        above, below = list(student), list(student)
        above[place] += step
        below[place] -= step
        return (value(above, teacher) - value(below, teacher)) / (2 * step)

    with mpmath.workdps(50):
        temperature, factor, beta = mpmath.mpf(temperature), mpmath.mpf(factor), mpmath.mpf(beta)
        rows = [[[mpmath.mpf(x) for x in row] for row in pair] for pair in zip(case.predictions, case.targets)]
        values = np.array([float(value(*pair)) for pair in rows])
        gradient = [[float(derivative(*pair, place)) for place in range(len(pair[0]))] for pair in rows]
    return values, np.array(gradient)


@by_torch("total_variation", "float64 autograd of sum |p - q| / 2 (Liger LigerTVDLoss)", draw=draw.two_distributions)
def total_variation(case):
    return case.reduce((case.predictions - case.targets).abs().sum(-1) / 2)
