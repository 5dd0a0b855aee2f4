"""The cases in JAX, compiled by XLA: `--device cpu|gpu`, `--mode jit|scan` (scan: all steps of a training case in one call)."""

import argparse

import networks
import protocol


def start():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--mode", choices=["jit", "scan"], default="jit")
    arguments = parser.parse_args()
    import jax

    try:
        device = jax.devices(arguments.device)[0]
    except RuntimeError as error:
        raise protocol.Unavailable(f"JAX finds no {arguments.device}: {error}") from error
    jax.config.update("jax_default_device", device)
    # Full f32 on both sides: no TF32.
    jax.config.update("jax_default_matmul_precision", "highest")

    def make(request):
        if request["case"] in ("train_step", "epoch"):
            return Training(request, jax, arguments.mode)
        if request["case"] in networks.NAMES:
            return Network(request, jax, arguments.mode)
        return Call(jax, *call(request, jax))

    protocol.serve(f"jax {arguments.mode}, {device.device_kind}", f"jax {jax.__version__}", make)


def mean_of(case, numpy, nn):
    """The mean loss as a function of predictions and targets."""

    def cross_entropy(logits, labels):
        picked = numpy.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return numpy.mean(nn.logsumexp(logits, axis=1) - picked)

    def huber(p, t):
        size = numpy.abs(p - t)
        return numpy.mean(numpy.where(size <= 1.0, 0.5 * size * size, size - 0.5))

    return {
        "mse": lambda p, t: numpy.mean((p - t) ** 2),
        "mae": lambda p, t: numpy.mean(numpy.abs(p - t)),
        "huber": huber,
        "bce_with_logits": lambda z, y: numpy.mean(numpy.maximum(z, 0) - z * y + numpy.log1p(numpy.exp(-numpy.abs(z)))),
        "cross_entropy": cross_entropy,
    }[case]


def call(request, jax):
    """The compiled function of a case, its arguments, and what of its result is the value and what are tensors."""
    numpy, shape = jax.numpy, request["shape"]
    put = lambda name, shape=None: numpy.asarray(protocol.floats(request, name, shape))
    if request["case"] == "matmul":
        m, n, k = shape
        return jax.jit(numpy.matmul), (put("left", (m, k)), put("right", (k, n))), lambda product: (None, {"product": product})
    if request["case"] == "dense":
        rows, inputs, units = shape
        ((weight, bias),) = protocol.layers(request, [inputs, units])

        def dense(weight, bias, input, upstream):
            output, pull = jax.vjp(lambda w, b, x: x @ w + b, weight, bias, input)
            return output, *pull(upstream)

        arguments = numpy.asarray(weight), numpy.asarray(bias), put("input", (rows, inputs)), put("upstream", (rows, units))
        names = ("output", "weight", "bias", "input")
        return jax.jit(dense), arguments, lambda found: (None, dict(zip(names, found)))
    if request["case"] in LAYERS:
        function, arguments, upstream, results = LAYERS[request["case"]](request, put)

        def passed(arguments, upstream):
            output, pull = jax.vjp(function, *arguments)
            return output, *pull(upstream)

        return jax.jit(passed), (arguments, upstream), lambda found: (None, results(*found))
    loss = mean_of(request["case"], numpy, jax.nn)
    classes = request["case"] == "cross_entropy"
    targets = numpy.asarray(protocol.integers(request, "labels")) if classes else put("targets", shape)
    function = jax.jit(jax.value_and_grad(loss))
    return function, (put("predictions", shape), targets), lambda found: (found[0], {"gradient": found[1]})


