"""Differences between a peer and gradus that are meant, each with its reason."""

import math
import re


def has_nan(call):
    """True where an input of the call holds NaN."""
    tensors = [v for v in call.arguments.values() if isinstance(v, tuple) and len(v) == 2 and isinstance(v[1], list)]
    return any(isinstance(x, float) and math.isnan(x) for _, data in tensors for x in data)


def is_kink(call, difference):
    """True where the prediction of the element that differs equals its target."""
    place = re.search(r"\[(\d+)\] is", difference)
    predictions, targets = call.arguments["raw_prediction"][1], call.arguments["y_true"][1]
    return place is not None and len(predictions) == len(targets) and predictions[int(place[1])] == targets[int(place[1])]


def is_clipped(call):
    """True where Keras clips a probability."""
    tensor = call.arguments.get("y_pred")
    return tensor is not None and any(not 1e-7 < x < 1 - 1e-7 for x in tensor[1])


ACCEPTED = [
    (
        lambda call, made, difference: "from_probabilities" in made["options"] and "gradient" in difference and is_clipped(call),
        "beside a clipped probability: gradus gives the derivative of its value, a softmax of the clipped logarithms",
    ),
    (
        lambda call, made, difference: call.function == "safe_softmax_cross_entropy" and "gradient" in difference,
        "a logit of -inf has the gradient 0; optax gives that of a finite one",
    ),
    (
        lambda call, made, difference: call.function == "ntxent" and "gradient" in difference,
        "embeddings of length 0: the gradient is as large as the epsilon of each is small",
    ),
    (
        lambda call, made, difference: call.function in ("AbsoluteError", "PinballLoss") and "gradient" in difference and is_kink(call, difference),
        "the derivative of |e| at 0 is 0, as PyTorch's; scikit-learn takes one side",
    ),
    (
        lambda call, made, difference: call.function == "Circle" and call.arguments["sample_weight"] is not None,
        "a row without a pair is not counted; Keras counts it where there are weights",
    ),
    (
        lambda call, made, difference: call.function == "CategoricalGeneralizedCrossEntropy",
        "Keras takes a probability by itself, gradus as a part of a row that is divided by its sum",
    ),
    (
        lambda call, made, difference: call.function == "Circle" and "gradient" in difference,
        "Keras differentiates through the weights of the pairs, which the paper holds fixed",
    ),
    (
        lambda call, made, difference: has_nan(call) and " is nan, " in difference,
        "NaN in, NaN out: PyTorch's gradient is a number where the value is NaN",
    ),
]


def reason(call, made, difference):
    """Why an answer differs from the peer's; None where it should not."""
    for applies, text in ACCEPTED:
        if applies(call, made, difference):
            return text
    return None
