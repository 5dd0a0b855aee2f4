"""Losses of vectors and of pairs of scores."""

import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import NPairsLoss, ProxyAnchorLoss, ProxyNCALoss, VICRegLoss

import draw
from peer import by_torch

BOTH = ("first", "second")


@by_torch("margin_ranking", "F.margin_ranking_loss", gradients=BOTH, draw=draw.two_scores_and_signs)
def margin_ranking(case):
    margin = case.option("margin", 0.0)
    return case.reduced_by(F.margin_ranking_loss, case.first, case.second, case.targets, margin=margin)


@by_torch("cosine_embedding", "F.cosine_embedding_loss", gradients=BOTH, draw=draw.two_vectors_and_signs)
def cosine_embedding(case):
    margin = case.option("margin", 0.0)
    return case.reduced_by(F.cosine_embedding_loss, case.first, case.second, case.targets, margin=margin)


@by_torch("triplet_margin", "F.triplet_margin_loss", gradients=("anchor", "positive", "negative"), draw=draw.three_vectors)
def triplet_margin(case):
    options = {"margin": case.option("margin", 1.0), "p": case.option("p", 2.0)}
    options |= {"swap": case.option("swap", False), "eps": case.option("epsilon", 1e-6)}
    return case.reduced_by(F.triplet_margin_loss, case.anchor, case.positive, case.negative, **options)


@by_torch("cosine_similarity", "(1 - F.cosine_similarity(dim=1))", draw=draw.real)
def cosine_similarity(case):
    epsilon = case.option("epsilon", 1e-8)
    return case.reduce(1 - F.cosine_similarity(case.predictions, case.targets, dim=1, eps=epsilon))


@by_torch(
    "contrastive",
    "float64 autograd of t d^2 + (1-t) max(margin-d,0)^2, d = F.pairwise_distance (Hadsell et al.)",
    gradients=BOTH,
    draw=draw.two_vectors_and_bits,
)
def contrastive(case):
    t, distance = case.targets, F.pairwise_distance(case.first, case.second, eps=case.option("epsilon", 1e-6))
    return case.reduce(t * distance**2 + (1 - t) * F.relu(case.option("margin", 1.0) - distance) ** 2)


@by_torch("info_nce", "float64 autograd of InfoNCE, in-batch negatives", gradients=BOTH, draw=draw.two_vectors)
def info_nce(case):
    first, second = case.first, case.second
    if case.option("normalize", True):
        first, second = F.normalize(first), F.normalize(second)
    scores = first @ second.T / case.option("temperature", 0.07)
    own = torch.arange(len(scores))
    values = F.cross_entropy(scores, own, reduction="none")
    if case.option("symmetric", False):  # CLIP
        values = (values + F.cross_entropy(scores.T, own, reduction="none")) / 2
    return case.reduce(values)


@by_torch(
    "n_pairs",
    "float64 autograd of pytorch_metric_learning NPairsLoss, embeddings not normalized",
    gradients=("anchor", "positive"),
    draw=draw.pairs_of_classes,
)
def n_pairs(case):
    """Its labels find the pairs: row i of both matrices has label i. It has no value for each row."""
    if case.reduction == "mean":
        labels = torch.arange(len(case.anchor)).repeat(2)
        distance = DotProductSimilarity(normalize_embeddings=False)
        return NPairsLoss(distance=distance)(torch.cat([case.anchor, case.positive]), labels)
    scores = case.anchor @ case.positive.T
    return case.reduce((scores - scores.diagonal()[:, None]).exp().sum(-1).log())


@by_torch(
    "barlow_twins",
    "float64 autograd of Zbontar et al. 2021: F.batch_norm and the correlations of two views",
    gradients=BOTH,
    draw=draw.two_vectors,
)
def barlow_twins(case):
    epsilon = case.option("epsilon", 1e-5)
    first, second = (F.batch_norm(x, None, None, training=True, eps=epsilon) for x in [case.first, case.second])
    correlations = first.T @ second / len(first)
    others = correlations - correlations.diagonal().diag()
    value = (1 - correlations.diagonal()).square().sum() + case.option("lambda", 0.005) * others.square().sum()
    return case.reduce(value[None])


@by_torch("vicreg", "float64 autograd of pytorch_metric_learning VICRegLoss", gradients=BOTH, draw=draw.two_vectors)
def vicreg(case):
    defaults = {"invariance_lambda": 25, "variance_mu": 25, "covariance_v": 1}
    options = {name: case.option(name, default) for name, default in defaults.items()}
    value = VICRegLoss(**options, eps=case.option("epsilon", 1e-4))(case.first, ref_emb=case.second)
    return case.reduce(value[None])


def with_proxies(name, loss_of, values_of):
    """The mean by the library; it has no value for each embedding, or for each proxy."""

    @by_torch(
        name,
        f"float64 autograd of pytorch_metric_learning {loss_of.__name__}",
        gradients=("predictions", "proxies"),
        draw=draw.vectors_proxies_and_labels,
    )
    def proxies(case):
        classes, columns = case.proxies.shape
        options = {option: case.option(ours, default) for option, (ours, default) in OPTIONS[name].items()}
        if case.reduction == "mean":
            loss = loss_of(classes, columns, **options)
            del loss.proxies
            loss.proxies = case.proxies
            return loss(case.predictions, case.labels)
        scores = F.normalize(case.predictions) @ F.normalize(case.proxies).T
        is_own = case.labels[:, None] == torch.arange(classes)[None, :]
        return case.reduce(values_of(scores, is_own, **options))


