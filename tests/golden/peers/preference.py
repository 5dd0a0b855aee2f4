"""Losses of the log-probabilities of completions under a policy and other models: preferences, policy gradients."""

import torch
import torch.nn.functional as F

import draw
from peer import by_torch

CHOSEN_AND_REJECTED = ("policy_chosen", "policy_rejected")
SOURCES = {
    "sigmoid": "Rafailov et al. 2023",
    "hinge": "Zhao et al. 2023",
    "ipo": "Azar et al. 2023",
    "robust": "Ray Chowdhury et al. 2024",
    "apo_zero": "D'Oosterlinck et al. 2024",
    "apo_down": "D'Oosterlinck et al. 2024",
    "nca_pair": "Chen et al. 2024",
    "sppo_hard": "Wu et al. 2024",
}


def smoothed(h, smoothing):
    """ln(1 + e^-h), mixed with that of the opposite preference."""
    return -(1 - smoothing) * F.logsigmoid(h) - smoothing * F.logsigmoid(-h)


def dpo_values(case, chosen, rejected):
    """a and b are what the policy gained over the reference for the chosen and the rejected completion."""
    zero = torch.zeros_like(chosen)
    references = [case.get("reference_chosen"), case.get("reference_rejected")]
    a, b = (x - (zero if r is None else r) for x, r in zip([chosen, rejected], references))
    beta, smoothing = case.option("beta", 0.1), case.option("label_smoothing", 0.0)
    h = beta * (a - b)
    return {
        "sigmoid": lambda: smoothed(h, smoothing),
        "robust": lambda: (-(1 - smoothing) * F.logsigmoid(h) + smoothing * F.logsigmoid(-h)) / (1 - 2 * smoothing),
        "hinge": lambda: F.relu(1 - h),
        "ipo": lambda: (a - b - 1 / (2 * beta)) ** 2,
        "apo_zero": lambda: (1 - (beta * a).sigmoid()) + (beta * b).sigmoid(),
        "apo_down": lambda: (beta * a).sigmoid() + (1 - h.sigmoid()),
        "nca_pair": lambda: -F.logsigmoid(beta * a) - (F.logsigmoid(-beta * a) + F.logsigmoid(-beta * b)) / 2,
        "sppo_hard": lambda: (a - 1 / (2 * beta)) ** 2 + (b + 1 / (2 * beta)) ** 2,
    }[case.option("loss_type", "sigmoid")]()


@by_torch(
    "dpo",
    "float64 autograd of the published formula: " + "; ".join(f"{kind}: {source}" for kind, source in SOURCES.items()),
    gradients=CHOSEN_AND_REJECTED,
    draw=draw.log_likelihoods("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected"),
)
def dpo(case):
    return case.reduce(dpo_values(case, case.policy_chosen, case.policy_rejected))


def simpo_values(case, chosen, rejected):
    h = case.option("beta", 2.0) * (chosen - rejected) - case.option("gamma", 1.0)
    return smoothed(h, case.option("label_smoothing", 0.0))


@by_torch(
    "simpo",
    "float64 autograd of the published formula: Meng et al. 2024",
    gradients=CHOSEN_AND_REJECTED,
    draw=draw.log_likelihoods(*CHOSEN_AND_REJECTED),
)
def simpo(case):
    return case.reduce(simpo_values(case, case.policy_chosen, case.policy_rejected))


def orpo_values(case, chosen, rejected):
    def log_odds(x):
        return x - (-x.exp()).log1p()

    ratio = log_odds(chosen) - log_odds(rejected)
    return -case.option("beta", 0.1) * F.logsigmoid(ratio) - case.option("nll", 1.0) * chosen


@by_torch(
    "orpo",
    "float64 autograd of the published formula: Hong et al. 2024",
    gradients=CHOSEN_AND_REJECTED,
    draw=draw.log_likelihoods(*CHOSEN_AND_REJECTED),
)
def orpo(case):
    return case.reduce(orpo_values(case, case.policy_chosen, case.policy_rejected))


def cpo_values(case, chosen, rejected):
    h = case.option("beta", 0.1) * (chosen - rejected)
    return smoothed(h, case.option("label_smoothing", 0.0)) - case.option("alpha", 1.0) * chosen


