"""The optimizers over PyTorch's parameters."""

import copy
import pickle

import numpy as np
import pytest

import gradus_ml as gm

torch = pytest.importorskip("torch")
optim = pytest.importorskip("gradus_ml.torch_optim")

PEERS = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adagrad": (torch.optim.Adagrad, {}),
    "nadam": (torch.optim.NAdam, {}),
    "radam": (torch.optim.RAdam, {}),
    "adamax": (torch.optim.Adamax, {}),
    "adadelta": (torch.optim.Adadelta, {}),
}


def trained(make, dtype, steps=20):
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).to(
        dtype
    )
    x = torch.randn(32, 4, dtype=dtype)
    y = x[:, :1] * x[:, 1:2]
    optimizer = make(model.parameters())
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return torch.cat([one.detach().reshape(-1) for one in model.parameters()]), losses, optimizer


@pytest.mark.parametrize("name", PEERS)
def test_steps_are_those_of_pytorch(name):
    peer, options = PEERS[name]
    ours, _, _ = trained(lambda p: optim.Optimizer(p, name, lr=0.01, **options), torch.float64)
    theirs, _, _ = trained(lambda p: peer(p, lr=0.01, **options), torch.float64)
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", gm.Optimizer.names())
def test_every_optimizer_trains(name):
    rate = {"adadelta": 1.0, "muon": 0.02, "schedule_free_sgd": 0.1}.get(name, 0.01)
    _, losses, optimizer = trained(lambda p: optim.Optimizer(p, name, lr=rate), torch.float32, 60)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    if "schedule_free" in name:
        assert [one.shape for one in optimizer.averages()] == [
            one.shape for group in optimizer.param_groups for one in group["params"]
        ]
    else:
        with pytest.raises(ValueError, match="has no averages"):
            optimizer.averages()


def test_a_state_goes_on_and_a_scheduler_is_heard():
    def run(steps, state=None, value=2.0):
        weight = torch.nn.Parameter(torch.tensor([[value, -1.0], [0.5, 3.0]]))
        optimizer = optim.Optimizer([weight], "adam", lr=0.1)
        if state is not None:
            optimizer.load_state_dict(state[0])
            weight.data.copy_(state[1])
        for _ in range(steps):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()
        return optimizer.state_dict(), weight.detach().clone()

    half = run(3)
    assert torch.equal(run(3, half)[1], run(6)[1])
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.Optimizer([weight], "gradient_descent", lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        weight.sum().backward()
        optimizer.step()
        schedule.step()
    assert weight.tolist() == [-0.5] * 3


def test_a_tensor_that_does_not_lie_in_order_is_written_back():
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
    assert not weight.is_contiguous()
    optimizer = optim.Optimizer([weight], "sgd", lr=1.0)
    (weight * torch.arange(6.0).reshape(3, 2)).sum().backward()
    optimizer.step()
    wanted = torch.arange(6.0).reshape(2, 3).t() - torch.arange(6.0).reshape(3, 2)
    assert torch.equal(weight.detach(), wanted)


def test_what_cannot_be_stepped_is_refused_by_name():
    with pytest.raises(ValueError, match="adamm"):
        optim.Optimizer([torch.nn.Parameter(torch.ones(1))], "adamm")
    with pytest.raises(ValueError, match="beta3"):
        optim.Optimizer([torch.nn.Parameter(torch.ones(1))], "adam", beta3=1)
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
    optimizer = optim.Optimizer([weight], "adam")
    weight.grad = torch.ones_like(weight)
    with pytest.raises(ValueError, match="float16 on cpu"):
        optimizer.step()


def test_groups_have_their_own_options():
    def weights(make):
        both = [torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in "ab"]
        optimizer = make([{"params": both[:1]}, {"params": both[1:], "weight_decay": 0.0}])
        for _ in range(5):
            optimizer.zero_grad()
            sum((one**2).sum() for one in both).backward()
            optimizer.step()
        return torch.stack(both).detach()

    ours = weights(lambda p: optim.Optimizer(p, "adamw", lr=0.1, weight_decay=0.5))
    theirs = weights(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5))
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)
    assert not torch.equal(ours[0], ours[1])
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="wait_decay"):
        optim.Optimizer([{"params": [weight], "wait_decay": 0.0}], "adamw")
    with pytest.raises(ValueError, match="weight_decay"):
        optim.Optimizer([{"params": [weight], "weight_decay": -1.0}], "adamw")


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"]
)
def test_a_copy_goes_on(copied):
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = optim.Optimizer([weight], "adam", lr=0.1, beta1=0.5)
    (weight**2).sum().backward()
    optimizer.step()
    other = copied(optimizer)
    twice = other.param_groups[0]["params"][0]
    assert twice is not weight and torch.equal(twice, weight)
    for one, parameter in [(optimizer, weight), (other, twice)]:
        parameter.grad = torch.ones(2)
        one.step()
    assert torch.equal(twice, weight) and other.name == "adam"
