"""optax' own tests of its losses: every call of a loss that they make, and how it is written for gradus."""

import inspect
import io
import unittest
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from optax.losses import _classification, _classification_test, _ranking, _ranking_test, _regression, _regression_test
from optax.losses import _segmentation, _segmentation_test, _self_supervised, _self_supervised_test

from calls import Call, Refused, case

MODULES = [
    (_classification, _classification_test, [
        "sigmoid_binary_cross_entropy", "hinge_loss", "perceptron_loss", "sparsemax_loss", "safe_softmax_cross_entropy",
        "softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels", "multiclass_hinge_loss", "multiclass_perceptron_loss",
        "poly_loss_cross_entropy", "kl_divergence", "kl_divergence_with_log_targets", "generalized_kl_divergence", "ctc_loss",
        "sigmoid_focal_loss", "multiclass_sparsemax_loss",
    ]),
    (_regression, _regression_test, ["squared_error", "l2_loss", "huber_loss", "log_cosh", "cosine_similarity", "cosine_distance"]),
    (_segmentation, _segmentation_test, ["dice_loss", "multiclass_generalized_dice_loss", "binary_dice_loss"]),
    (_self_supervised, _self_supervised_test, ["ntxent", "triplet_margin_loss"]),
    (_ranking, _ranking_test, ["ranking_softmax_loss"]),
]  # fmt: skip
# A row more or less of these is what the tests measure; each takes minutes and says nothing new.
MOST_NUMBERS = 20_000


def plain(values):
    values = np.asarray(values)
    kind = int if values.dtype.kind in "iub" else float
    return (list(values.shape), [kind(x) for x in values.reshape(-1)])


def rounded(value):
    """An array as float64 of float32 numbers; integers and flags as they are."""
    value = np.asarray(value)
    return value.astype(np.float32).astype(np.float64) if value.dtype.kind == "f" else value


def is_array(value):
    return isinstance(value, (np.ndarray, jax.Array, np.generic))


def call_of(name, function, signature, args, kwargs):
    """The call again in float64; None where it is no call of numbers."""
    bound = signature.bind(*args, **kwargs)
    if any(isinstance(v, jax.core.Tracer) for v in bound.arguments.values()):
        return None
    given = {}
    for key, value in bound.arguments.items():
        if callable(value) or isinstance(value, (str, bool, type(None), tuple, int)):
            given[key] = value
        else:
            given[key] = rounded(value) if is_array(value) or isinstance(value, (list, float)) else value
    first = next(iter(given))
    if np.asarray(given[first]).size > MOST_NUMBERS:
        return None
    given[first] = rounded(np.asarray(given[first], dtype=np.float64))

    def run(x):
        again = inspect.BoundArguments(signature, {**given, first: x})
        return function(*again.args, **again.kwargs)

    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = run(jnp.asarray(given[first]))
            gradient = jax.grad(lambda x: jnp.sum(run(x)))(jnp.asarray(given[first]))
        except (TypeError, ValueError, NotImplementedError, AssertionError, IndexError):
            return None
    arguments = {key: plain(v) if is_array(v) else v for key, v in given.items()}
    return Call("optax", name, "optax.losses tests", arguments, plain(value), {first: plain(gradient)})


def calls():
    """All calls, equal ones once."""
    found, originals, depth = [], {}, [0]
    jax.config.update("jax_disable_jit", True)
    for module, _, names in MODULES:
        for name in names:
            original = getattr(module, name)
            originals[name] = (module, original, inspect.signature(original))

            def watched(*args, _name=name, _original=original, **kwargs):
                if depth[0] == 0:
                    found.append((_name, args, kwargs))
                depth[0] += 1
                try:
                    return _original(*args, **kwargs)
                finally:
                    depth[0] -= 1

            setattr(module, name, watched)
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromModule(test) for _, test, _ in MODULES)
    unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    for name, (module, original, _) in originals.items():
        setattr(module, name, original)
    seen = set()
    for name, args, kwargs in found:
        _, original, signature = originals[name]
        try:
            call = call_of(name, original, signature, args, kwargs)
        except TypeError:
            continue
        if call is not None and call.key() not in seen:
            seen.add(call.key())
            yield call


NONE = {"reduction": "none"}


def scalar(value):
    """An option that a test gives as an array of one number."""
    return value[1][0] if isinstance(value, tuple) and len(value) == 2 and value[0] == [] else value


def squeezed(value):
    return value if isinstance(value, tuple) else ([], [value])


def elements(loss, first, second, **fixed):
    def write(a):
        options = {**NONE, **{ours: scalar(a.get(theirs)) for ours, theirs in fixed.items()}}
        targets = a.get(second)
        if targets is None:
            targets = ([], [0.0])
        return case(loss, {"predictions": a[first], "targets": squeezed(targets)}, options), {first: "predictions"}

    return write


