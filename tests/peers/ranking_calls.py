"""TF-Ranking's own tests of its losses: every call of a loss that they make, and how it is written for gradus.

The tests are not in its package: `GRADUS_TF_RANKING` names a checkout of github.com/tensorflow/ranking. TF-Ranking
computes in float32: its modules are given a TensorFlow with float64 in that place.
"""

import contextlib
import importlib.util
import io
import os
import pathlib
import sys
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
from tensorflow_ranking.python import losses_impl, utils
from tensorflow_ranking.python.keras import losses as keras_losses
from tensorflow_ranking.python.keras import utils as keras_utils

from calls import Call, Refused, case, tensor

TESTS = {
    "losses_impl_test": "tensorflow_ranking/python/losses_impl_test.py",
    "losses_test": "tensorflow_ranking/python/losses_test.py",
    "keras_losses_test": "tensorflow_ranking/python/keras/losses_test.py",
}
NAMES = {"logits": "predictions"}
DRAWN = ("YetiLogisticLoss", "GumbelApproxNDCGLoss", "CoupledRankDistilLoss")


def checkout():
    folder = os.environ.get("GRADUS_TF_RANKING")
    if not folder:
        sys.exit("GRADUS_TF_RANKING names no folder: git clone --depth 1 https://github.com/tensorflow/ranking FOLDER")
    return pathlib.Path(folder)


def dense(value, padding):
    """A list of lists as numbers; lists of several lengths are padded."""
    if value is None:
        return None
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor(padding)
    return np.asarray(tf.convert_to_tensor(value), dtype=np.float32)


def plain(array):
    return (list(array.shape), [float(x) for x in np.asarray(array, dtype=np.float64).reshape(-1)])


class Recorder:
    """Watches the calls of losses, each the outermost."""

    def __init__(self):
        self.depth, self.found, self.origin = 0, [], ""

    def wrap(self, owner, name, of):
        original = owner.__dict__[name]

        def watched(made, *positional, **named):
            if self.depth == 0 and tf.executing_eagerly():
                self.found.append((of(made, *positional, **named), made, original))
            self.depth += 1
            try:
                return original(made, *positional, **named)
            finally:
                self.depth -= 1

        setattr(owner, name, watched)
        return lambda: setattr(owner, name, original)


def of_compute(made, labels, logits, weights, reduction, mask=None):
    return {"labels": labels, "logits": logits, "weights": weights, "reduction": reduction, "mask": mask, "api": "compute"}


def of_keras(made, y_true, y_pred, sample_weight=None):
    return {"labels": y_true, "logits": y_pred, "weights": sample_weight, "reduction": made.reduction, "mask": None, "api": "keras"}


def run_tests(recorder):
    undo = []
    for owner in vars(losses_impl).values():
        if isinstance(owner, type) and issubclass(owner, losses_impl._RankingLoss) and "compute" in vars(owner):
            undo.append(recorder.wrap(owner, "compute", of_compute))
    for owner in vars(keras_losses).values():
        if isinstance(owner, type) and issubclass(owner, keras_losses._RankingLoss) and "__call__" in vars(owner):
            undo.append(recorder.wrap(owner, "__call__", of_keras))
    try:
        for name, path in TESTS.items():
            spec = importlib.util.spec_from_file_location(name, checkout() / path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            recorder.origin = name
            before = len(recorder.found)
            unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromModule(module))
            for found in recorder.found[before:]:
                found[0]["origin"] = name
    finally:
        for back in undo:
            back()


def options_of(made):
    """The options of a loss, by the names of its constructor."""
    inner = getattr(made, "_loss", None) or made
    names = {"temperature": "_temperature", "virtual_label": "_virtual_label", "ragged": "_ragged"}
    found = {name: getattr(made, attribute, getattr(inner, attribute, None)) for name, attribute in names.items()}
    found["lambda_weight"] = described(getattr(inner, "_lambda_weight", None))
    found["implementation"] = type(inner).__name__
    return {name: value for name, value in found.items() if value is not None}


