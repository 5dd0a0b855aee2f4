"""Losses of lists of scores, and of survival times. s are the scores of a list, y its targets; an item whose target is below 0 is padding."""

import optax
import torch
import torch.nn.functional as F

import draw
from peer import by_jax, by_torch


@by_torch(
    "bpr", "float64 autograd of -log sigmoid(s+ - s-) (Rendle et al.)", gradients=("positive", "negative"), draw=draw.two_scores
)
def bpr(case):
    return case.reduce(-F.logsigmoid(case.positive - case.negative))


def over_lists(case, value_of):
    """The values of all lists, from the scores and targets of their items; `mean` is over the lists that have any."""
    is_item = case.targets >= 0
    rows = zip(case.predictions, case.targets, is_item)
    values = torch.stack([value_of(scores[kept], targets[kept]) for scores, targets, kept in rows])
    return case.reduce(values, count=is_item.any(-1).sum())


def gains(targets):
    return 2**targets - 1


def ideal(targets, top_n=0):
    """DCG of the best order, of the first `top_n` (0: all)."""
    ordered = gains(targets).sort(descending=True).values
    return (ordered * discounts(len(targets), top_n)).sum()


def discounts(count, top_n):
    places = torch.arange(count, dtype=torch.float64)
    found = 1 / (2 + places).log2()
    return found * (places < top_n) if top_n else found


def places(scores):
    """The place of each item by its score, the highest first; ties keep their order."""
    return scores.argsort(descending=True, stable=True).argsort()


# Pairs of items i and j with y_i > y_j, d = (s_i - s_j) / temperature.

LOSSES_OF_PAIRS = {
    "pairwise_logistic": lambda d: -F.logsigmoid(d),
    "pairwise_hinge": lambda d: F.relu(1 - d),
    "pairwise_soft_zero_one": lambda d: (-d).sigmoid(),
    "lambda_rank": lambda d: -F.logsigmoid(d),
}


def pair_weights(kind, scores, targets, top_n):
    """None, |y_i - y_j|, or what swapping the two changes in NDCG; constants in the derivative."""
    if kind == "label_diff":
        return (targets[:, None] - targets[None, :]).abs()
    if kind == "ndcg":
        gain, discount = gains(targets), discounts(len(targets), top_n)[places(scores.detach())]
        best = ideal(targets, top_n)
        change = (gain[:, None] - gain[None, :]).abs() * (discount[:, None] - discount[None, :]).abs()
        return change / best if best > 0 else torch.zeros_like(change)
    return torch.ones(len(targets), len(targets), dtype=torch.float64)


def over_pairs(name, what):
    @by_torch(name, what, draw=draw.lists)
    def pairs(case):
        kind = case.option("lambda", "ndcg" if name == "lambda_rank" else "none")
        temperature, top_n = case.option("temperature", 1.0), case.option("top_n", 0)
        count = 0

        def value_of(scores, targets):
            nonlocal count
            is_pair = targets[:, None] > targets[None, :]
            count += is_pair.sum()
            found = LOSSES_OF_PAIRS[name]((scores[:, None] - scores[None, :]) / temperature)
            return (pair_weights(kind, scores, targets, top_n) * found)[is_pair].sum()

        if name == "lambda_rank":  # its mean is over the lists
            return over_lists(case, value_of)
        rows = zip(case.predictions, case.targets, case.targets >= 0)
        values = torch.stack([value_of(scores[kept], targets[kept]) for scores, targets, kept in rows])
        return case.reduce(values, count=count)


for name in ["pairwise_logistic", "pairwise_hinge", "pairwise_soft_zero_one"]:
    over_pairs(name, "float64 autograd over pairs with y_i > y_j, each with its weight held fixed")
over_pairs(
    "lambda_rank", "float64 autograd of sum |delta NDCG| softplus(-(s_i-s_j)) per list, weights held fixed (Burges; LambdaLoss)"
)


# Whole lists.


@by_jax("ranking_softmax", "ranking_softmax_loss(where=targets>=0)", draw=draw.lists)
def ranking_softmax(case):
    is_item = case.targets >= 0
    values = optax.losses.ranking_softmax_loss(case.predictions, case.targets, where=is_item, reduce_fn=None)
    return case.reduce(values, count=is_item.any(-1).sum())


@by_torch("list_net", "float64 autograd of CE(softmax(targets), softmax(scores)) per list (ListNet top-one)", draw=draw.lists)
def list_net(case):
    return over_lists(case, lambda s, y: -(y.softmax(-1) * s.log_softmax(-1)).sum())


@by_torch("list_mle", "float64 autograd of the Plackett-Luce NLL of the order by label (descending, stable)", draw=draw.lists)
def list_mle(case):
    def value_of(scores, targets):
        ordered = scores[targets.argsort(descending=True, stable=True)]
        return (ordered.flip(0).logcumsumexp(0).flip(0) - ordered).sum()

    return over_lists(case, value_of)