def zero_one(write):
    """A loss whose labels are 0 and 1 in optax."""

    def with_labels(a):
        made, names = write(a)
        made["options"]["labels"] = "zero_one"
        return made, names

    return with_labels


def axis_of(a):
    axis = a.get("axis", -1)
    if axis is None or isinstance(axis, tuple):
        raise Refused("several class axes")
    return axis


def as_last(value, axes):
    """Several axes as one, the last."""
    moved = np.moveaxis(np.reshape(value[1], value[0]), axes, range(-len(axes), 0))
    return plain(moved.reshape(*moved.shape[: -len(axes)], -1))


def of_classes(loss, first="logits", second="labels", **fixed):
    """A loss over classes; `where` is optax' class mask, or its mask of rows."""

    def write(a):
        options = {**NONE, **{ours: scalar(a.get(theirs)) for ours, theirs in fixed.items()}}
        if isinstance(a.get("axis"), (list, tuple)) and not isinstance(a.get("where"), tuple):
            # Several class axes: the caller makes them one, the last.
            axes = [axis % len(a[first][0]) for axis in a["axis"]]
            inputs = {"predictions": as_last(a[first], axes), "targets": a[second]}
            if len(a[second][0]) == len(a[first][0]):
                inputs["targets"] = as_last(a[second], axes)
            return case(loss, inputs, {**options, "class_axis": -1}), {}
        options["class_axis"] = axis_of(a)
        inputs = {"predictions": a[first], "targets": a[second], "class_mask": a.get("where")}
        return case(loss, inputs, options), {first: "predictions"}

    return write


def fits(shape, whole):
    """Whether NumPy's rule repeats a shape to another."""
    return len(shape) <= len(whole) and all(x in (1, y) for x, y in zip(reversed(shape), reversed(whole)))


def sums(loss, second, **fixed):
    """A loss of elements, whose sums over an axis are what optax gives."""

    def write(a):
        axis = a.get("axis", -1)
        axes = None if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        shapes = [squeezed(a[second])[0]] + ([a["where"][0]] if isinstance(a.get("where"), tuple) else [])
        if not all(fits(shape, a["log_predictions"][0]) for shape in shapes):
            raise Refused("predictions that are repeated to the shape of the targets")
        rank = len(a["log_predictions"][0])
        if axes is not None and not all(-rank <= x < rank for x in axes):
            raise Refused("an axis that only the repeated predictions have")
        inputs = {"predictions": a["log_predictions"], "targets": squeezed(a[second]), "mask": a.get("where")}

        def summed(answer):
            values = np.reshape(answer["value"]["data"], answer["value"]["shape"]).sum(axes)
            return {**answer, "value": plain(values) and {"shape": list(values.shape), "data": np.reshape(values, -1).tolist()}}

        return case(loss, inputs, {**NONE, **fixed}), {"log_predictions": "predictions"}, summed

    return write


def ctc(a):
    logits, paddings = np.reshape(a["logits"][1], a["logits"][0]), np.reshape(a["logit_paddings"][1], a["logit_paddings"][0])
    labels, label_paddings = np.reshape(a["labels"][1], a["labels"][0]), np.reshape(a["label_paddings"][1], a["label_paddings"][0])
    lengths = (1 - paddings).sum(1).astype(int)
    label_lengths = (1 - label_paddings).sum(1).astype(int)
    made = case(
        "ctc",
        {"predictions": plain(logits.transpose(1, 0, 2)), "targets": plain(labels.astype(int)), "input_lengths": plain(lengths),
         "target_lengths": plain(label_lengths)},
        {**NONE, "blank": a.get("blank_id")},
    )  # fmt: skip
    # The gradient has optax' axes: batch first.
    return made, {}


def similarity(call_value):
    def write(a):
        if a.get("where") is not None:
            raise Refused("a mask of coordinates")
        if axis_of(a) != -1 and axis_of(a) != len(a["predictions"][0]) - 1:
            raise Refused("vectors on another axis than the last")
        inputs = {"predictions": a["predictions"], "targets": a["targets"]}
        made = case("cosine_similarity", inputs, {**NONE, "epsilon": scalar(a.get("epsilon")) or 1e-30})

        def one_less(answer):
            flipped = {name: {**g, "data": [-x for x in g["data"]]} for name, g in answer["gradients"].items()}
            return {**answer, "value": {**answer["value"], "data": [1 - x for x in answer["value"]["data"]]}, "gradients": flipped}

        return (made, {"predictions": "predictions"}, one_less) if call_value else (made, {"predictions": "predictions"})

    return write


def l2(a):
    made, names = elements("mse", "predictions", "targets")(a)
    made["inputs"]["weight"] = {"shape": [1], "data": [0.5]}
    return made, names


def array(value):
    return np.reshape(value[1], value[0])