def proxy_nca_values(scores, is_own, softmax_scale):
    return -(-softmax_scale * (2 - 2 * scores)).log_softmax(-1)[is_own]


def proxy_anchor_values(scores, is_own, margin, alpha):
    pulled = (-alpha * (scores - margin)).exp().masked_fill(~is_own, 0.0).sum(0).log1p()
    pushed = (alpha * (scores + margin)).exp().masked_fill(is_own, 0.0).sum(0).log1p()
    return is_own.shape[1] / is_own.any(0).sum() * pulled + pushed


OPTIONS = {
    "proxy_nca": {"softmax_scale": ("scale", 1.0)},
    "proxy_anchor": {"margin": ("margin", 0.1), "alpha": ("alpha", 32.0)},
}
with_proxies("proxy_nca", ProxyNCALoss, proxy_nca_values)
with_proxies("proxy_anchor", ProxyAnchorLoss, proxy_anchor_values)


# Embeddings and labels of a batch. Each loss sees the cosines of all pairs of rows.


def cosines(case):
    """Cosines of all pairs; which of them have one label (without a row with itself), and which have two."""
    unit, labels = F.normalize(case.predictions), case.labels
    is_same = labels[:, None] == labels[None, :]
    return unit @ unit.T, is_same & ~torch.eye(len(labels), dtype=torch.bool), ~is_same


def lse(scores, kept):
    return scores.masked_fill(~kept, -torch.inf).logsumexp(-1)


@by_torch(
    "sup_con", "float64 autograd of SupCon (L_out), rows without a positive left out of the mean", draw=draw.vectors_and_labels
)
def sup_con(case):
    scores, is_positive, is_negative = cosines(case)
    scores, count = scores / case.option("temperature", 0.1), is_positive.sum(-1)
    values = lse(scores, is_positive | is_negative) - (scores * is_positive).sum(-1) / count.clamp(min=1)
    return case.reduce(values * (count > 0), count=(count > 0).sum())


@by_torch(
    "nt_xent",
    "float64 autograd of NT-Xent over labels: each positive pair against its negatives",
    draw=draw.vectors_and_labels,
)
def nt_xent(case):
    scores, is_positive, is_negative = cosines(case)
    scores = scores / case.option("temperature", 0.07)
    pairs = F.softplus(lse(scores, is_negative)[:, None] - scores, threshold=700)
    return case.reduce((pairs * is_positive).sum(-1), count=is_positive.sum())


@by_torch("multi_similarity", "float64 autograd of Wang et al. 2019, equation 15", draw=draw.vectors_and_labels)
def multi_similarity(case):
    scores, is_positive, is_negative = cosines(case)
    alpha, beta, base = case.option("alpha", 2.0), case.option("beta", 50.0), case.option("base", 0.5)
    pulled = ((-alpha * (scores - base)).exp() * is_positive).sum(-1).log1p() / alpha
    pushed = ((beta * (scores - base)).exp() * is_negative).sum(-1).log1p() / beta
    return case.reduce(pulled + pushed)


@by_torch("circle", "float64 autograd of Sun et al. 2020, equation 4, alpha detached", draw=draw.vectors_and_labels)
def circle(case):
    scores, is_positive, is_negative = cosines(case)
    margin, gamma = case.option("margin", 0.4), case.option("gamma", 80.0)
    fixed = scores.detach() if case.option("detach", True) else scores
    negatives = lse(gamma * F.relu(fixed + margin) * (scores - margin), is_negative)
    positives = lse(-gamma * F.relu(1 + margin - fixed) * (scores - 1 + margin), is_positive)
    is_kept = is_positive.any(-1) & is_negative.any(-1)
    values = F.softplus((negatives + positives)[is_kept], threshold=700)
    return case.reduce(torch.zeros(len(scores), dtype=torch.float64).masked_scatter(is_kept, values), count=is_kept.sum())


@by_torch(
    "batch_triplet",
    "float64 autograd of the triplet loss on unit vectors, mined in the batch (Hermans et al. 2017; Schroff et al. 2015)",
    draw=draw.vectors_and_labels,
)
def batch_triplet(case):
    """Row by row, as the miners are written: the farthest positive and nearest negative, or a negative for each positive."""
    scores, is_positive, is_negative = cosines(case)
    margin, mining = case.option("margin", 0.3), case.option("mining", "batch_hard")
    values, count = [], 0
    for row, positive, negative in zip(scores, is_positive, is_negative):
        value = torch.zeros((), dtype=torch.float64)
        if positive.any() and negative.any():
            together, apart = (2 - 2 * row[positive]).sqrt(), (2 - 2 * row[negative]).sqrt()
            if mining == "batch_hard":
                pairs = [(together.max(), apart.min())]
            else:
                farther = [apart[apart > distance] for distance in together]
                pairs = [(d, found.min() if len(found) else apart.max()) for d, found in zip(together, farther)]
            value = sum(F.relu(near - far + margin) for near, far in pairs)
            count += len(pairs)
        values.append(value)
    return case.reduce(torch.stack(values), count=count)
