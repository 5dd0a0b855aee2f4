"""Keras' own tests of its losses: every call of a loss that they make, and how it is written for gradus."""

import contextlib
import io
import os
import unittest
import warnings

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras.src.backend.common import dtypes
from keras.src.losses import loss as base
from keras.src.losses import losses as functions
from keras.src.losses import losses_test

from calls import Call, Refused, case

REDUCTIONS = {"sum_over_batch_size": "mean", "mean": "mean", "sum": "sum", "none": "none", None: "none", "mean_with_sample_weight": "weighted_mean"}


def array(value):
    """What a test hands in, as numbers of float32 in float64."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float32).astype(np.float64)


def plain(values):
    return (list(values.shape), [float(x) for x in np.asarray(values).reshape(-1)])


@contextlib.contextmanager
def doubles():
    """Keras computes float64 as float32 where its rules of types are not changed."""
    original = dtypes.result_type
    dtypes.result_type = lambda *given: "float64" if any("float64" in str(x) for x in given) else original(*given)
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        dtypes.result_type = original
        keras.config.set_floatx("float32")


def call_of(made, y_true, y_pred, sample_weight, origin):
    """The call again in float64; None where Keras refuses it."""
    config = {**made.get_config(), "dtype": "float64"}
    mask = getattr(y_pred, "_keras_mask", None)
    y_pred = torch.tensor(array(y_pred), requires_grad=True)
    if mask is not None:
        keras.src.backend.set_keras_mask(y_pred, torch.tensor(np.asarray(array(mask), dtype=bool)))
    weight = None if sample_weight is None else torch.tensor(array(sample_weight))
    again = type(made).from_config(config)
    again.reduction, again._dtype = made.reduction, "float64"
    with warnings.catch_warnings(), doubles():
        warnings.simplefilter("ignore")
        try:
            value = ORIGINAL(again, torch.tensor(array(y_true)), y_pred, weight)
            (gradient,) = torch.autograd.grad(value.sum(), y_pred)
        except (RuntimeError, ValueError, IndexError, NotImplementedError):
            return None
    arguments = {
        "config": {k: v for k, v in config.items() if k not in ("name", "dtype")},
        "y_true": plain(array(y_true)), "y_pred": plain(array(y_pred.detach())),
        "sample_weight": None if weight is None else plain(weight.numpy()), "mask": None if mask is None else plain(array(mask)),
    }  # fmt: skip
    return Call("keras", type(made).__name__, origin, arguments, plain(value.detach().numpy()), {"y_pred": plain(gradient.numpy())})


ORIGINAL = base.Loss.__call__


def calls():
    """All calls, equal ones once."""
    found, seen = [], set()

    def watched(self, y_true, y_pred, sample_weight=None):
        found.append((self, y_true, y_pred, sample_weight))
        return ORIGINAL(self, y_true, y_pred, sample_weight)

    base.Loss.__call__ = watched
    try:
        suite = unittest.defaultTestLoader.loadTestsFromModule(losses_test)
        unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    finally:
        base.Loss.__call__ = ORIGINAL
    for made, y_true, y_pred, weight in found:
        call = call_of(made, y_true, y_pred, weight, f"losses_test of {type(made).__name__}")
        if call is not None and call.key() not in seen:
            seen.add(call.key())
            yield call


def reduction(call):
    """Keras reduces the means of the rows, gradus the elements."""
    return REDUCTIONS[call.arguments["config"].get("reduction")]


def translated(call):
    a, config = call.arguments, call.arguments["config"]
    return TRANSLATED[call.function](call, a, config)


def weights(a, axes=0):
    """Weight and mask; `axes` of the last axes are those of a row."""
    weight, mask = a["sample_weight"], a["mask"]
    # Keras' weights are those of rows, whatever the number of columns.
    if weight is not None:
        weight = ([*weight[0], *[1] * (len(a["y_pred"][0]) - axes - len(weight[0]))], weight[1])
    return {"weight": weight, "mask": mask}


NAMES = {"y_pred": "predictions"}


def elements(loss, **options):
    """A loss of elements: Keras' values are the means of the last axis."""

    def write(call, a, config):
        given = {name: config[of] for name, of in options.items() if of in config}
        return of_elements(call, a, loss, given)

    return write


def of_elements(call, a, loss, given):
    shape = a["y_pred"][0]
    word = reduction(call)
    columns = shape[-1] if shape else 1
    if word == "sum":
        # A sum of means of rows.
        given = {**given, "divisor": columns}
    else:
        given = {**given, "reduction": word}
    made = case(loss, {"predictions": a["y_pred"], "targets": a["y_true"], **weights(a)}, given)
    if word == "none" and shape:
        # Each element, whose mean over a row is what Keras gives.
        made["upstream"] = {"shape": shape, "data": [1 / columns] * len(a["y_pred"][1])}
        return made, NAMES, row_means
    return made, NAMES


def row_means(answer, over=np.mean):
    values = over(np.reshape(answer["value"]["data"], answer["value"]["shape"]), axis=-1)
    return {**answer, "value": {"shape": list(values.shape), "data": values.reshape(-1).tolist()}}


def rows(loss, **options):
    """A loss of rows of classes."""

    def write(call, a, config):
        axis = config.get("axis", -1)
        given = {name: config[of] for name, of in options.items() if of in config and not (name == "label_smoothing" and config[of] == 0)}
        given |= {"reduction": reduction(call)}
        if axis not in (-1, None):
            given["class_axis"] = axis
        return case(loss, {"predictions": a["y_pred"], "targets": a["y_true"], **weights(a, 1)}, given), NAMES

    return write


