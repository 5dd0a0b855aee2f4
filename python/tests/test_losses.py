"""Losses on arrays."""

import pickle
import threading
import time

import numpy as np
import pytest
from inputs import LOSSES, NAMES, draw, held_constant, options_of, single

import gradus_ml as gm


@pytest.mark.parametrize("info", LOSSES, ids=NAMES)
def test_each_loss_has_value_and_gradients(info):
    arrays = single(draw(info))
    exact, wide = getattr(gm, info.name)(**arrays, device="reference")
    value, gradients = getattr(gm, info.name)(**arrays)
    assert value == pytest.approx(exact, rel=1e-4, abs=1e-5)
    if len(info.differentiated) == 1:
        gradients, wide = {info.differentiated[0]: gradients}, {info.differentiated[0]: wide}
    for name, gradient in gradients.items():
        assert gradient.shape == arrays[name].shape
        assert (gradient.dtype, wide[name].dtype) == (np.float32, np.float64)
        scale = np.abs(wide[name]).max() + 1e-6
        assert np.abs(gradient - wide[name]).max() <= 1e-4 * scale


@pytest.mark.parametrize("info", LOSSES, ids=NAMES)
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_out_has_the_bits_of_a_new_gradient(info, device):
    arrays = single(draw(info))
    loss = gm.Loss(info.name, device=device)
    value, gradients = loss(**arrays)
    if isinstance(gradients, dict):
        out = {name: np.full_like(gradient, np.nan) for name, gradient in gradients.items()}
        again, same = loss(**arrays, out=out)
        assert same is out
        assert all(np.array_equal(out[name], gradients[name]) for name in gradients)
    else:
        out = np.full_like(gradients, np.nan)
        again, same = loss(**arrays, out=out)
        assert same is out and np.array_equal(out, gradients)
    assert again == value


@pytest.mark.parametrize("info", LOSSES, ids=NAMES)
def test_reference_uses_float64_as_it_is(info):
    if (reason := held_constant(info)) is not None:
        pytest.skip(reason)
    arrays = draw(info)
    loss = gm.Loss(info.name, device="reference", reduction="sum", **options_of(info))
    value, gradients = loss(**arrays)
    name = info.differentiated[0]
    gradient = gradients[name] if isinstance(gradients, dict) else gradients
    # A step far below the resolution of float32 is seen.
    step = 1e-10
    moved = {**arrays, name: arrays[name] + step}
    expected = gradient.sum() * step
    assert loss(**moved)[0] - value == pytest.approx(expected, rel=1e-2, abs=2e-14)


def refused(call, keyword):
    """True if a call is refused for a keyword."""
    try:
        call()
    except ValueError as error:
        return f": {keyword} is " in str(error)
    return False


@pytest.mark.parametrize("info", LOSSES, ids=NAMES)
def test_class_axis_and_probabilities_are_taken_or_refused_by_name(info):
    arrays, function = draw(info), getattr(gm, info.name)
    for keyword, value in (("class_axis", -1), ("from_probabilities", True)):
        is_refused = refused(lambda: function(**arrays, **{keyword: value}), keyword)
        assert is_refused is not getattr(info, keyword)
        assert (keyword in function.__signature__.parameters) is getattr(info, keyword)


def test_classes_on_another_axis_and_probabilities():
    random = np.random.default_rng(4)
    x, y = random.normal(size=(4, 6, 3)), random.integers(0, 3, (4, 6))
    value, gradient = gm.cross_entropy(x, y, class_axis=-1, device="reference")
    first = np.moveaxis(x, -1, 1)
    again, moved = gm.cross_entropy(first, y, class_axis=1, device="reference")
    assert again == value and np.array_equal(np.moveaxis(moved, 1, -1), gradient)
    out = np.empty(first.shape, np.float32)
    gm.cross_entropy(np.float32(first), y, class_axis=1, out=out)
    assert np.abs(out - moved).max() < 1e-7
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    found = gm.cross_entropy(p, y, class_axis=-1, from_probabilities=True, device="reference")[0]
    assert found == pytest.approx(value, abs=1e-6)


def test_inputs_are_repeated_as_numpy_repeats_them():
    x = np.float32([[1, 2], [3, 4]])
    value, gradient = gm.mse(x, np.float32([1, 2]), reduction="sum")
    assert value == 8 and gradient.tolist() == [[0, 0], [4, 4]]
    value, gradients = gm.gaussian_nll(x, np.float32(2), np.float32([[0], [0]]), reduction="sum")
    assert gradients["variance"].shape == () and gradients["predictions"].shape == (2, 2)
    assert gm.mse(x, np.zeros(2), weight=np.float32([1, 0]), reduction="sum")[0] == 10