def described(weight):
    """A weight of pairs: its kind, and gain and discount as they are at 1, 2, 3, ..."""
    if weight is None:
        return None
    ranks = tf.constant([1.0, 2.0, 3.0, 4.0], tf.float64)
    values = {"kind": type(weight).__name__}
    for name, attribute in {"gain": "_gain_fn", "discount": "_rank_discount_fn"}.items():
        function = getattr(weight, attribute, None)
        if function is not None:
            # In float64: their ratio to gradus' function is a factor of the call.
            with doubles():
                values[name] = [float(x) for x in function(ranks)]
    for name in ("topn", "normalized", "smooth_fraction"):
        value = getattr(weight, f"_{name}", None)
        if value is not None:
            values[name] = value
    return values


class Doubles:
    """TensorFlow for TF-Ranking's modules with float64 in the place of float32."""

    float32 = tf.float64

    class math:
        @staticmethod
        def log(x, name=None):
            return tf.math.log(tf.constant(x, tf.float64) if isinstance(x, float) else x, name)

        def __getattr__(self, name):
            return getattr(tf.math, name)

    math = math()

    def __getattr__(self, name):
        return getattr(tf, name)


@contextlib.contextmanager
def doubles():
    modules = (losses_impl, utils, keras_utils)
    for module in modules:
        module.tf = Doubles()
    try:
        yield
    finally:
        for module in modules:
            module.tf = tf


def wide(value):
    """A tensor or a ragged tensor in float64, of numbers that float32 holds."""
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, tf.RaggedTensor):
        return value.with_flat_values(tf.cast(tf.cast(value.flat_values, tf.float32), tf.float64))
    return tf.cast(tf.convert_to_tensor(value, dtype=tf.float32), tf.float64)


def parts_of(made, given, labels, logits, weights):
    """The values and their weights before the reduction, as TF-Ranking's own reduction takes them."""
    inner = getattr(made, "_loss", None) or made
    if hasattr(made, "_virtual_label"):
        rows = labels.shape[0]
        ones = tf.ones([rows, 1], tf.float64)
        labels, logits = tf.concat([labels, made._virtual_label * ones], 1), tf.concat([logits, 0.0 * ones], 1)
        weights = tf.concat([weights, ones], 1) if weights is not None and weights.shape[-1] > 1 else weights
    if isinstance(inner, losses_impl.SoftmaxLoss):
        one = tf.constant(1.0, tf.float64)
        return inner.compute_per_list(labels, logits, one if weights is None else weights, given["mask"])
    losses, of_loss = inner.compute_unreduced_loss(labels, inner.get_logits(logits), given["mask"])
    return losses, of_loss * inner.normalize_weights(labels, weights)


def call_of(given, made, original):
    """The call again in float64, with its gradient; None where TF-Ranking refuses it."""
    extra = () if given["api"] == "keras" else (given["reduction"],)
    more = {} if given["api"] == "keras" else {"mask": given["mask"]}
    try:
        single = np.asarray(original(made, given["labels"], given["logits"], given["weights"], *extra, **more))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError):
        return None
    labels, logits, weights = wide(given["labels"]), wide(given["logits"]), wide(given["weights"])
    ragged = isinstance(logits, tf.RaggedTensor)
    flat = tf.Variable(logits.flat_values if ragged else logits)
    name = f"{'keras.' if given['api'] == 'keras' else ''}{type(made).__name__}"
    drawn = type(made).__name__ in DRAWN
    by, value, gradient = None, single, np.zeros(0)
    if not drawn:
        with doubles(), tf.GradientTape() as tape:
            watched = logits.with_flat_values(tf.identity(flat)) if ragged else tf.identity(flat)
            losses, of_loss = parts_of(made, given, labels, watched, weights)
            by = divisor(given, made, losses, of_loss)
            total = tf.reduce_sum(losses * of_loss) / (by or 1.0)
        gradient, value = tape.gradient(total, flat), np.asarray(total)
        # The reduction is written again above: it must be TF-Ranking's.
        if by is not None and not np.allclose(single, value, rtol=1e-4, atol=1e-5):
            # Equal targets are shuffled.
            drawn = isinstance(getattr(made, "_loss", made), losses_impl.ListMLELoss)
            if not drawn:
                raise AssertionError(f"{name}: {single} in float32, {value} in float64")
        if gradient is None:
            return None
        if ragged:
            gradient = logits.with_flat_values(tf.convert_to_tensor(gradient)).to_tensor(0.0)
    labels, mask = dense(given["labels"], -1.0), given["mask"]
    if mask is not None:
        mask = np.asarray(tf.convert_to_tensor(mask))
        labels = np.where(mask if mask.shape == labels.shape else np.ones_like(labels, bool), labels, -1.0)
    arguments = {
        "labels": plain(labels), "logits": plain(dense(given["logits"], 0.0)),
        "weights": None if given["weights"] is None else plain(dense(given["weights"], 0.0)),
        "reduction": str(given["reduction"]), "api": given["api"], "options": options_of(made), "divisor": by, "drawn": drawn,
    }  # fmt: skip
    return Call("ranking", name, given["origin"], arguments, plain(value), {"logits": plain(np.asarray(gradient))})