@by_torch(
    "pairwise_mse",
    "float64 autograd of the mean over pairs of ((s_i-s_j)-(y_i-y_j))^2 per list (TF-Ranking)",
    draw=draw.lists,
)
def pairwise_mse(case):
    def value_of(scores, targets):
        apart = (scores[:, None] - scores[None, :]) - (targets[:, None] - targets[None, :])
        pairs = len(scores) * (len(scores) - 1)
        return (apart**2).sum() / max(pairs, 1)

    return over_lists(case, value_of)


@by_torch(
    "rank_xendcg",
    "float64 autograd of CE(q, softmax(s)), q = (2^y - noise)/sum per list (Bruch)",
    draw=draw.lists_and_noise,
)
def rank_xendcg(case):
    noise = case.get("noise")
    noise = torch.ones(case.predictions.shape[-1], dtype=torch.float64) if noise is None else noise
    rows = zip(case.predictions, case.targets, case.targets >= 0)

    def value_of(scores, targets, noise):
        weights = 2**targets - noise
        return -(weights * scores.log_softmax(-1)).sum() / weights.sum() if weights.sum() > 0 else 0 * scores.sum()

    values = torch.stack([value_of(scores[kept], targets[kept], noise[kept]) for scores, targets, kept in rows])
    return case.reduce(values, count=(case.targets >= 0).any(-1).sum())


def smooth_ranks(scores, temperature):
    """1/2 + sum over all j, i too, of sigmoid((s_j - s_i) / temperature)."""
    return 0.5 + ((scores[None, :] - scores[:, None]) / temperature).sigmoid().sum(-1)


@by_torch("approx_ndcg", "float64 autograd of -ApproxNDCG (Qin et al.; TF-Ranking)", draw=draw.lists)
def approx_ndcg(case):
    temperature = case.option("temperature", 0.1)

    def value_of(scores, targets):
        if not (targets > 0).any():
            return 0 * scores.sum()
        return -(gains(targets) / (1 + smooth_ranks(scores, temperature)).log2()).sum() / ideal(targets)

    return over_lists(case, value_of)


@by_torch(
    "approx_mrr",
    "float64 autograd of -sum(y/r)/sum(y), r = 1/2 + sum sigmoid((s_j - s_i)/T) (Qin et al.; TF-Ranking)",
    draw=draw.lists,
)
def approx_mrr(case):
    temperature = case.option("temperature", 0.1)

    def value_of(scores, targets):
        if not (targets > 0).any():
            return 0 * scores.sum()
        return -(targets / smooth_ranks(scores, temperature)).sum() / targets.sum()

    return over_lists(case, value_of)


@by_torch(
    "unique_softmax",
    "float64 autograd of the gain-weighted softmax over the item and those below it (Zhu and Klabjan; TF-Ranking)",
    draw=draw.lists,
)
def unique_softmax(case):
    def value_of(scores, targets):
        is_below = (targets[None, :] < targets[:, None]) | torch.eye(len(targets), dtype=torch.bool)
        lse = scores.expand(len(scores), -1).masked_fill(~is_below, -torch.inf).logsumexp(-1)
        return (gains(targets) * (lse - scores)).sum()

    return over_lists(case, value_of)


@by_torch(
    "calibrated_softmax", "float64 autograd of the softmax loss with a virtual item of score 0 (Yan et al.)", draw=draw.lists
)
def calibrated_softmax(case):
    virtual = torch.tensor([case.option("virtual_label", 1.0)], dtype=torch.float64)

    def value_of(scores, targets):
        logarithms = torch.cat([scores, torch.zeros(1, dtype=torch.float64)]).log_softmax(-1)
        return -(torch.cat([targets, virtual]) * logarithms).sum()

    return over_lists(case, value_of)


@by_torch(
    "cox",
    "float64 autograd of the partial likelihood, each event against its risk set (Cox 1972; ties: Breslow 1974, Efron 1977)",
    draw=draw.lists_of_times,
)
def cox(case):
    ties, values, events = case.option("ties", "breslow"), [], 0
    for scores, times, seen in zip(case.predictions, case.times, case.events):
        hazards, value = scores.exp() * (times >= 0), torch.zeros((), dtype=torch.float64)
        for time in times[(times >= 0) & (seen > 0)].unique():
            tied = (times == time) & (seen > 0)
            at_risk, count = hazards[times >= time].sum(), int(tied.sum())
            for place in range(count):
                left_out = place / count * hazards[tied].sum() if ties == "efron" else 0
                value = value + (at_risk - left_out).log()
            value = value - scores[tied].sum()
            events += count
        values.append(value)
    return case.reduce(torch.stack(values), count=events)