def conv2d(request, put):
    import jax_networks

    rows, height, width, channels, filters, kernel = request["shape"]
    arguments = put("input", (rows, height, width, channels)), put("weight", (kernel, kernel, channels, filters))
    function = lambda x, weight: jax_networks.convolution(x, weight, padding=kernel // 2)
    upstream = put("upstream", (rows, height, width, filters))
    return function, arguments, upstream, lambda *found: dict(zip(("output", "input", "weight"), found))


def attention(request, put):
    import jax_networks

    rows, tokens, heads, width = request["shape"]
    packed = put("input", (rows, tokens, 3, heads, width))
    arguments = tuple(packed[:, :, part].swapaxes(1, 2) for part in range(3))
    upstream = put("upstream", (rows, tokens, heads, width)).swapaxes(1, 2)
    names = ("output", "query", "key", "value")
    results = lambda *found: {name: tensor.swapaxes(1, 2) for name, tensor in zip(names, found)}
    return jax_networks.attention, arguments, upstream, results


def max_pool2d(request, put):
    import jax_networks

    rows, height, width, channels, kernel = request["shape"]
    upstream = put("upstream", (rows, height // kernel, width // kernel, channels))
    function = lambda x: jax_networks.max_pool(x, kernel)
    return function, (put("input", (rows, height, width, channels)),), upstream, lambda *found: dict(zip(("output", "input"), found))


def norm(request, put):
    import jax_networks

    arguments = put("input", request["shape"]), put("weight"), put("bias")
    is_batch = request["case"] == "batch_norm"
    function = (lambda x, weight, bias: jax_networks.batch_norm(x, weight, bias)[0]) if is_batch else jax_networks.layer_norm
    names = ("output", "input", "weight", "bias")
    return function, arguments, put("upstream", request["shape"]), lambda *found: dict(zip(names, found))


# A function, its arguments, the gradient of its output, and the names of output and gradients.
LAYERS = {"conv2d": conv2d, "attention": attention, "max_pool2d": max_pool2d, "layer_norm": norm, "batch_norm": norm}


class Call(protocol.Prepared):
    """A compiled function, whose results JAX allocates anew in each call."""

    def __init__(self, jax, function, arguments, results):
        self.jax, self.function, self.arguments, self.results = jax, function, arguments, results
        self.on_cpu = jax.config.jax_default_device.platform == "cpu"

    def run(self, times):
        for _ in range(times):
            self.last = self.function(*self.arguments)
            # A GPU has one stream, on which calls follow one another; a CPU might run several at once.
            if self.on_cpu:
                self.jax.block_until_ready(self.last)
        self.jax.block_until_ready(self.last)

    def found(self):
        return self.results(self.last)


class Training(protocol.Prepared):
    """So many steps of Adam, a batch each; the batches are on the device before the clock starts."""

    def __init__(self, request, jax, mode):
        self.jax, self.mode, self.steps, self.losses = jax, mode, request["steps"], []
        numpy = jax.numpy
        parameters = [tuple(map(numpy.asarray, layer)) for layer in protocol.layers(request, request["shape"][1:])]
        zeros = lambda: jax.tree.map(numpy.zeros_like, parameters)
        self.state = (parameters, zeros(), zeros(), numpy.zeros((), "i4"))
        over_classes = request["case"] == "train_step"
        batches = [(features, labels if over_classes else one_hot) for features, labels, one_hot in protocol.batches(request)]
        whole = [batch for batch in batches if len(batch[0]) == len(batches[0][0])]
        self.compile(make_step(jax, over_classes), batches, whole)

    def compile(self, step, batches, whole):
        """A step by itself, or in the mode `scan` all steps over whole batches in one call."""
        jax, mode, numpy = self.jax, self.mode, self.jax.numpy
        self.step = jax.jit(step, donate_argnums=0)
        self.scan = jax.jit(lambda state, data: jax.lax.scan(step, state, data), donate_argnums=0)
        put = lambda arrays: tuple(map(numpy.asarray, arrays))
        import numpy as host

        self.stacked = put(host.stack(part) for part in zip(*whole)) if mode == "scan" else None
        self.batches = [put(batch) for batch in (batches[len(whole) :] if mode == "scan" else batches)]

    def run(self, times):
        for _ in range(times):
            if self.mode == "scan":
                self.state, losses = self.scan(self.state, self.stacked)
                self.value = losses[-1]
                self.losses = self.losses or list(losses)
            for batch in self.batches:
                self.state, self.value = self.step(self.state, batch)
                if len(self.losses) < self.steps:
                    self.losses.append(self.value)
        self.jax.block_until_ready((self.state, self.value))

    def found(self):
        return self.value, {"weight0": self.state[0][0][0]}


def make_step(jax, over_classes):
    """One step: state and batch in, new state and loss out."""
    numpy = jax.numpy

    def loss(parameters, features, truth):
        x = features
        for i, (weight, bias) in enumerate(parameters):
            x = x @ weight + bias
            if i + 1 < len(parameters):
                x = jax.nn.relu(x)
        if over_classes:
            return mean_of("cross_entropy", numpy, jax.nn)(x, truth)
        # `epoch` is the document's example: softmax and the squared error of all its outputs.
        return numpy.mean((jax.nn.softmax(x, axis=1) - truth) ** 2)

    def step(state, batch):
        parameters, first, second, time = state
        value, gradient = jax.value_and_grad(loss)(parameters, *batch)
        time = time + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        correction = [1 - rate ** time.astype("f4") for rate in (0.9, 0.999)]
        move = lambda w, m, v: w - 1e-3 * (m / correction[0]) / (numpy.sqrt(v / correction[1]) + 1e-8)
        return (jax.tree.map(move, parameters, first, second), first, second, time), value

    return step


class Network(Training):
    """So many steps of a network, a batch each, from the weights of a file."""

    def __init__(self, request, jax, mode):
        import jax_networks

        self.jax, self.mode, self.steps, self.losses = jax, mode, request["steps"], []
        self.case, numpy = request["case"], jax.numpy
        loss, parameters, statistics = jax_networks.make(request)
        zeros = lambda: jax.tree.map(numpy.zeros_like, parameters)
        self.state = (parameters, zeros(), zeros(), numpy.zeros((), "i4"), statistics)
        batches = networks.batches(request)
        self.compile(make_network_step(jax, loss, self.case), batches, batches)

    def found(self):
        return self.losses[-1], {"losses": self.jax.numpy.stack(self.losses), "weight0": self.state[0][networks.compared(self.case)]}


def make_network_step(jax, loss, case):
    """As `make_step`, with running statistics; for `gpt` with decoupled weight decay and a clipped norm."""
    numpy, (beta1, beta2) = jax.numpy, networks.BETAS[case]
    rate, kept = networks.LEARNING_RATE, 1 - networks.LEARNING_RATE * networks.DECAY[case]

    def step(state, batch):
        parameters, first, second, time, statistics = state
        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(parameters, statistics, *batch)
        if case == "gpt":
            norm = numpy.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradient)))
            factor = numpy.minimum(1.0, 1.0 / (norm + 1e-6))
            gradient = jax.tree.map(lambda g: factor * g, gradient)
        time = time + 1
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
        of_first, of_second = (1 - beta ** time.astype("f4") for beta in (beta1, beta2))
        move = lambda w, m, v: kept * w - rate * (m / of_first) / (numpy.sqrt(v / of_second) + 1e-8)
        return (jax.tree.map(move, parameters, first, second), first, second, time, statistics), value

    return step


if __name__ == "__main__":
    protocol.main(start)
