"""The cases in JAX, compiled by XLA: `--device cpu|gpu`, `--mode jit|scan` (scan: all steps of a training case in one call)."""

import argparse

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
    loss = mean_of(request["case"], numpy, jax.nn)
    classes = request["case"] == "cross_entropy"
    targets = numpy.asarray(protocol.integers(request, "labels")) if classes else put("targets", shape)
    function = jax.jit(jax.value_and_grad(loss))
    return function, (put("predictions", shape), targets), lambda found: (found[0], {"gradient": found[1]})


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
        self.jax, self.mode = jax, mode
        numpy = jax.numpy
        parameters = [tuple(map(numpy.asarray, layer)) for layer in protocol.layers(request, request["shape"][1:])]
        zeros = lambda: jax.tree.map(numpy.zeros_like, parameters)
        self.state = (parameters, zeros(), zeros(), numpy.zeros((), "i4"))
        over_classes = request["case"] == "train_step"
        batches = [(features, labels if over_classes else one_hot) for features, labels, one_hot in protocol.batches(request)]
        whole = [batch for batch in batches if len(batch[0]) == len(batches[0][0])]
        step = make_step(jax, over_classes)
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
            for batch in self.batches:
                self.state, self.value = self.step(self.state, batch)
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


if __name__ == "__main__":
    protocol.main(start)