def test_reductions_weight_mask_and_upstream():
    x, y = np.float32([1, 2, 4]), np.float32([0, 0, 0])
    weight, mask = np.float32([1, 2, 3]), np.array([True, False, True])
    assert gm.mse(x, y, reduction="sum")[0] == 21
    assert gm.mse(x, y, reduction="none")[0].tolist() == [1, 4, 16]
    assert gm.mse(x, y, weight=weight, reduction="sum")[0] == 57
    assert gm.mse(x, y, weight=weight, reduction="weighted_mean")[0] == pytest.approx(9.5)
    assert gm.mse(x, y, mask=mask)[0] == 8.5
    assert gm.mse(x, y, reduction=7)[0] == pytest.approx(3)
    assert gm.mse(x, y, reduction="sum", upstream=2.0)[1].tolist() == [4, 8, 16]


def test_weights_of_rows_by_name():
    x, y = np.float32([[1, 2], [3, 4]]), np.zeros((2, 2), np.float32)
    weight = np.float32([1, 0.5])
    assert gm.mse(x, y, row_weight=weight, reduction="none")[0].tolist() == [[1, 4], [4.5, 8]]
    assert gm.mse(x, y, weight=weight, reduction="none")[0].tolist() == [[1, 2], [9, 8]]
    assert gm.cross_entropy(x, [0, 1], row_weight=[0, 2], reduction="none")[0][0] == 0
    with pytest.raises(ValueError, match="mse: row_weight is given; left out"):
        gm.mse(x, y, weight=weight, row_weight=weight)
    with pytest.raises(ValueError, match="mse: row_weight is .*3.* and the values are"):
        gm.mse(x, y, row_weight=[1, 2, 3])


def test_gradients_of_targets():
    found = gm.Loss("bce_with_logits", reduction="sum").evaluate(
        [0.5, -2.0], [1.0, 0.25], target_gradient=True
    )
    assert found["gradients"]["targets"].tolist() == [-0.5, 2.0]
    assert gm.Loss("mse").target_gradient and not gm.Loss("hinge").target_gradient
    with pytest.raises(ValueError, match="hinge: the gradient of targets was asked for"):
        gm.Loss("hinge").evaluate([0.5], [1.0], target_gradient=True)
    with pytest.raises(ValueError, match="targets are labels"):
        gm.Loss("cross_entropy").evaluate([[0.5, 1.0]], [1], target_gradient=True)


def test_floats_of_few_bits():
    half = np.float16([1.5, 2.0])
    assert gm.mse(half, np.float16([0.5, 0.0]))[0] == 2.5
    out = np.empty(2, np.float16)
    assert gm.mse(half, np.zeros(2), out=out)[1] is out and out.tolist() == [1.5, 2.0]
    dtypes = pytest.importorskip("ml_dtypes")
    for kind in (dtypes.bfloat16, dtypes.float8_e4m3fn):
        x, y = np.array([1.5, 2.0], kind), np.array([0.5, 0.0], kind)
        value, gradient = gm.mse(x, y, weight=np.array([1, 2], kind))
        assert value == 4.5 and gradient.dtype == np.float32 and gradient.tolist() == [1, 4]
        out = np.empty(2, kind)
        gm.mse(x, y, out=out)
        assert out.astype(np.float32).tolist() == [1, 2]
    logits = np.array([[0, 1]], dtypes.bfloat16)
    assert gm.cross_entropy(logits, [1])[0] == pytest.approx(0.31326, abs=1e-5)
    with pytest.raises(ValueError, match="predictions holds"):
        gm.mse(np.zeros(2, [("a", "f4")]), np.zeros(2))


