"""The cases in PyTorch: `--device cpu|cuda`, `--mode eager|compile|graph` (graph: a captured CUDA graph, needs CUDA)."""

import argparse

import networks
import numpy
import protocol

LOSSES = ("mse", "mae", "huber", "bce_with_logits", "cross_entropy", "focal", "nll", "multi_margin", "kl_div")
LABELLED = ("cross_entropy", "focal", "nll", "multi_margin")
SEVERAL = ("triplet_margin", "info_nce", "ctc", "linear_cross_entropy")


def start():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--mode", choices=["eager", "compile", "graph"], default="eager")
    arguments = parser.parse_args()
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise protocol.Unavailable("PyTorch finds no CUDA device")
    if arguments.mode == "graph" and arguments.device != "cuda":
        raise protocol.Unavailable("a CUDA graph needs --device cuda")
    # Full f32 on both sides: no TF32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"

    def make(request):
        case = request["case"]
        kinds = {
            **{loss: Loss for loss in LOSSES},
            **{loss: Several for loss in SEVERAL},
            **{layer: Layer for layer in LAYERS},
            **{name: Network for name in networks.NAMES},
            "matmul": Matmul,
            "dense": Dense,
            "train_step": Training,
            "epoch": Training,
        }
        return kinds[case](request, torch, arguments.device, arguments.mode)

    protocol.serve(f"torch {arguments.mode}, {name}", f"torch {torch.__version__}", make)


class Work(protocol.Prepared):
    """A call that leaves its results in tensors which stay in place, and what surrounds it in each mode."""

    def __init__(self, torch, device, mode):
        self.torch, self.device, self.mode, self.graph = torch, device, mode, None

    def tensor(self, array):
        return self.torch.from_numpy(numpy.ascontiguousarray(array)).to(self.device)

    def compiled(self, function):
        if self.mode != "compile":
            return function
        # Each case for its own shape: a second shape of the same function would else make sizes unknown to the compiler.
        self.torch._dynamo.reset()
        return self.torch.compile(function, dynamic=False)

    def capture(self, call):
        """A CUDA graph of the call, after the runs on a side stream that PyTorch's manual asks for."""
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            call()

    def call(self):
        raise NotImplementedError

    def run(self, times):
        if self.mode == "graph" and self.graph is None:
            self.capture(self.call)
        for _ in range(times):
            self.graph.replay() if self.graph else self.call()
        if self.device == "cuda":
            self.torch.cuda.synchronize()


class Loss(Work):
    """A loss with its gradient, which autograd allocates anew in each call."""

    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        functional = torch.nn.functional
        functions = {
            "mse": functional.mse_loss,
            "mae": functional.l1_loss,
            "huber": functional.huber_loss,
            "bce_with_logits": functional.binary_cross_entropy_with_logits,
            "cross_entropy": functional.cross_entropy,
            "nll": functional.nll_loss,
            "multi_margin": functional.multi_margin_loss,
            # gradus's mean is over all numbers, as PyTorch's default is.
            "kl_div": functional.kl_div,
            "focal": lambda logits, labels: focal(functional, logits, labels),
        }
        self.function = self.compiled(functions[request["case"]])
        self.predictions = self.tensor(protocol.floats(request, "predictions", request["shape"])).requires_grad_()
        if request["case"] in LABELLED:
            self.targets = self.tensor(protocol.integers(request, "labels").astype("i8"))
        else:
            self.targets = self.tensor(protocol.floats(request, "targets", request["shape"]))

    def call(self):
        self.predictions.grad = None
        self.value = self.function(self.predictions, self.targets)
        self.value.backward()

    def found(self):
        return self.value.item(), {"gradient": self.predictions.grad.cpu().numpy()}


def focal(functional, logits, labels):
    """The focal loss, which PyTorch does not have, as its users write it."""
    cross = functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-cross).exp()) ** 2 * cross).mean()


