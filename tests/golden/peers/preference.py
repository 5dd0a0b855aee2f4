"""Preferences between completions, of their log-probabilities under a policy and a reference model."""

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