def test_arrays_of_any_order_and_type():
    wide = np.arange(24, dtype=np.float64).reshape(4, 6)[::-1, ::2]
    value, gradient = gm.mse(wide, np.zeros((4, 3), np.float16))
    assert value == pytest.approx((wide**2).mean()) and gradient.shape == (4, 3)
    assert gm.mse([1.0, 2.0], [0, 4])[0] == 2.5
    assert gm.mse(np.float32([1, 2]), np.array([0, 4]))[0] == 2.5
    labels = np.array([0, 1], np.int16)
    assert gm.cross_entropy(np.zeros((2, 2), np.float32), labels)[0] == pytest.approx(np.log(2))
    assert gm.bce_with_logits(np.zeros(2, np.float32), np.array([True, False]))[0] > 0
    strange = np.zeros(9, np.uint8)[1:].view(np.float32)  # not aligned
    assert gm.mse(strange, np.ones(2, np.float32))[0] == 1
    assert gm.mse(np.zeros(2, ">f4"), np.ones(2, ">f4"))[0] == 1


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: gm.Loss("nope"), ValueError, "unknown loss `nope`; known: mse"),
        (
            lambda: gm.huber([1.0], [0.0], delta=-1),
            ValueError,
            "huber: delta is -1.0; it must be > 0",
        ),
        (
            lambda: gm.mse([1.0], [0.0, 1.0]),
            ValueError,
            "mse: predictions are [1] but targets are [2]",
        ),
        (lambda: gm.mse([1.0], [0.0], wieght=[1.0]), ValueError, "unknown input of mse `wieght`"),
        (lambda: gm.mse([1.0]), ValueError, "mse: targets is missing"),
        (lambda: gm.cross_entropy([[1.0, 0.0]], [2]), ValueError, "row 0 has label 2"),
        (lambda: gm.mse(["a"], [0.0]), ValueError, "predictions holds"),
        (lambda: gm.mse([1.0], [0.0], reduction="avg"), ValueError, "reduction is avg"),
        (lambda: gm.mse([1.0], [0.0], mask=[1]), ValueError, "it must be an array of bool"),
        (lambda: gm.mse([1.0], [0.0], out=np.zeros(2, np.float32)), ValueError, "gradient is [2]"),
        (lambda: gm.Device("tpu"), ValueError, "unknown device `tpu`"),
        (lambda: gm.load("/nowhere/model"), OSError, "/nowhere/model: "),
    ],
)
def test_errors_are_one_line_by_name(call, kind, text):
    with pytest.raises(kind) as found:
        call()
    assert text in str(found.value) and "\n" not in str(found.value)


def test_out_that_is_an_input_is_refused():
    x = np.float32([1, 2])
    with pytest.raises(ValueError, match="out is an input too"):
        gm.mse(x, np.zeros(2, np.float32), out=x)


def test_losses_have_options_representation_and_pickles():
    loss = gm.Loss("huber", delta=0.5, reduction="sum", device="reference")
    again = pickle.loads(pickle.dumps(loss))
    assert again.options == {"delta": 0.5} and again.reduction == "sum"
    assert again.device.name == "reference" and again.inputs[:2] == ["predictions", "targets"]
    assert repr(loss) == 'Loss("huber", device="reference", reduction="sum", delta=0.5)'
    loss = pickle.loads(pickle.dumps(gm.Loss("focal", class_axis=1, from_probabilities=True)))
    assert loss.class_axis == 1 and loss.from_probabilities
    assert ", class_axis=1, from_probabilities=True," in repr(loss)


def test_hessian_and_auxiliaries():
    found = gm.Loss("bce_with_logits", reduction="sum").evaluate(
        [0.0, 0.0], [1.0, 0.0], hessian=True
    )
    assert found["hessian"].tolist() == [0.25, 0.25]
    found = gm.Loss("cross_entropy").evaluate([[0.0, 1.0]], [1], auxiliary=True)
    assert found["auxiliaries"]["argmax"].tolist() == [1] and found["count"] == 1
    with pytest.raises(ValueError, match="Hessian"):
        gm.Loss("mae").evaluate([0.0], [1.0], hessian=True)


def test_other_threads_run_meanwhile():
    x = np.random.default_rng(0).normal(size=(3000, 2000)).astype(np.float32)
    labels = np.zeros(3000, np.int64)
    counted, ends = [0], threading.Event()

    def count():
        while not ends.is_set():
            counted[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    loss, out = gm.Loss("cross_entropy"), np.empty_like(x)
    before = counted[0]
    for _ in range(20):
        loss(x, labels, out=out)
    after = counted[0]
    ends.set()
    thread.join()
    assert after > before + 100


def test_the_catalogue_and_the_functions_agree():
    assert len(LOSSES) >= 110 and gm.functional.__all__ == NAMES
    for info in LOSSES:
        function = getattr(gm, info.name)
        names = list(function.__signature__.parameters)
        assert info.formula in function.__doc__
        assert set(names) >= {given.name for given in info.inputs}
        assert set(names) >= {option.keyword for option in info.options} | {
            "out",
            "reduction",
            "device",
        }