@by_torch(
    "cpo",
    "float64 autograd of the published formula: Xu et al. 2024",
    gradients=CHOSEN_AND_REJECTED,
    draw=draw.log_likelihoods(*CHOSEN_AND_REJECTED),
)
def cpo(case):
    return case.reduce(cpo_values(case, case.policy_chosen, case.policy_rejected))


def kto_values(case, policy, desirable):
    """Labels +1 and -1; the divergence kl is at least 0, and 0 where it is not given."""
    kl = case.get("kl")
    kl = torch.zeros_like(policy) if kl is None else kl.clamp(min=0)
    z = case.option("beta", 0.1) * (policy - case.reference - kl)
    weights = case.option("desirable_weight", 1.0), case.option("undesirable_weight", 1.0)
    return torch.where(desirable > 0, weights[0] * (1 - z.sigmoid()), weights[1] * (1 - (-z).sigmoid()))


@by_torch(
    "kto", "float64 autograd of the published formula: Ethayarajh et al. 2024", gradients=("policy",), draw=draw.completions
)
def kto(case):
    return case.reduce(kto_values(case, case.policy, case.targets))


# Policy gradients: the log-probabilities of tokens [completions, tokens] and an advantage for each or for each completion.


def clipped(case, log_probs, ratio, advantage):
    """The surrogate of PPO, to be raised; the ratio itself has an upper bound where there is a `delta`."""
    epsilon, delta = case.option("epsilon", 0.2), case.option("delta")
    high = case.option("epsilon_high", 0.28 if case.name == "dapo" else None)
    cut = ratio.clamp(1 - epsilon, 1 + (epsilon if high is None else high))
    held = ratio if delta is None else ratio.clamp(max=delta)
    return torch.minimum(held * advantage, cut * advantage)


def weighted(case, log_probs, ratio, advantage):
    return ratio.detach().clamp(max=case.option("epsilon_high", 5.0)) * advantage * log_probs


def gated(case, log_probs, ratio, advantage):
    pos, neg = case.option("sapo_temperature_pos", 1.0), case.option("sapo_temperature_neg", 1.05)
    temperature = torch.where(advantage > 0, torch.full_like(advantage, pos), torch.full_like(advantage, neg))
    return (temperature * (ratio - 1)).sigmoid() * 4 / temperature * advantage


def policy_values(case, log_probs, mask, surrogate):
    """Of each token, 0 where it is left out: the surrogate, lowered, and the estimate e^u - u - 1 of the divergence."""
    advantage, old, reference = case.advantages, case.get("old_log_probs"), case.get("ref_log_probs")
    advantage = advantage if advantage.ndim == 2 else advantage[:, None]
    ratio = (log_probs - (log_probs.detach() if old is None else old)).exp()
    values, beta = -surrogate(case, log_probs, ratio, advantage), case.option("beta", 0.04)
    if reference is not None:
        apart = reference - log_probs
        values = values + beta * (apart.exp() - apart - 1)
    return values * mask


def mean_of_each(values, mask):
    return values.sum(-1) / mask.sum(-1).clamp(min=1)


def aggregated(case, name, log_probs, mask, surrogate, over):
    """`over`: what divides the sum over a completion's tokens; "batch" for the number of all tokens as the divisor of a mean."""
    case.name = name
    values = policy_values(case, log_probs, mask, surrogate)
    if over == "batch":
        return case.reduce(values.sum(-1), count=mask.sum())
    if over == "constant":
        return case.reduce(values.sum(-1) / (case.option("max_completion_length") or mask.shape[1]))
    return case.reduce(mean_of_each(values, mask))


def of_tokens(name, surrogate, source, over):
    @by_torch(name, f"float64 autograd of the published formula: {source}", gradients=("log_probs",), draw=draw.tokens)
    def tokens(case):
        mask = case.get("completion_mask")
        mask = torch.ones_like(case.log_probs) if mask is None else mask
        return aggregated(case, name, case.log_probs, mask, surrogate, over)


OF_TOKENS = [
    ("grpo", clipped, "Shao et al. 2024", "completion"),
    ("bnpo", clipped, "Shao et al. 2024, over the tokens of the batch", "batch"),
    ("dr_grpo", clipped, "Liu et al. 2025", "constant"),
    ("dapo", clipped, "Yu et al. 2025", "batch"),
    ("cispo", weighted, "MiniMax 2025", "batch"),
    ("sapo", gated, "Gao et al. 2025", "completion"),
]
for definition in OF_TOKENS:
    of_tokens(*definition)
