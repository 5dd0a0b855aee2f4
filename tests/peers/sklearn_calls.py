"""scikit-learn's own tests of its loss functions: every call that they make, and how it is written for gradus."""

import os
import tempfile
import warnings

import numpy as np
import pytest
import sklearn._loss.tests.test_loss as tests
from sklearn._loss.loss import BaseLoss

from calls import Call, Refused, case


def plain(values):
    values = np.asarray(values)
    return (list(values.shape), [float(x) for x in values.reshape(-1)])


def rounded(values):
    return np.ascontiguousarray(np.asarray(values, dtype=np.float32).astype(np.float64))


def options_of(loss):
    closs = loss.closs
    return {name: float(getattr(closs, name)) for name in ("quantile", "power", "delta") if hasattr(closs, name)}


def call_of(loss, y_true, raw_prediction, sample_weight):
    y_true, raw = rounded(y_true), rounded(raw_prediction)
    weight = None if sample_weight is None else rounded(sample_weight)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            value, gradient = loss.loss_gradient(y_true=y_true, raw_prediction=raw, sample_weight=weight)
            value, gradient = np.array(value, dtype=float), np.array(gradient, dtype=float)
        except (ValueError, TypeError):
            return None
    arguments = {
        "options": options_of(loss), "y_true": plain(y_true), "raw_prediction": plain(raw),
        "sample_weight": None if weight is None else plain(weight),
    }  # fmt: skip
    if type(loss).__name__ == "HalfTweedieLoss":
        # scikit-learn leaves out the part of y alone; gradus gives the half deviance, whose least value is 0.
        value = value + loss.constant_to_optimal_zero(y_true, weight)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw, gradient = raw[:, 0], gradient.reshape(-1)
        arguments["raw_prediction"] = plain(raw)
    return Call("sklearn", type(loss).__name__, "sklearn._loss.tests", arguments, plain(value), {"raw_prediction": plain(gradient)})


def calls():
    """All calls, equal ones once."""
    found, original = {}, {}

    def watch(name):
        def watched(self, y_true, raw_prediction, sample_weight=None, *args, **kwargs):
            if np.asarray(raw_prediction).size <= 4000:
                found.setdefault(len(found), (self, np.array(y_true), np.array(raw_prediction), sample_weight))
            return original[name](self, y_true, raw_prediction, sample_weight, *args, **kwargs)

        return watched

    for name in ("loss", "gradient", "loss_gradient", "gradient_hessian"):
        original[name] = getattr(BaseLoss, name)
        setattr(BaseLoss, name, watch(name))
    try:
        with open(os.devnull, "w") as nothing, tempfile.TemporaryDirectory() as folder:
            import contextlib

            with contextlib.redirect_stdout(nothing):
                pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--rootdir", folder, tests.__file__])
    finally:
        for name, function in original.items():
            setattr(BaseLoss, name, function)
    seen = set()
    for loss, y_true, raw, weight in found.values():
        call = call_of(loss, y_true, raw, weight)
        if call is not None and call.key() not in seen:
            seen.add(call.key())
            yield call


LOSSES = {
    "HalfSquaredError": ("mse", 0.5),
    "AbsoluteError": ("mae", 1.0),
    "PinballLoss": ("quantile", 1.0),
    "HuberLoss": ("huber", 1.0),
    "HalfPoissonLoss": ("poisson_nll", 1.0),
    "HalfGammaLoss": ("gamma_deviance", 1.0),
    "HalfTweedieLoss": ("tweedie", 1.0),
    "HalfTweedieLossIdentity": ("tweedie", 1.0),
    "HalfBinomialLoss": ("bce_with_logits", 1.0),
    "ExponentialLoss": ("exponential", 1.0),
}


def translated(call):
    a = call.arguments
    options = {"reduction": "none", **a["options"]}
    weight = a["sample_weight"]
    raw = a["raw_prediction"]
    if call.function == "HalfMultinomialLoss":
        inputs = {"predictions": raw, "targets": a["y_true"], "weight": weight}
        return case("cross_entropy", inputs, options), {"raw_prediction": "predictions"}
    loss, factor = LOSSES[call.function]
    if len(raw[0]) == 2 and raw[0][1] == 1:
        raw = (raw[0][:1], raw[1])
    if factor != 1.0:
        weight = ([1], [factor]) if weight is None else (weight[0], [factor * x for x in weight[1]])
    if call.function == "ExponentialLoss":
        options["labels"] = "zero_one"
    if call.function == "HalfTweedieLossIdentity":
        options["link"] = "identity"
    inputs = {"predictions": raw, "targets": a["y_true"], "weight": weight}
    return case(loss, inputs, options), {"raw_prediction": "predictions"}