def divisor(given, made, losses, weights):
    """What the reduction divides the sum by; None where it does not reduce."""
    reduction = str(given["reduction"]).lower()
    losses = np.asarray(losses)
    whole = np.broadcast_to(np.asarray(weights), losses.shape)
    if reduction in ("sum", "weighted_sum"):
        return 1.0
    if reduction in ("auto", "sum_over_batch_size", "weighted_sum_over_batch_size"):
        # The Keras classes of pairs add the pairs of an item first.
        return float(losses[..., 0].size if losses.ndim == 3 and given["api"] == "keras" else losses.size)
    if reduction == "weighted_mean":
        return float(np.sum(whole))
    if reduction == "weighted_sum_by_nonzero_weights":
        return float(np.count_nonzero(whole))
    return None


def calls():
    """All calls, equal ones once."""
    recorder, seen = Recorder(), set()
    run_tests(recorder)
    for given, made, original in recorder.found:
        call = call_of(given, made, original)
        if call is not None and call.key() not in seen:
            seen.add(call.key())
            yield call


def shaped(tensor):
    return np.reshape(np.asarray(tensor[1]), tensor[0])


def translated(call):
    options = call.arguments["options"]
    write = TRANSLATED.get(options["implementation"])
    if call.arguments["drawn"]:
        raise Refused("drawn by TensorFlow's random numbers")
    if write is None:
        raise Refused("a loss that gradus does not have")
    if call.arguments["divisor"] is None:
        raise Refused("values of items before the reduction")
    return write(call, call.arguments, options), NAMES


def inputs_of(a, weight="items"):
    """Scores, targets and weights; `weight` is what the loss takes: of items, or of lists alone."""
    labels = shaped(a["labels"])
    labels = np.where(labels < 0, -1.0, labels)
    inputs = {"predictions": a["logits"], "targets": plain(labels)}
    if a["weights"] is not None:
        given = shaped(a["weights"])
        if given.ndim == 1:
            given = given[:, None]
        whole = np.broadcast_to(given, labels.shape)
        if weight == "items":
            inputs["weight"] = plain(whole)
        elif np.all(whole == whole[:, :1]):
            inputs["weight"] = plain(whole[:, 0])
        else:
            raise Refused("weights of items")
    return inputs


def reduced(a, scale=1.0):
    """The sum over the divisor of the peer; `scale` is by how much the peer's sum is larger."""
    return {"divisor": a["divisor"] / scale} if a["divisor"] else {"reduction": "sum"}


def known(values, kinds):
    """The name of the function that has these values at 1, 2, 3, 4, and its factor."""
    for name, function in kinds.items():
        ratios = [found / function(x) for x, found in enumerate(values, start=1)]
        if max(ratios) - min(ratios) < 1e-5 * abs(ratios[0]):
            return name, ratios[0]
    raise Refused("another gain or discount")


