"""Losses of the outputs of a linear layer, x W^T + b: the layer, and the loss of the other files."""

import classes
import draw
import preference
from peer import by_torch

LAYER = ("predictions", "linear_weight", "linear_bias")


def logits(case):
    outputs = case.predictions @ case.linear_weight.T
    bias = case.get("linear_bias")
    return outputs if bias is None else outputs + bias


def on_logits(name, loss, what, drawn):
    @by_torch(name, what, gradients=LAYER, draw=drawn)
    def linear(case):
        return loss(case.replaced(predictions=logits(case)))


on_logits(
    "linear_cross_entropy",
    classes.cross_entropy,
    "F.cross_entropy(x W^T + b); gradients of x, W and b",
    draw.layer_and_labels,
)
on_logits(
    "linear_distillation",
    classes.distillation,
    "float64 autograd of distillation of x W^T + b; gradients of x, W and b",
    draw.layer_and_logits,
)
on_logits(
    "linear_multilabel_soft_margin",
    classes.multilabel_soft_margin,
    "F.multilabel_soft_margin_loss of x W^T + b",
    draw.layer_and_shares,
)


def token_log_probabilities(case):
    """Of each token, 0 where its label is -100, and which have another one."""
    is_token = case.labels != -100
    places = case.labels.clamp(min=0)[..., None]
    return logits(case).log_softmax(-1).gather(-1, places)[..., 0] * is_token, is_token


def log_probabilities(case, averages):
    """Of each completion: the sum over its tokens or their mean, without the tokens labelled -100."""
    tokens, is_token = token_log_probabilities(case)
    total = tokens.sum(-1)
    if case.option("average_log_prob", averages):
        return total / is_token.sum(-1).clamp(min=1)
    return total


def on_pairs(name, values_of, averages):
    """The first half of the rows is chosen, the second rejected."""

    @by_torch(name, autograd_of(name), gradients=LAYER, draw=draw.layer_and_labels)
    def linear(case):
        found = log_probabilities(case, averages)
        half = len(found) // 2
        return case.reduce(values_of(case, found[:half], found[half:]))


def autograd_of(name):
    formula = name.removeprefix("linear_")
    return f"float64 autograd of log_softmax(x W^T + b), gather, sum and the formula of {formula}"


on_pairs("linear_dpo", preference.dpo_values, averages=False)
on_pairs("linear_simpo", preference.simpo_values, averages=True)
on_pairs("linear_orpo", preference.orpo_values, averages=True)
on_pairs("linear_cpo", preference.cpo_values, averages=False)


@by_torch("linear_kto", autograd_of("linear_kto"), gradients=LAYER, draw=draw.layer_and_completions)
def linear_kto(case):
    return case.reduce(preference.kto_values(case, log_probabilities(case, averages=False), case.desirable))


def on_tokens(name, surrogate, over):
    @by_torch(f"linear_{name}", autograd_of(f"linear_{name}"), gradients=LAYER, draw=draw.layer_and_tokens)
    def linear(case):
        tokens, is_token = token_log_probabilities(case)
        return preference.aggregated(case, name, tokens, is_token.to(tokens.dtype), surrogate, over)


for name, surrogate, _, over in preference.OF_TOKENS:
    on_tokens(name, surrogate, over)
