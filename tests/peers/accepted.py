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


def terms_of(call, place, kind):
    """The terms that a value or a derivative of scikit-learn is the sum of, each with the units in the last place that it has lost:
    2, and that many more for an exponential as its exponent is large."""
    x, y = call.arguments["raw_prediction"][1][place], call.arguments["y_true"][1][place]
    log = math.log(y) if y > 0 else 0.0
    if call.function == "HalfBinomialLoss":
        share = 1 / (1 + math.exp(-x)) if x > -700 else 0.0
        return [(2 + abs(x), share), (2, y), (2 + abs(x), math.log1p(math.exp(-abs(x))))]
    if call.function == "ExponentialLoss":
        return [(2 + abs(x), y * math.exp(-x)), (2 + abs(x), (1 - y) * math.exp(x))]
    power = {"HalfPoissonLoss": 1.0, "HalfGammaLoss": 2.0}.get(call.function, call.arguments["options"].get("power"))
    if call.function == "HalfTweedieLossIdentity":
        if x <= 0:
            return []
        mean, x = x, math.log(x)
    else:
        mean = 1.0
    a, b = 2 - power, 1 - power
    grown, other = (2 + abs(a * x), math.exp(a * x)), (2 + abs(b * x), y * math.exp(b * x))
    if kind == "gradient":
        return [(ulps, term / mean) for ulps, term in (grown, other)]
    if power == 1:
        return [grown, (2, y * x), (2, y * log), (2, y)]
    if power == 2:
        return [(2, x), other, (2, log), (2, 1.0)]
    whole = (2 + abs(a * log), (max(y, 0.0) if power else abs(y)) ** a / (a * b))
    return [(grown[0], grown[1] / a), (other[0], other[1] / b), whole]


SUMS = ("HalfTweedieLoss", "HalfTweedieLossIdentity", "HalfPoissonLoss", "HalfGammaLoss", "HalfBinomialLoss", "ExponentialLoss")


def is_rounding(call, difference, device):
    """True where a number is what is left of far larger terms, and differs by no more than their roundings: those of
    scikit-learn in float64, and on a device in float32 also ours."""
    found = re.fullmatch(r"(value|gradient of predictions)\[(\d+)\] is (\S+), the peer's is (\S+)", difference)
    if found is None or call.function not in SUMS:
        return False
    place = int(found[2])
    try:
        terms = terms_of(call, place, found[1].split()[0])
    except OverflowError:
        return False
    unit = 2**-52 if device == "reference" else 2**-23
    bound = unit * sum(ulps * abs(term) for ulps, term in terms)
    weight = call.arguments["sample_weight"]
    if weight is not None:
        bound *= abs(weight[1][place])
    return abs(float(found[3]) - float(found[4])) <= bound


def is_rounding_of_ranks(call, difference):
    """True where a gradient of a smooth rank differs by no more than TF-Ranking's s (1 - s) of float64: 1 - s is off by 2^-53 for
    each pair of the item, and a record of gain and discount is at most 1. Where float32 has 0 for less, that is within it too."""
    found = re.fullmatch(r"gradient of predictions\[\d+\] is (\S+), the peer's is (\S+)", difference)
    if found is None or call.arguments["options"].get("implementation") not in ("ApproxNDCGLoss", "ApproxMRRLoss"):
        return False
    weights = call.arguments["weights"]
    largest = max(map(abs, weights[1])) if weights else 1.0
    pairs = 2 * call.arguments["labels"][0][1]
    allowed = 2**-53 * pairs * largest / (call.arguments["options"]["temperature"] * call.arguments["divisor"])
    return abs(float(found[1]) - float(found[2])) <= allowed


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
        lambda call, made, difference: is_rounding(call, difference, made["device"]),
        "what is left of far larger terms, by no more than their roundings",
    ),
    (
        lambda call, made, difference: call.peer == "ranking" and is_rounding_of_ranks(call, difference),
        "a rank far from its neighbours: TF-Ranking's 1 - sigmoid has lost the digits of its derivative",
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
