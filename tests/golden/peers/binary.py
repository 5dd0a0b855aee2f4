"""Two classes, or many labels at once. p is the prediction, t the target."""

import numpy as np
import optax
import torch
import torch.nn.functional as F
from sklearn.linear_model import _sgd_fast

import draw
from peer import by_hand, by_jax, by_torch, keras
from pointwise import elementwise


@by_torch("bce", "F.binary_cross_entropy", draw=draw.shares)
def bce(case):
    return case.reduced_by(F.binary_cross_entropy, case.predictions, case.targets)


@by_torch("bce_with_logits", "F.binary_cross_entropy_with_logits", draw=draw.logits_and_shares)
def bce_with_logits(case):
    function = F.binary_cross_entropy_with_logits
    return case.reduced_by(function, case.predictions, case.targets, pos_weight=case.get("pos_weight"))


@by_torch("binary_focal", "float64 autograd of torchvision's sigmoid_focal_loss formula", draw=draw.logits_and_shares)
def binary_focal(case):
    p, t = case.predictions.sigmoid(), case.targets
    values = F.binary_cross_entropy_with_logits(case.predictions, t, reduction="none")
    values = values * (1 - (p * t + (1 - p) * (1 - t))) ** case.option("gamma", 2.0)
    alpha = case.option("alpha")
    if alpha is not None:
        values = values * (alpha * t + (1 - alpha) * (1 - t))
    return case.reduce(values)


@by_torch(
    "asymmetric",
    "float64 autograd of y (1-p)^g+ -log p and (1-y) s^g- -log(1-s), s = max(p-m, 0) (Ridnik et al.)",
    draw=draw.logits_and_shares,
)
def asymmetric(case):
    x, t, clip = case.predictions, case.targets, case.option("clip", 0.05)
    p, is_clipped = x.sigmoid(), x.sigmoid() <= clip
    # Where the shifted probability is 0 a power below 1 of it has no derivative: another number stands in.
    shifted = torch.where(is_clipped, 0.5, p - clip)
    away = torch.where(is_clipped, 0.0, -F.logsigmoid(-x) if clip == 0 else -(1 - shifted).log())
    easy = shifted ** case.option("gamma_negative", 4.0)
    hard = (1 - p) ** case.option("gamma_positive", 1.0)
    return case.reduce(t * hard * -F.logsigmoid(x) + (1 - t) * easy * away)


@by_torch("soft_margin", "F.soft_margin_loss", draw=draw.scores_and_signs)
def soft_margin(case):
    return case.reduced_by(F.soft_margin_loss, case.predictions, case.targets)


@by_jax("hinge", "Hinge, labels -1/+1 (elementwise form)", peer="keras", draw=draw.scores_and_signs)
def hinge(case):
    return elementwise(keras.losses.hinge, case)


@by_jax("squared_hinge", "SquaredHinge, labels -1/+1 (elementwise form)", peer="keras", draw=draw.scores_and_signs)
def squared_hinge(case):
    return elementwise(keras.losses.squared_hinge, case)


@by_jax("perceptron", "perceptron_loss", draw=draw.scores_and_signs)
def perceptron(case):
    return case.reduce(optax.losses.perceptron_loss(case.predictions, case.targets))


@by_jax("binary_sparsemax", "sparsemax_loss, labels 0 for -1", draw=draw.scores_and_signs)
def binary_sparsemax(case):
    labels = case.targets if case.option("labels", "sign") == "zero_one" else (case.targets + 1) / 2
    return case.reduce(optax.losses.sparsemax_loss(case.predictions, labels))


@by_hand("modified_huber", "SGDClassifier modified_huber", peer="scikit-learn", draw=draw.scores_and_signs)
def modified_huber(case):
    loss = _sgd_fast.ModifiedHuber()
    value, derivative = np.vectorize(loss.py_loss), np.vectorize(loss.py_dloss)
    return value(case.predictions, case.targets), derivative(case.predictions, case.targets)


@by_torch("exponential", "float64 autograd of exp(-t p) (AdaBoost)", draw=draw.scores_and_signs)
def exponential(case):
    return case.reduce((-case.targets * case.predictions).exp())


@by_torch("hinge_embedding", "F.hinge_embedding_loss", draw=draw.distances_and_signs)
def hinge_embedding(case):
    margin = case.option("margin", 1.0)
    return case.reduced_by(F.hinge_embedding_loss, case.predictions, case.targets, margin=margin)
