"""Losses in PyTorch's autograd."""

import copy
import pickle

import numpy as np
import pytest
from inputs import LOSSES, NAMES, draw, held_constant, options_of

import gradus_ml as gm

torch = pytest.importorskip("torch")
gt = pytest.importorskip("gradus_ml.torch")

REDUCTIONS = ["none", "sum", "mean", "batch_mean", "weighted_mean", 3.0]


def extras(info, arrays, weighed):
    """A weight and a mask, one for each value of the loss."""
    if not weighed:
        return {}
    value, _ = gm.Loss(info.name, device="reference", reduction="none")(**arrays)
    random = np.random.default_rng(5)
    mask = np.ones(value.shape, bool)
    if mask.size > 1:
        mask.ravel()[1] = False
    return {"weight": random.uniform(0.5, 2.0, value.shape), "mask": mask}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighed", [False, True], ids=["plain", "weight and mask"])
@pytest.mark.parametrize("info", LOSSES, ids=NAMES)
def test_gradcheck(info, weighed, reduction):
    if (reason := held_constant(info)) is not None:
        pytest.skip(reason)
    arrays = draw(info)
    named = extras(info, arrays, weighed)
    differentiated = [name for name in info.differentiated if name in arrays]
    fixed = {
        name: torch.from_numpy(array)
        for name, array in arrays.items()
        if name not in differentiated
    }
    fixed.update({name: torch.from_numpy(array) for name, array in named.items()})
    tensors = [
        torch.tensor(arrays[name], dtype=torch.float64, requires_grad=True)
        for name in differentiated
    ]
    loss = gt.GradusLoss(info.name, device="reference", reduction=reduction, **options_of(info))
    assert torch.autograd.gradcheck(
        lambda *given: loss(**dict(zip(differentiated, given)), **fixed), tensors, eps=1e-6
    )


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", ["cispo", "linear_cispo"])
def test_gradients_beside_a_weight_that_is_held_constant(name, reduction):
    (info,) = [info for info in LOSSES if info.name == name]
    tensors = {key: torch.from_numpy(array) for key, array in draw(info).items()}
    differentiated = [key for key in info.differentiated if key in tensors]
    for key in differentiated:
        tensors[key].requires_grad_()
    options = {"epsilon_high": 1.2, "beta": 0.5}
    loss = gt.GradusLoss(name, device="reference", reduction=reduction, **options)
    if name == "cispo":
        log_probs, mask = tensors["log_probs"], tensors["completion_mask"]
    else:
        logits = tensors["predictions"] @ tensors["linear_weight"].T
        logits = logits + tensors.get("linear_bias", 0.0)
        log_probs = logits.log_softmax(-1).gather(-1, tensors["targets"][..., None])[..., 0]
        mask = torch.ones_like(log_probs)
    ratio = (log_probs - tensors["old_log_probs"]).exp()
    assert (ratio > 1.2).any() and (ratio < 1.2).any()
    advantages = tensors["advantages"].reshape(len(log_probs), -1)
    against = tensors["ref_log_probs"] - log_probs
    held = ratio.clamp(max=1.2).detach()
    values = -held * advantages * log_probs + 0.5 * (against.exp() - 1 - against)
    expected = (values * mask).sum(1)
    if reduction != "none":
        expected = expected.sum() / (mask.sum() if reduction == "mean" else 1)
    found = loss(**tensors)
    upstream = torch.rand(expected.shape, dtype=torch.float64)
    assert torch.allclose(found, expected, rtol=1e-10)
    ours = torch.autograd.grad(found, [tensors[key] for key in differentiated], upstream)
    theirs = torch.autograd.grad(expected, [tensors[key] for key in differentiated], upstream)
    for mine, other in zip(ours, theirs):
        assert torch.allclose(mine, other, rtol=1e-8, atol=1e-12)


