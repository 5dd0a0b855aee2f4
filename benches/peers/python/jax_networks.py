"""The networks of the cases in JAX: a function of parameters in PyTorch's names, images [rows, height, width, channels]."""

import math

import jax
import networks
from jax import lax
from jax import numpy as jnp

# Of the running statistics, as in PyTorch.
MOMENTUM = 0.1
EPSILON = 1e-5
STATISTICS = ("running_mean", "running_var")


def convolution(x, weight, stride=1, padding=0):
    pads, order = [(padding, padding)] * 2, ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weight, (stride, stride), pads, dimension_numbers=order)


def max_pool(x, size):
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def batch_norm(x, weight, bias):
    """The norm over all pixels of a batch; also its mean and its unbiased variance, for the running statistics."""
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    return (x - mean) * lax.rsqrt(variance + EPSILON) * weight + bias, (mean, variance * count / (count - 1))


def layer_norm(x, weight, bias=None):
    mean = x.mean(-1, keepdims=True)
    y = (x - mean) * lax.rsqrt(((x - mean) ** 2).mean(-1, keepdims=True) + EPSILON) * weight
    return y if bias is None else y + bias


def attention(q, k, v):
    """Causal attention of [rows, heads, tokens, width]."""
    tokens, width = q.shape[2:]
    scores = q @ k.swapaxes(2, 3) / math.sqrt(width)
    return jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), scores, -jnp.inf)) @ v


class Pass:
    """One evaluation of a network: its parameters, and the statistics that it moves."""

    def __init__(self, parameters, statistics):
        self.parameters, self.statistics, self.moved = parameters, statistics, {}

    def __getitem__(self, name):
        return self.parameters[name]

    def conv(self, name, x, stride=1, padding=0):
        y = convolution(x, self[name + ".weight"], stride, padding)
        bias = self.parameters.get(name + ".bias")
        return y if bias is None else y + bias

    def linear(self, name, x):
        y = x @ self[name + ".weight"]
        bias = self.parameters.get(name + ".bias")
        return y if bias is None else y + bias

    def norm(self, name, x):
        y, found = batch_norm(x, self[name + ".weight"], self[name + ".bias"])
        for statistic, value in zip(STATISTICS, found):
            path = f"{name}.{statistic}"
            self.moved[path] = (1 - MOMENTUM) * self.statistics[path] + MOMENTUM * value
        return y


def lenet5(p, x):
    x = max_pool(jax.nn.relu(p.conv("conv1", x, padding=2)), 2)
    x = max_pool(jax.nn.relu(p.conv("conv2", x)), 2).reshape(len(x), -1)
    return p.linear("fc3", jax.nn.relu(p.linear("fc2", jax.nn.relu(p.linear("fc1", x)))))


def small_cnn(p, x):
    x = max_pool(jax.nn.relu(p.conv("conv1", x, padding=1)), 2)
    x = max_pool(jax.nn.relu(p.conv("conv2", x, padding=1)), 2).reshape(len(x), -1)
    return p.linear("fc2", jax.nn.relu(p.linear("fc1", x)))


def resnet(blocks, p, x):
    x = jax.nn.relu(p.norm("bn1", p.conv("conv1", x, padding=1)))
    for stage in (1, 2, 3):
        for number in range(blocks):
            path, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            y = jax.nn.relu(p.norm(f"{path}.bn1", p.conv(f"{path}.conv1", x, stride, 1)))
            y = p.norm(f"{path}.bn2", p.conv(f"{path}.conv2", y, padding=1))
            if f"{path}.downsample.0.weight" in p.parameters:
                x = p.norm(f"{path}.downsample.1", p.conv(f"{path}.downsample.0", x, stride))
            x = jax.nn.relu(x + y)
    return p.linear("fc", x.mean((1, 2)))


def gpt(layers, heads, p, ids):
    rows, tokens = ids.shape
    x = p["transformer.wte.weight"][ids] + p["transformer.wpe.weight"][:tokens]
    for number in range(layers):
        path = f"transformer.h.{number}"
        qkv = p.linear(f"{path}.attn.c_attn", layer_norm(x, p[f"{path}.ln_1.weight"]))
        q, k, v = (part.reshape(rows, tokens, heads, -1).swapaxes(1, 2) for part in jnp.split(qkv, 3, -1))
        x = x + p.linear(f"{path}.attn.c_proj", attention(q, k, v).swapaxes(1, 2).reshape(x.shape))
        hidden = p.linear(f"{path}.mlp.c_fc", layer_norm(x, p[f"{path}.ln_2.weight"]))
        x = x + p.linear(f"{path}.mlp.c_proj", jax.nn.gelu(hidden, approximate=False))
    return layer_norm(x, p["transformer.ln_f.weight"]) @ p["transformer.wte.weight"].T


def make(request):
    """The loss as a function of parameters, statistics and a batch, with the new statistics beside it; parameters; statistics."""
    case, sizes = request["case"], request["shape"][1:]
    if case == "gpt":
        network = lambda p, ids: gpt(sizes[2], sizes[3], p, ids)
    else:
        kinds = {"lenet5": lenet5, "small_cnn": small_cnn}
        network = kinds.get(case, lambda p, x: resnet(networks.BLOCKS[case], p, x))
    parameters, statistics = {}, {}
    for name, tensor in networks.weights(request).items():
        if name.endswith(STATISTICS):
            statistics[name] = jnp.asarray(tensor)
        elif not name.endswith("num_batches_tracked"):
            parameters[name] = jnp.asarray(in_order(case, name, tensor))

    def loss(parameters, statistics, features, labels):
        p = Pass(parameters, statistics)
        logits = network(p, features)
        picked = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
        return (jax.nn.logsumexp(logits, axis=-1) - picked).mean(), p.moved

    return loss, parameters, statistics


def in_order(case, name, tensor):
    """A weight of PyTorch's file in the order that this file computes in: tables stay as they are."""
    if tensor.ndim < 2 or name.endswith(("wte.weight", "wpe.weight")):
        return tensor
    if name == "fc1.weight":
        # Behind the flatten of images, whose channels come last here.
        filters = {"lenet5": 16, "small_cnn": 64}[case]
        side = math.isqrt(tensor.shape[1] // filters)
        tensor = tensor.reshape(-1, filters, side, side).transpose(0, 2, 3, 1).reshape(tensor.shape)
    return networks.in_gradus_order(tensor)
