"""The cases in PyTorch: `--device cpu|cuda`, `--mode eager|compile|graph` (graph: a captured CUDA graph, needs CUDA)."""

import argparse

import numpy
import protocol

LOSSES = ("mse", "mae", "huber", "bce_with_logits", "cross_entropy")


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
        kinds = {**{loss: Loss for loss in LOSSES}, "matmul": Matmul, "dense": Dense, "train_step": Training, "epoch": Training}
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
        }
        self.function = self.compiled(functions[request["case"]])
        self.predictions = self.tensor(protocol.floats(request, "predictions", request["shape"])).requires_grad_()
        if request["case"] == "cross_entropy":
            self.targets = self.tensor(protocol.integers(request, "labels").astype("i8"))
        else:
            self.targets = self.tensor(protocol.floats(request, "targets", request["shape"]))

    def call(self):
        self.predictions.grad = None
        self.value = self.function(self.predictions, self.targets)
        self.value.backward()

    def found(self):
        return self.value.item(), {"gradient": self.predictions.grad.cpu().numpy()}


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
        self.optimizer.step()

    def prepare_graph(self):
        """A graph of one step over a batch in a fixed place; the runs that capturing needs are undone."""
        torch = self.torch
        parameters = list(self.network.parameters())
        saved = [parameter.detach().clone() for parameter in parameters]
        self.place = tuple(tensor.clone() for tensor in self.batches[0])
        self.capture(lambda: self.step(*self.place))
        with torch.no_grad():
            for parameter, before in zip(parameters, saved):
                parameter.copy_(before)
            for state in self.optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()

    def call(self):
        for features, truth in self.batches:
            if self.graph and len(features) == len(self.place[0]):
                self.place[0].copy_(features)
                self.place[1].copy_(truth)
                self.graph.replay()
            else:
                self.step(features, truth)

    def run(self, times):
        for _ in range(times):
            self.call()
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def found(self):
        return self.value.item(), {"weight0": self.network[0].weight.detach().T.cpu().numpy()}


if __name__ == "__main__":
    protocol.main(start)