def logits(loss, **options):
    """A loss of logits or of probabilities."""
    write = rows(loss, **options)

    def with_kind(call, a, config):
        made, names = write(call, a, config)
        if "class_axis" not in made["options"] and len(a["y_pred"][0]) > 2:
            made["options"]["class_axis"] = -1
        if not config.get("from_logits", False):
            made["options"]["from_probabilities"] = True
        return made, names

    return with_kind


def binary(call, a, config):
    from_logits = config["from_logits"]
    given = {"label_smoothing": config["label_smoothing"] or None}
    if config.get("axis", -1) != -1:
        raise Refused("means over another axis than the last")
    if not from_logits:
        given["clip"] = 1e-7
    return of_elements(call, a, "bce_with_logits" if from_logits else "bce", given)


def binary_focal(call, a, config):
    given = {"from_probabilities": not config["from_logits"], "gamma": config["gamma"], "alpha": config["alpha"] if config["apply_class_balancing"] else None}
    given["label_smoothing"] = config["label_smoothing"] or None
    return of_elements(call, a, "binary_focal", given)


def hinge(loss):
    """Keras takes 0 for -1 where all labels are 0 or 1."""

    def write(call, a, config):
        given = {"labels": "zero_one"} if set(a["y_true"][1]) <= {0.0, 1.0} else {}
        return of_elements(call, a, loss, given)

    return write


def negative_cosine(call, a, config):
    if config.get("axis", -1) not in (-1, len(a["y_pred"][0]) - 1):
        raise Refused("vectors on another axis than the last")
    given = {"reduction": reduction(call), "epsilon": 1e-12}
    made = case("cosine_similarity", {"predictions": a["y_pred"], "targets": a["y_true"], **weights(a, 1)}, given)
    shape = a["y_pred"][0][:-1]
    if len(shape) > 1:
        raise Refused("vectors in rows of more than one axis")
    weight = np.ones(shape) if a["sample_weight"] is None else np.broadcast_to(np.reshape(a["sample_weight"][1], [*a["sample_weight"][0], *[1] * (len(shape) - len(a["sample_weight"][0]))]), shape)

    def less_one(answer):
        # 1 - cos, where Keras has -cos.
        off = {"none": weight, "sum": weight.sum(), "mean": weight.mean(), "weighted_mean": 1.0}[given["reduction"]]
        values = np.reshape(answer["value"]["data"], answer["value"]["shape"]) - off
        return {**answer, "value": {"shape": list(values.shape), "data": values.reshape(-1).tolist()}}

    return made, NAMES, less_one


def kl_divergence(call, a, config):
    # The sum of a row, whose mean is `batch_mean`.
    word = {"mean": "batch_mean"}.get(reduction(call), reduction(call))
    if word == "weighted_mean":
        raise Refused("a weighted mean of sums of rows")
    shape, count = a["y_pred"][0], 1
    for length in shape[:-1]:
        count *= length
    given = {"from_probabilities": True}
    given |= {"divisor": count} if word == "batch_mean" else {"reduction": word}
    made = case("kl_div", {"predictions": a["y_pred"], "targets": a["y_true"], **weights(a)}, given)
    if word == "none":
        return made, NAMES, lambda answer: row_means(answer, np.sum)
    return made, NAMES


def as_one(loss, **options):
    """An overlap over several axes: they are one row."""

    def write(call, a, config):
        axis, shape = config.get("axis"), a["y_pred"][0]
        axes = list(range(len(shape))) if axis is None else [x % len(shape) for x in (axis if isinstance(axis, (list, tuple)) else [axis])]
        if axes != list(range(len(shape) - len(axes), len(shape))):
            raise Refused("an overlap over axes that are not the last")
        rows = shape[: len(shape) - len(axes)]
        count = int(np.prod([shape[x] for x in axes]))
        given = {name: config[of] for name, of in options.items() if of in config}
        given |= {"reduction": reduction(call) if axis is not None else "sum", "smooth": 0.0}
        inputs = {"predictions": ([*rows, count], a["y_pred"][1]), "targets": ([*rows, count], a["y_true"][1]), **weights(a)}
        return case(loss, inputs, given), {}

    return write


def refuse(words):
    def write(call, a, config):
        raise Refused(words)

    return write


TRANSLATED = {
    "MeanSquaredError": elements("mse"),
    "MeanAbsoluteError": elements("mae"),
    "MeanAbsolutePercentageError": elements("mape"),
    "MeanSquaredLogarithmicError": elements("msle"),
    "Huber": elements("huber", delta="delta"),
    "LogCosh": elements("log_cosh"),
    "Poisson": lambda call, a, config: of_elements(call, a, "poisson_nll", {"log_input": False, "epsilon": 1e-7}),
    "Hinge": hinge("hinge"),
    "SquaredHinge": hinge("squared_hinge"),
    "CategoricalHinge": rows("categorical_hinge"),
    "CosineSimilarity": negative_cosine,
    "KLDivergence": kl_divergence,
    "BinaryCrossentropy": binary,
    "BinaryFocalCrossentropy": binary_focal,
    "CategoricalCrossentropy": logits("cross_entropy", label_smoothing="label_smoothing"),
    "CategoricalFocalCrossentropy": logits("focal", alpha="alpha", gamma="gamma", label_smoothing="label_smoothing"),
    "SparseCategoricalCrossentropy": logits("cross_entropy", ignore_index="ignore_class"),
    "CategoricalGeneralizedCrossEntropy": logits("generalized_cross_entropy", q="q"),
    "CTC": refuse("CTC of a batch first, with blank 0 as padding"),
    "Dice": as_one("dice"),
    "Tversky": as_one("tversky", false_negative_weight="alpha", false_positive_weight="beta"),
    "Circle": rows("circle", gamma="gamma", margin="margin"),
}
