"""PyTorch's own tests of its losses: OpInfo samples, module inputs and criterion tests, and how each call is written for gradus."""

import contextlib
import inspect
import warnings
from functools import partial

import torch
import torch.nn.functional as F

from calls import Call, Refused, case

FUNCTIONS = [
    "cross_entropy", "linear_cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss",
    "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "smooth_l1_loss", "l1_loss", "mse_loss", "ctc_loss", "cosine_embedding_loss", "nll_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "poisson_nll_loss", "kl_div",
]  # fmt: skip
ORIGINAL = {name: getattr(F, name) for name in FUNCTIONS}
SIGNATURES = {name: inspect.signature(ORIGINAL[name]) for name in FUNCTIONS}


def plain(value):
    """A tensor as (shape, numbers); lists of sizes as they are."""
    if isinstance(value, torch.Tensor):
        return (list(value.shape), value.detach().reshape(-1).tolist())
    return list(value) if isinstance(value, tuple) else value


def rounded(value):
    """A float tensor as float64 of float32 numbers, that wants its gradient."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.detach().float().double().requires_grad_()
    return value


def call_of(name, args, kwargs, origin):
    """The call again on rounded inputs: its value and the gradients of all its float inputs. None where PyTorch refuses it."""
    bound = SIGNATURES[name].bind(*args, **kwargs)
    given = {key: rounded(value) for key, value in bound.arguments.items()}
    again = inspect.BoundArguments(SIGNATURES[name], given)
    if name == "linear_cross_entropy":
        # The chunks of PyTorch's own are another way to the same numbers.
        again.arguments.pop("options", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = ORIGINAL[name](*again.args, **again.kwargs)
        except (RuntimeError, ValueError, IndexError, NotImplementedError, TypeError):
            return None
        wanted = {k: v for k, v in given.items() if isinstance(v, torch.Tensor) and v.requires_grad}
        gradients = {}
        for key, tensor in wanted.items():
            try:
                (gradient,) = torch.autograd.grad(value.sum(), tensor, retain_graph=True, allow_unused=True)
            except (RuntimeError, NotImplementedError):
                # No derivative for this input, such as the target of some losses.
                continue
            if gradient is not None:
                gradients[key] = plain(gradient)
    arguments = {key: plain(v) if isinstance(v, (torch.Tensor, tuple, list)) else v for key, v in given.items()}
    kinds = {key: str(v.dtype) for key, v in given.items() if isinstance(v, torch.Tensor)}
    arguments["kinds"] = kinds
    return Call("pytorch", name, origin, arguments, plain(value), gradients)


@contextlib.contextmanager
def recording(found):
    """Every call of a loss inside goes into `found` as well."""
    depth = [0]

    def watched(name, *args, **kwargs):
        depth[0] += 1
        try:
            result = ORIGINAL[name](*args, **kwargs)
        finally:
            depth[0] -= 1
        # A loss that calls another is recorded once.
        if depth[0] == 0:
            found.append((name, args, kwargs))
        return result

    try:
        for name in FUNCTIONS:
            setattr(F, name, partial(watched, name))
        yield
    finally:
        for name in FUNCTIONS:
            setattr(F, name, ORIGINAL[name])


def of_ops():
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        name = op.name.removeprefix("nn.functional.")
        if name not in FUNCTIONS:
            continue
        for samples in (op.sample_inputs, op.reference_inputs):
            for sample in samples("cpu", torch.float64, requires_grad=True):
                yield name, (sample.input, *sample.args), sample.kwargs, f"OpInfo {op.name}"


def of_modules():
    from torch.testing._internal.common_modules import module_db

    for module in module_db:
        if not module.name.endswith("Loss"):
            continue
        inputs = module.module_inputs_func(module, device="cpu", dtype=torch.float64, requires_grad=True, training=True)
        for given in inputs:
            made, forward = given.constructor_input, given.forward_input
            found = []
            with recording(found), warnings.catch_warnings(), contextlib.suppress(RuntimeError, ValueError):
                warnings.simplefilter("ignore")
                module.module_cls(*made.args, **made.kwargs)(*forward.args, **forward.kwargs)
            for name, args, kwargs in found:
                yield name, args, kwargs, f"ModuleInfo {module.name}"


def of_criteria():
    from torch.testing._internal import common_nn

    for parameters in common_nn.criterion_tests:
        test = common_nn.CriterionTest(**parameters)
        found, given = [], test._get_input()
        given = given if isinstance(given, tuple) else (given,)
        with recording(found):
            test.constructor(*test.constructor_args)(*given, test._get_target(), *test.extra_args)
        for name, args, kwargs in found:
            yield name, args, kwargs, f"criterion test {test.get_name()}"


def calls():
    """All calls, equal ones once."""
    torch.manual_seed(1)
    seen = set()
    for source in (of_ops, of_modules, of_criteria):
        for name, args, kwargs, origin in source():
            call = call_of(name, args, kwargs, origin)
            if call is not None and call.key() not in seen:
                seen.add(call.key())
                yield call


# How each call is written for gradus. A function takes the arguments by PyTorch's names, and returns a case, with a pair for each
# gradient: PyTorch's name and gradus's.


def reduction(a):
    """PyTorch's reduction, and its two older spellings."""
    if a.get("size_average") is not None or a.get("reduce") is not None:
        if a.get("reduce") is False:
            return "none"
        return "mean" if a.get("size_average") in (None, True) else "sum"
    word = a.get("reduction", "mean")
    return {"batchmean": "batch_mean"}.get(word, word)