def dice(a, binary=False):
    """Overlaps of each class over the axes of space. The softmax before and the mean over classes behind are the caller's."""
    if a.get("axis") is not None:
        raise Refused("an overlap over chosen axes")
    logits, truths = array(a["predictions"]), array(a["targets"])
    if binary and logits.ndim == truths.ndim and logits.shape[-1] != 1:
        logits, truths = logits[..., None], truths[..., None]
    logits = logits[..., None] if logits.ndim == truths.ndim - 1 else logits
    truths = truths[..., None] if truths.ndim == logits.ndim - 1 else truths
    probabilities = logits
    if a.get("apply_softmax", a.get("apply_sigmoid", True)):
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        one = 1 / (1 + np.exp(-logits)) if logits.shape[-1] == 1 else exponentials / exponentials.sum(-1, keepdims=True)
        probabilities = rounded(one)
    rows, classes = logits.shape[0], logits.shape[-1]
    flat = [np.moveaxis(x, -1, 1).reshape(rows, classes, -1) for x in (probabilities, truths)]
    options = {
        **NONE, "smooth": scalar(a.get("smooth", 1.0)), "false_positive_weight": scalar(a.get("alpha", 0.5)),
        "false_negative_weight": scalar(a.get("beta", 0.5)),
    }  # fmt: skip
    weights = array(a["class_weights"]) if isinstance(a.get("class_weights"), tuple) else np.ones(classes)
    word = a.get("reduction", "mean")

    def of_classes_together(answer):
        each = array((answer["value"]["shape"], answer["value"]["data"])) * weights
        each = each[..., 1:] if a.get("ignore_background") and classes > 1 else each
        values = {"mean": each.mean, "sum": each.sum, "none": lambda axis: each}[word](axis=-1)
        return {**answer, "value": {"shape": list(values.shape), "data": values.reshape(-1).tolist()}}

    return case("tversky", {"predictions": plain(flat[0]), "targets": plain(flat[1])}, options), {}, of_classes_together


def generalized_dice(a):
    truths = array(a["targets"])
    frequencies = truths.sum(axis=tuple(range(truths.ndim - 1)))
    weights = 1 / (frequencies**2 + 1e-7)
    weights = weights / weights.sum() * len(weights)
    made, names, post = dice({**a, "class_weights": plain(weights), "reduction": "none"})

    def mean(answer):
        found = post(answer)
        return {**found, "value": {"shape": [], "data": [float(np.mean(found["value"]["data"]))]}}

    return made, names, mean


def triplet(a):
    raise Refused("optax adds epsilon to the sum of powers")


def refuse(words):
    def write(a):
        raise Refused(words)

    return write


TRANSLATED = {
    "squared_error": elements("mse", "predictions", "targets"),
    "l2_loss": l2,
    "huber_loss": elements("huber", "predictions", "targets", delta="delta"),
    "log_cosh": elements("log_cosh", "predictions", "targets"),
    "cosine_similarity": similarity(True),
    "cosine_distance": similarity(False),
    "sigmoid_binary_cross_entropy": elements("bce_with_logits", "logits", "labels"),
    "hinge_loss": elements("hinge", "predictor_outputs", "targets"),
    "perceptron_loss": elements("perceptron", "predictor_outputs", "targets"),
    "sparsemax_loss": zero_one(elements("binary_sparsemax", "logits", "labels")),
    "sigmoid_focal_loss": elements("binary_focal", "logits", "labels", alpha="alpha", gamma="gamma"),
    "softmax_cross_entropy": of_classes("cross_entropy"),
    "safe_softmax_cross_entropy": of_classes("cross_entropy"),
    "softmax_cross_entropy_with_integer_labels": of_classes("cross_entropy"),
    "poly_loss_cross_entropy": of_classes("poly1_cross_entropy", epsilon="epsilon"),
    "multiclass_hinge_loss": of_classes("multiclass_hinge", "scores"),
    "multiclass_perceptron_loss": refuse("multiclass perceptron"),
    "multiclass_sparsemax_loss": of_classes("sparsemax", "scores"),
    "kl_divergence": sums("kl_div", "targets"),
    "kl_divergence_with_log_targets": sums("kl_div", "log_targets", log_target=True),
    "generalized_kl_divergence": of_classes("generalized_kl", "log_predictions", "targets"),
    "ctc_loss": ctc,
    "dice_loss": dice,
    "binary_dice_loss": lambda a: dice(a, binary=True),
    "multiclass_generalized_dice_loss": generalized_dice,
    "ntxent": lambda a: (
        case("nt_xent", {"predictions": a["embeddings"], "targets": a["labels"]}, {"temperature": a.get("temperature")}),
        {"embeddings": "predictions"},
    ),
    "triplet_margin_loss": triplet,
    "ranking_softmax_loss": refuse("a reduction function of the caller's"),
}


def translated(call):
    return TRANSLATED[call.function](call.arguments)
