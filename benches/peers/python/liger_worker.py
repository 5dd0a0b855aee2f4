"""Cross-entropy in Liger's Triton kernels. Needs CUDA.

Liger writes the gradient over the logits, so that each call needs them anew: the copy is made before the clock starts.
"""

import time

import protocol


def start():
    import torch

    if not torch.cuda.is_available():
        raise protocol.Unavailable("Liger's kernels need CUDA, and PyTorch finds no CUDA device")
    from importlib.metadata import version

    from liger_kernel.transformers.functional import liger_cross_entropy

    def make(request):
        if request["case"] != "cross_entropy":
            raise ValueError(f"no case {request['case']}")
        return CrossEntropy(request, torch, liger_cross_entropy)

    protocol.serve(f"liger, {torch.cuda.get_device_name()}", f"liger-kernel {version('liger-kernel')}, torch {torch.__version__}", make)


class CrossEntropy(protocol.Prepared):
    def __init__(self, request, torch, function):
        self.torch, self.function = torch, function
        self.logits = torch.from_numpy(protocol.floats(request, "predictions", request["shape"])).cuda()
        self.labels = torch.from_numpy(protocol.integers(request, "labels").astype("i8")).cuda()

    def run(self, times):
        self.clock(times)

    def clock(self, times):
        total = 0.0
        for _ in range(times):
            self.last = None
            logits = self.logits.clone().requires_grad_()
            self.torch.cuda.synchronize()
            start = time.perf_counter()
            value = self.function(logits, self.labels)
            value.backward()
            self.torch.cuda.synchronize()
            total += time.perf_counter() - start
            self.last = value, logits
        return total * 1e3

    def found(self):
        value, logits = self.last
        return value.item(), {"gradient": logits.grad.cpu().numpy()}


if __name__ == "__main__":
    protocol.main(start)