class Several(Work):
    """A loss of several inputs with the gradients of all."""

    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        functional, case, shape = torch.nn.functional, request["case"], request["shape"]
        leaf = lambda name, sizes: self.tensor(protocol.floats(request, name, sizes)).requires_grad_()
        if case == "triplet_margin":
            self.leaves = {name: leaf(name, shape) for name in ("anchor", "positive", "negative")}
            function = functional.triplet_margin_loss
        elif case == "info_nce":
            self.leaves = {name: leaf(name, shape) for name in ("first", "second")}
            own = torch.arange(shape[0], device=device)

            def function(first, second):
                scores = functional.normalize(first) @ functional.normalize(second).T / 0.1
                return functional.cross_entropy(scores, own)
        elif case == "ctc":
            steps, rows, classes, length = shape
            self.leaves = {"predictions": leaf("predictions", (steps, rows, classes))}
            targets = self.tensor(protocol.integers(request, "labels").astype("i8").reshape(rows, length))
            lengths = [torch.full((rows,), count, dtype=torch.long) for count in (steps, length)]
            function = lambda predictions: functional.ctc_loss(functional.log_softmax(predictions, -1), targets, *lengths)
        else:
            rows, features, classes = shape
            sizes = {"predictions": (rows, features), "linear_weight": (classes, features)}
            self.leaves = {name: leaf(name, size) for name, size in sizes.items()}
            labels = self.tensor(protocol.integers(request, "labels").astype("i8"))
            function = lambda predictions, linear_weight: functional.cross_entropy(predictions @ linear_weight.T, labels)
        self.function = self.compiled(function)

    def call(self):
        for leaf in self.leaves.values():
            leaf.grad = None
        self.value = self.function(**self.leaves)
        self.value.backward()

    def found(self):
        return self.value.item(), {name: leaf.grad.cpu().numpy() for name, leaf in self.leaves.items()}


class Matmul(Work):
    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        m, n, k = request["shape"]
        self.left = self.tensor(protocol.floats(request, "left", (m, k)))
        self.right = self.tensor(protocol.floats(request, "right", (k, n)))
        self.function = self.compiled(torch.matmul)

    def call(self):
        self.product = self.function(self.left, self.right)

    def found(self):
        return None, {"product": self.product.cpu().numpy()}


class Dense(Work):
    """A layer without activation: forward, and backward from a given gradient of its output."""

    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        rows, inputs, units = request["shape"]
        self.input = self.tensor(protocol.floats(request, "input", (rows, inputs))).requires_grad_()
        self.upstream = self.tensor(protocol.floats(request, "upstream", (rows, units)))
        self.layer = linear(self, *protocol.layers(request, [inputs, units])[0])
        self.function = self.compiled(self.layer)

    def call(self):
        self.input.grad = self.layer.weight.grad = self.layer.bias.grad = None
        self.output = self.function(self.input)
        self.output.backward(self.upstream)

    def found(self):
        layer = self.layer
        found = {"output": self.output.detach(), "weight": layer.weight.grad.T, "bias": layer.bias.grad, "input": self.input.grad}
        return None, {name: tensor.cpu().numpy() for name, tensor in found.items()}


def linear(work, weight, bias):
    """A layer with the weights of the files; PyTorch holds them transposed."""
    torch = work.torch
    layer = torch.nn.Linear(*weight.shape, device=work.device)
    with torch.no_grad():
        layer.weight.copy_(work.tensor(weight.T))
        layer.bias.copy_(work.tensor(bias))
    return layer


def channels_last(array, torch):
    """Images [rows, height, width, channels] as PyTorch's [rows, channels, height, width], in the same memory."""
    return torch.from_numpy(numpy.ascontiguousarray(array)).permute(0, 3, 1, 2)