def dense_targets(info, arrays):
    """The arrays of a loss with targets that have a gradient, in place of labels."""
    if arrays["targets"].dtype == np.int64:
        shares = np.random.default_rng(6).dirichlet(
            np.ones(arrays["predictions"].shape[-1]), arrays["targets"].shape
        )
        return {**arrays, "targets": shares}
    return arrays


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "info",
    [info for info in LOSSES if info.target_gradient],
    ids=[info.name for info in LOSSES if info.target_gradient],
)
def test_gradcheck_of_targets(info, reduction):
    arrays = dense_targets(info, draw(info))
    names = [*info.differentiated, "targets"]
    tensors = [torch.from_numpy(arrays[name]).requires_grad_() for name in names]
    loss = gt.GradusLoss(info.name, device="reference", reduction=reduction)
    assert torch.autograd.gradcheck(
        lambda *given: loss(**dict(zip(names, given))), tensors, eps=1e-6
    )
    # Other tensors are float32, in any order and with the values of the call without a gradient.
    single = {name: torch.tensor(arrays[name], dtype=torch.float32) for name in names}
    single["targets"].requires_grad_()
    found = gt.GradusLoss(info.name, reduction=reduction)(**dict(reversed(single.items())))
    expected = gt.GradusLoss(info.name, reduction=reduction)(
        **{name: tensor.detach() for name, tensor in single.items()}
    )
    assert torch.equal(found, expected) and found.requires_grad
    found.sum().backward()
    assert single["targets"].grad.shape == single["targets"].shape


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "shape"), [("mse", (3, 3)), ("mse", (2, 3, 4)), ("cross_entropy", (4, 5))]
)
def test_gradcheck_of_weights_of_rows(name, shape, reduction):
    torch.manual_seed(7)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = torch.randint(0, 5, shape[:1]) if name == "cross_entropy" else torch.randn(shape).double()
    weight = torch.rand(shape[0], dtype=torch.float64)
    loss = gt.GradusLoss(name, device="reference", reduction=reduction)
    assert torch.autograd.gradcheck(lambda x: loss(x, y, row_weight=weight), [x], eps=1e-6)
    as_rows = weight.reshape(-1, *[1] * (y.ndim - 1)) if name == "mse" else weight
    assert torch.equal(loss(x, y, row_weight=weight), loss(x, y, weight=as_rows))


def test_repeated_targets_get_the_sum_of_their_gradients():
    torch.manual_seed(8)
    x, y = torch.randn(3, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    upstream = torch.rand(3, 4)
    ours = torch.autograd.grad(gt.mse(x, y, reduction="none"), [x, y], upstream)
    theirs = torch.autograd.grad((x - y).square(), [x, y], upstream)
    for found, expected in zip(ours, theirs):
        assert found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs", "shape", "labels"),
    [
        (gt.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(), (64, 10), True),
        (
            gt.CrossEntropyLoss(label_smoothing=0.1, reduction="sum"),
            torch.nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum"),
            (64, 10),
            True,
        ),
        (gt.HuberLoss(delta=0.5), torch.nn.HuberLoss(delta=0.5), (64, 10), False),
        (gt.MseLoss(reduction="none"), torch.nn.MSELoss(reduction="none"), (64, 10), False),
        (gt.SmoothL1Loss(), torch.nn.SmoothL1Loss(), (7, 3), False),
    ],
)
def test_values_and_gradients_are_those_of_pytorch(ours, theirs, shape, labels):
    torch.manual_seed(0)
    x = torch.randn(shape, requires_grad=True)
    y = torch.randint(0, shape[1], shape[:1]) if labels else torch.randn(shape)
    found, expected = ours(x, y), theirs(x, y)
    upstream = torch.randn_like(expected)
    (ours_gradient,) = torch.autograd.grad(found, x, upstream)
    (theirs_gradient,) = torch.autograd.grad(expected, x, upstream)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(ours_gradient, theirs_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 3, 3), (2, 3, 4, 5), (5, 3)])
def test_classes_are_on_the_axis_of_pytorch(shape, reduction):
    torch.manual_seed(2)
    x = torch.randn(shape, requires_grad=True)
    labels = torch.randint(0, 3, (shape[0], *shape[2:]))
    labels[0] = -100
    probabilities = torch.randn(shape).softmax(1)
    for y in (labels, probabilities):
        found = gt.cross_entropy(x, y, class_axis=1, reduction=reduction)
        expected = torch.nn.functional.cross_entropy(x, y, reduction=reduction)
        upstream = torch.randn_like(expected)
        (ours,) = torch.autograd.grad(found, x, upstream)
        (theirs,) = torch.autograd.grad(expected, x, upstream)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        module = gt.CrossEntropyLoss(class_axis=1, reduction=reduction)
        assert torch.equal(module(x, y), found) and "class_axis=1" in repr(module)


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize(
    ("ours", "theirs", "x", "others"),
    [
        (gt.mse, torch.nn.functional.mse_loss, torch.tensor(3.0), [torch.tensor(1.0)]),
        (gt.mse, torch.nn.functional.mse_loss, torch.ones(0, 5), [torch.ones(0, 5)]),
        (gt.cross_entropy, torch.nn.functional.cross_entropy, torch.ones(3), [torch.tensor(1)]),
        (
            gt.cosine_embedding,
            torch.nn.functional.cosine_embedding_loss,
            torch.tensor([1.0, 2.0]),
            [torch.tensor([2.0, 0.5]), torch.tensor(1)],
        ),
    ],
    ids=["a number", "no rows", "a row", "vectors"],
)
def test_single_and_no_values(ours, theirs, x, others, reduction):
    x = x.clone().requires_grad_()
    found, expected = ours(x, *others, reduction=reduction), theirs(x, *others, reduction=reduction)
    upstream = torch.full_like(expected, 3.0)
    (gradient,) = torch.autograd.grad(found, x, upstream)
    (wanted,) = torch.autograd.grad(expected, x, upstream)
    assert gradient.shape == x.shape and torch.allclose(gradient, wanted, atol=1e-6)
    if x.numel():
        assert torch.allclose(found, expected, atol=1e-6)