def common(a, **options):
    """The options that every call has: PyTorch's mean of nothing is NaN."""
    return {"reduction": reduction(a), "on_empty": "nan", **options}


def pointwise(loss, a, **options):
    return case(loss, {"predictions": a["input"], "targets": a["target"], "weight": a.get("weight")}, common(a, **options)), {
        "input": "predictions"
    }


def class_axis(a):
    """PyTorch's classes are on axis 1, on axis 0 without a batch."""
    return 1 if len(a["input"][0]) > 1 else 0


def classes(loss, a, **options):
    inputs = {"predictions": a["input"], "targets": a["target"], "class_weight": a.get("weight")}
    if a["kinds"]["target"] == "torch.float64":
        # An ignored label means nothing for probabilities.
        options.pop("ignore_index", None)
    return case(loss, inputs, common(a, class_axis=class_axis(a), **options)), {"input": "predictions"}


def linear_cross_entropy(a):
    inputs = {
        "predictions": a["input"], "linear_weight": a["linear_weight"], "linear_bias": a.get("linear_bias"), "targets": a["target"],
        "class_weight": a.get("weight"),
    }  # fmt: skip
    ignored = a.get("ignore_index")
    if a["kinds"]["target"] == "torch.float64":
        ignored = None
    options = common(a, label_smoothing=a.get("label_smoothing"), ignore_index=ignored)
    names = {"input": "predictions", "linear_weight": "linear_weight", "linear_bias": "linear_bias"}
    return case("linear_cross_entropy", inputs, options), names


def pair(loss, a, **options):
    inputs = {"first": a["input1"], "second": a["input2"], "targets": a["target"]}
    return case(loss, inputs, common(a, margin=a.get("margin"), **options)), {"input1": "first", "input2": "second"}


def triplet(a):
    if a.get("distance_function") is not None:
        raise Refused("a distance function of the caller's")
    inputs = {name: a[name] for name in ("anchor", "positive", "negative")}
    options = common(a, margin=a.get("margin"), p=a.get("p"), epsilon=a.get("eps"), swap=a.get("swap"))
    return case("triplet_margin", inputs, options), {name: name for name in inputs}


def ctc(a):
    lengths = {}
    for name in ("input_lengths", "target_lengths"):
        value = a[name]
        lengths[name] = value if isinstance(value, tuple) else ([len(value)], list(value)) if isinstance(value, list) else ([], [value])
    inputs = {"predictions": a["log_probs"], "targets": a["targets"], **lengths}
    options = common(a, blank=a.get("blank"), zero_infinity=a.get("zero_infinity"))
    # PyTorch's gradient is that of logits, which it takes for log-probabilities.
    return case("ctc", inputs, options), {"log_probs": "predictions"}


def gaussian_nll(a):
    variance = a["var"]
    if not isinstance(variance, tuple):
        variance = ([], [variance])
    inputs = {"predictions": a["input"], "variance": variance, "targets": a["target"]}
    options = common(a, full=a.get("full"), epsilon=a.get("eps"))
    return case("gaussian_nll", inputs, options), {"input": "predictions", "var": "variance"}


def kl_div(a):
    made, names = pointwise("kl_div", a, log_target=a.get("log_target"))
    return made, names


TRANSLATED = {
    "mse_loss": partial(pointwise, "mse"),
    "l1_loss": partial(pointwise, "mae"),
    "huber_loss": lambda a: pointwise("huber", a, delta=a.get("delta")),
    "smooth_l1_loss": lambda a: pointwise("smooth_l1", a, beta=a.get("beta")),
    "soft_margin_loss": partial(pointwise, "soft_margin"),
    "hinge_embedding_loss": lambda a: pointwise("hinge_embedding", a, margin=a.get("margin")),
    "binary_cross_entropy": partial(pointwise, "bce"),
    "poisson_nll_loss": lambda a: pointwise(
        "poisson_nll", a, log_input=a.get("log_input"), full=a.get("full"), epsilon=a.get("eps")
    ),
    "kl_div": kl_div,
    "gaussian_nll_loss": gaussian_nll,
    "cross_entropy": lambda a: classes(
        "cross_entropy", a, ignore_index=a.get("ignore_index"), label_smoothing=a.get("label_smoothing")
    ),
    "nll_loss": lambda a: classes("nll", a, ignore_index=a.get("ignore_index")),
    "multi_margin_loss": lambda a: classes("multi_margin", a, p=a.get("p"), margin=a.get("margin")),
    "multilabel_soft_margin_loss": lambda a: (
        case(
            "multilabel_soft_margin",
            {"predictions": a["input"], "targets": a["target"], "class_weight": a.get("weight")},
            common(a),
        ),
        {"input": "predictions"},
    ),
    "multilabel_margin_loss": partial(pointwise, "multilabel_margin"),
    "linear_cross_entropy": linear_cross_entropy,
    "margin_ranking_loss": partial(pair, "margin_ranking"),
    "cosine_embedding_loss": partial(pair, "cosine_embedding"),
    "triplet_margin_loss": triplet,
    "triplet_margin_with_distance_loss": triplet,
    "ctc_loss": ctc,
}


def bce_with_logits(a):
    made, names = pointwise("bce_with_logits", a)
    if a.get("pos_weight") is not None:
        made["inputs"]["pos_weight"] = case("", {"w": a["pos_weight"]})["inputs"]["w"]
    return made, names


TRANSLATED["binary_cross_entropy_with_logits"] = bce_with_logits


def translated(call):
    """The case for gradus and the names of the gradients."""
    return TRANSLATED[call.function](call.arguments)