def conv2d(request, torch):
    rows, height, width, channels, filters, kernel = request["shape"]
    x = channels_last(protocol.floats(request, "input", (rows, height, width, channels)), torch)
    weight = torch.from_numpy(protocol.floats(request, "weight", (kernel, kernel, channels, filters)))
    weight = weight.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    upstream = channels_last(protocol.floats(request, "upstream", (rows, height, width, filters)), torch)
    function = lambda input, weight: torch.nn.functional.conv2d(input, weight, padding=kernel // 2)
    back = lambda y: y.permute(0, 2, 3, 1)
    return function, {"input": x, "weight": weight}, upstream, {"weight": lambda w: w.permute(2, 3, 1, 0)}, back


def attention(request, torch):
    rows, tokens, heads, width = request["shape"]
    of_heads = lambda part: torch.from_numpy(part).permute(0, 2, 1, 3).contiguous()
    packed = protocol.floats(request, "input", (rows, tokens, 3, heads, width))
    parts = {name: of_heads(packed[:, :, i]) for i, name in enumerate(("query", "key", "value"))}
    upstream = of_heads(protocol.floats(request, "upstream", (rows, tokens, heads, width)))
    function = lambda query, key, value: torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return function, parts, upstream, {}, lambda y: y.permute(0, 2, 1, 3)


def max_pool2d(request, torch):
    rows, height, width, channels, kernel = request["shape"]
    x = channels_last(protocol.floats(request, "input", (rows, height, width, channels)), torch)
    upstream = protocol.floats(request, "upstream", (rows, height // kernel, width // kernel, channels))
    function = lambda input: torch.nn.functional.max_pool2d(input, kernel)
    return function, {"input": x}, channels_last(upstream, torch), {}, lambda y: y.permute(0, 2, 3, 1)


def affine(request, torch):
    """Weight and bias of a norm."""
    return {name: torch.from_numpy(protocol.floats(request, name)) for name in ("weight", "bias")}


def layer_norm(request, torch):
    shape = request["shape"]
    x, upstream = (torch.from_numpy(protocol.floats(request, name, shape)) for name in ("input", "upstream"))
    function = lambda input, weight, bias: torch.nn.functional.layer_norm(input, shape[-1:], weight, bias, 1e-5)
    return function, {"input": x, **affine(request, torch)}, upstream, {}, lambda y: y


def batch_norm(request, torch):
    shape = request["shape"]
    x, upstream = (channels_last(protocol.floats(request, name, shape), torch) for name in ("input", "upstream"))
    norm = torch.nn.functional.batch_norm
    buffers = {"running_mean": torch.zeros(shape[-1]), "running_var": torch.ones(shape[-1])}
    function = lambda input, weight, bias: norm(input, weight=weight, bias=bias, training=True, **buffers)
    return function, {"input": x, **affine(request, torch)}, upstream, {}, lambda y: y.permute(0, 2, 3, 1)


# A function of tensors by name, its arguments, the gradient of its output, and what brings gradients and the output into
# gradus's order of axes.
LAYERS = {"conv2d": conv2d, "attention": attention, "max_pool2d": max_pool2d, "layer_norm": layer_norm, "batch_norm": batch_norm}


class Layer(Work):
    """A layer: forward, and backward from a given gradient of its output to its input and its parameters."""

    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        with torch.device(device):
            function, leaves, upstream, self.orders, self.order = LAYERS[request["case"]](request, torch)
        self.leaves = {name: leaf.to(device).requires_grad_() for name, leaf in leaves.items()}
        self.upstream = upstream.to(device)
        self.function = self.compiled(function)

    def call(self):
        for leaf in self.leaves.values():
            leaf.grad = None
        self.output = self.function(**self.leaves)
        self.output.backward(self.upstream)

    def found(self):
        orders = {"input": self.order, "query": self.order, "key": self.order, "value": self.order, **self.orders}
        found = {name: orders.get(name, lambda x: x)(leaf.grad) for name, leaf in self.leaves.items()}
        found["output"] = self.order(self.output.detach())
        return None, {name: tensor.cpu().numpy() for name, tensor in found.items()}


class Training(Work):
    """So many steps of Adam, a batch each; the batches are on the device before the clock starts."""

    def __init__(self, request, torch, device, mode):
        super().__init__(torch, device, mode)
        nn = torch.nn
        stack = []
        for weight, bias in protocol.layers(request, request["shape"][1:]):
            stack += [linear(self, weight, bias), nn.ReLU()]
        self.network = nn.Sequential(*stack[:-1])
        # Fused, on CUDA with its step counter on the device: the fastest Adam that PyTorch has.
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, eps=1e-8, fused=True, capturable=device == "cuda")
        over_classes = request["case"] == "train_step"
        self.batches = [
            (self.tensor(features), self.tensor(labels.astype("i8") if over_classes else one_hot))
            for features, labels, one_hot in protocol.batches(request)
        ]
        functional = torch.nn.functional

        def loss(features, truth):
            output = self.network(features)
            if over_classes:
                return functional.cross_entropy(output, truth)
            # `epoch` is the document's example: softmax and the squared error of all its outputs.
            return functional.mse_loss(output.softmax(1), truth)

        self.loss = self.compiled(loss)
        if mode == "graph":
            self.prepare_graph()

    def step(self, features, truth):
        self.optimizer.zero_grad(set_to_none=self.mode != "graph")
        self.value = self.loss(features, truth)
        self.value.backward()
        self.update()

    def update(self):
        self.optimizer.step()

    def prepare_graph(self):
        """A graph of one step over a batch in a fixed place; the runs that capturing needs are undone."""
        torch = self.torch
        parameters = [*self.network.parameters(), *self.network.buffers()]
        saved = [parameter.detach().clone() for parameter in parameters]
        self.place = tuple(tensor.clone() for tensor in self.batches[0])
        self.capture(lambda: self.step(*self.place))
        with torch.no_grad():
            for parameter, before in zip(parameters, saved):
                parameter.copy_(before)
            for state in self.optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()

    def one(self, features, truth):
        """A step, from the graph if there is one of the batch's size."""
        if self.graph and len(features) == len(self.place[0]):
            self.place[0].copy_(features)
            self.place[1].copy_(truth)
            self.graph.replay()
        else:
            self.step(features, truth)

    def call(self):
        for features, truth in self.batches:
            self.one(features, truth)

    def run(self, times):
        for _ in range(times):
            self.call()
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def found(self):
        return self.value.item(), {"weight0": self.network[0].weight.detach().T.cpu().numpy()}


class Network(Training):
    """So many steps of a network, a batch each, from the weights of a file."""

    def __init__(self, request, torch, device, mode):
        Work.__init__(self, torch, device, mode)
        import torch_networks

        case = request["case"]
        self.compared, self.clips, self.losses = networks.compared(case), case == "gpt", []
        network = torch_networks.make(request)
        # The faster order for convolutions on a CPU, and that of the inputs.
        self.network = (network if case == "gpt" else network.to(memory_format=torch.channels_last)).to(device)
        make = torch.optim.AdamW if case == "gpt" else torch.optim.Adam
        options = {"lr": networks.LEARNING_RATE, "betas": networks.BETAS[case], "weight_decay": networks.DECAY[case]}
        self.optimizer = make(self.network.parameters(), fused=True, capturable=device == "cuda", **options)
        features = lambda rows: self.tensor(rows.astype("i8")) if case == "gpt" else channels_last(rows, torch).to(device)
        self.batches = [(features(rows), self.tensor(labels.astype("i8"))) for rows, labels in networks.batches(request)]
        functional = torch.nn.functional

        def loss(features, labels):
            output = self.network(features)
            return functional.cross_entropy(output.view(-1, output.shape[-1]), labels.view(-1))

        self.loss = self.compiled(loss)
        if mode == "graph":
            self.prepare_graph()

    def update(self):
        if self.clips:
            self.torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()

    def call(self):
        first = not self.losses
        for batch in self.batches:
            self.one(*batch)
            if first:
                self.losses.append(self.value.detach().clone())

    def found(self):
        weight = self.network.get_parameter(self.compared).detach().cpu().numpy()
        losses = numpy.array([loss.item() for loss in self.losses])
        return losses[-1], {"losses": losses, "weight0": networks.in_gradus_order(weight)}


if __name__ == "__main__":
    protocol.main(start)