def test_a_repeated_input_gets_the_sum_of_its_gradients():
    torch.manual_seed(5)
    mean, y = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    for shape in ((3, 1), (4,), ()):
        variance = torch.rand(shape).add(0.5).requires_grad_()
        found = torch.autograd.grad(gt.gaussian_nll(mean, variance, y), [mean, variance])
        expected = torch.nn.functional.gaussian_nll_loss(mean, y, variance.expand(3, 4))
        for ours, theirs in zip(found, torch.autograd.grad(expected, [mean, variance])):
            assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-5)


def test_an_axis_of_classes_that_is_open_is_refused():
    x, y = torch.zeros(4, 3, 5), torch.zeros(4, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match="class_axis = 1"):
        gt.cross_entropy(x, y)
    with pytest.raises(ValueError, match="mse: class_axis is 1"):
        gt.mse(x, x, class_axis=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [("cross_entropy", {"class_axis": 1}), ("bce_with_logits", {}), ("focal", {"class_axis": 1})],
)
def test_gradcheck_of_probabilities(name, options):
    torch.manual_seed(3)
    p = torch.rand(3, 4, 4, dtype=torch.float64).mul(0.8).add(0.1).requires_grad_()
    y = torch.randint(0, 4, (3, 4)) if options else torch.rand(3, 4, 4, dtype=torch.float64)
    for reduction in ("none", "mean"):
        loss = gt.GradusLoss(
            name, device="reference", reduction=reduction, from_probabilities=True, **options
        )
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, y), [p], eps=1e-6)


def test_a_function_is_its_module():
    x = torch.tensor([[2.0, 0.0]], requires_grad=True)
    label = torch.tensor([1])
    assert gt.cross_entropy(x, label, label_smoothing=0.2) == gt.CrossEntropyLoss(
        label_smoothing=0.2
    )(x, label)


def test_a_gradient_of_two_losses_and_a_kept_graph():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    zero = torch.zeros(2)
    loss = 2 * gt.mse(x, zero, reduction="sum") + gt.mae(x, zero, reduction="sum")
    loss.backward(retain_graph=True)
    assert x.grad.tolist() == [5.0, 9.0]
    loss.backward()
    assert x.grad.tolist() == [10.0, 18.0]


def test_second_derivatives_are_refused_by_name():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(gt.mse(x, torch.zeros(2)), x, create_graph=True)
    assert gradient.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="mse: gradus has no second derivatives"):
        gradient.sum().backward()


def test_tensors_elsewhere_and_gradients_that_are_not_there_are_errors():
    elsewhere = torch.zeros(2, device="meta")
    with pytest.raises(
        ValueError, match="mse: predictions is on meta; gradus takes tensors on the CPU"
    ):
        gt.mse(elsewhere, torch.zeros(2))
    with pytest.raises(ValueError, match="hinge: targets requires a gradient"):
        gt.hinge(torch.zeros(2), torch.ones(2, requires_grad=True))
    with pytest.raises(ValueError, match="mse: weight requires a gradient"):
        gt.mse(torch.zeros(2), torch.zeros(2), weight=torch.ones(2, requires_grad=True))


def test_halves_and_views():
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    gt.mse(x, torch.zeros(2, dtype=torch.bfloat16)).backward()
    assert x.grad.dtype == torch.bfloat16 and x.grad.tolist() == [1.0, 1.0]
    base = torch.randn(6, 4, requires_grad=True)
    y = torch.randn(4, 6)
    gt.mse(base.T, y).backward()
    expected = 2 * (base.detach().T - y) / 24
    assert torch.allclose(base.grad, expected.T, atol=1e-6)


def test_a_module_trains_copies_and_pickles():
    torch.manual_seed(1)
    model, loss = torch.nn.Linear(3, 2), gt.CrossEntropyLoss()
    x, y = torch.randn(64, 3), torch.randint(0, 2, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert pickle.loads(pickle.dumps(loss))(model(x), y) == loss(model(x), y)
    assert copy.deepcopy(loss).loss.name == "cross_entropy"
    assert "reduction='mean'" in repr(loss)