GAINS = {"linear": lambda y: y, "exponential": lambda y: 2.0**y - 1.0}
DISCOUNTS = {"reciprocal": lambda r: 1.0 / r, "log2": lambda r: 1.0 / np.log2(1.0 + r)}


def pairs(loss):
    def write(call, a, options):
        made, scale = {"temperature": options["temperature"]}, 1.0
        weight = options.get("lambda_weight")
        items = a["labels"][0][1]
        if weight is not None:
            if weight["kind"] == "LabelDiffLambdaWeight":
                made["lambda"] = "label_diff"
            elif weight["kind"] in ("DCGLambdaWeight", "NDCGLambdaWeight"):
                gain, of_gain = known(weight["gain"], GAINS)
                discount, of_discount = known(weight["discount"], DISCOUNTS)
                made |= {"lambda": "ndcg", "gain": gain, "discount": discount, "normalized": weight["normalized"]}
                made |= {"top_n": weight.get("topn") or 0, "relative": 1.0 - weight["smooth_fraction"]}
                scale = items * (1.0 if weight["normalized"] else of_gain * of_discount)
            else:
                raise Refused(f"weights of pairs by {weight['kind']}")
        return case(loss, inputs_of(a), made | reduced(a, scale))

    return write


def lists(loss, **names):
    def write(call, a, options):
        # The losses of smooth ranks take a weight of pairs, and leave it out.
        if options.get("lambda_weight") is not None and not loss.startswith("approx"):
            raise Refused("weights of single items by their rank")
        if "temperature" not in names and options.get("temperature", 1.0) != 1.0:
            raise Refused("a temperature")
        made = {ours: options[theirs] for ours, theirs in names.items() if theirs in options}
        return case(loss, inputs_of(a), made | reduced(a))

    return write


def softmax(call, a, options):
    if "virtual_label" in options:
        made = lists("calibrated_softmax", virtual_label="virtual_label")(call, a, options)
        # A weight of lists counts for the virtual item too.
        if a["weights"] is not None and a["weights"][0][1:] in ([], [1]):
            made["inputs"]["row_weight"] = tensor([a["weights"][0][0]], a["weights"][1])
            del made["inputs"]["weight"]
        return made
    return lists("ranking_softmax")(call, a, options)


def pairwise_mse(call, a, options):
    if options.get("lambda_weight") is not None:
        raise Refused("weights of pairs")
    inputs = inputs_of(a, "lists")
    counts = np.sum(shaped(a["labels"]) >= 0, axis=1)
    # The sum over all pairs of a list, where gradus has their mean.
    weight = counts * (counts - 1.0) * (shaped(inputs["weight"]) if "weight" in inputs else 1.0)
    return case("pairwise_mse", {**inputs, "weight": plain(weight)}, reduced(a))


def elements(loss):
    def write(call, a, options):
        if options.get("temperature", 1.0) != 1.0:
            raise Refused("a temperature")
        inputs = inputs_of(a)
        labels = shaped(inputs["targets"])
        inputs |= {"mask": plain((labels >= 0).astype(float)), "targets": plain(np.maximum(labels, 0.0))}
        return case(loss, inputs, reduced(a))

    return write


TRANSLATED = {
    "PairwiseLogisticLoss": pairs("pairwise_logistic"),
    "PairwiseHingeLoss": pairs("pairwise_hinge"),
    "PairwiseSoftZeroOneLoss": pairs("pairwise_soft_zero_one"),
    "PairwiseMSELoss": pairwise_mse,
    "SoftmaxLoss": softmax,
    "UniqueSoftmaxLoss": lists("unique_softmax"),
    "ListMLELoss": lists("list_mle"),
    "ApproxNDCGLoss": lists("approx_ndcg", temperature="temperature"),
    "ApproxMRRLoss": lists("approx_mrr", temperature="temperature"),
    "SigmoidCrossEntropyLoss": elements("bce_with_logits"),
    "MeanSquaredLoss": elements("mse"),
}
