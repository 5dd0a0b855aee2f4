"""Times of a call, and of forward and backward beside PyTorch's on the CPU: python speed.py [rounds].

Rounds alternate between the two on the same inputs; the median of each stands there, and the median of the
ratios of the rounds. Results are compared first. PyTorch's threads and ours are all cores.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any, Callable

import numpy as np
import torch
from torch.nn import functional as F

import gradus_ml as gm
import gradus_ml.torch as gt


def timed(call: Callable[[], Any], least: float = 0.02) -> float:
    """Seconds of a call, over enough of them for `least` seconds."""
    call()
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        taken = time.perf_counter() - start
        if taken >= least:
            return taken / count
        count = max(2 * count, int(count * least / max(taken, 1e-9)))


def text(seconds: float) -> str:
    return f"{seconds * 1e6:8.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:8.2f} ms"


def focal(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    log_p = F.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def step(
    loss: Callable[..., torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> Callable[[], torch.Tensor]:
    def run() -> torch.Tensor:
        x.grad = None
        loss(x, y).backward()
        return x.grad

    return run


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    import_time = "import time, numpy; t = time.perf_counter(); import gradus_ml; print(time.perf_counter() - t)"
    found = [float(subprocess.check_output([sys.executable, "-c", import_time])) for _ in range(5)]
    print(f"import over NumPy {text(min(found))} (least of 5)")

    x, y = (np.random.default_rng(seed).normal(size=1024).astype(np.float32) for seed in (0, 1))
    loss, out = gm.Loss("mse"), np.empty_like(x)
    tx, ty = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(y)
    calls = {
        "Loss(x, y, out=out)": lambda: loss(x, y, out=out),
        "Loss(x, y)": lambda: loss(x, y),
        "gm.mse(x, y, out=out)": lambda: gm.mse(x, y, out=out),
        "gm.mse(x, y)": lambda: gm.mse(x, y),
        "torch forward + backward": step(F.mse_loss, tx, ty),
        "gradus_ml.torch forward + backward": step(gt.MseLoss(), tx, ty),
    }
    print("\nmse of 1,024 numbers, least of the rounds")
    for name, call in calls.items():
        print(f"  {name:36} {text(min(timed(call) for _ in range(rounds)))}")

    big, other = (torch.randn(1 << 24) for _ in range(2))
    out = np.empty(1 << 24, np.float32)
    best = min(timed(lambda: loss(big.numpy(), other.numpy(), out=out)) for _ in range(rounds))
    print(f"\nmse of 2^24 into out: {text(best)}, {3 * out.nbytes / best / 1e9:.1f} GB/s")

    cases = [
        ("cross_entropy 4096x1000", gt.CrossEntropyLoss(), F.cross_entropy, (4096, 1000), True),
        ("cross_entropy 65536x10", gt.CrossEntropyLoss(), F.cross_entropy, (65536, 10), True),
        ("cross_entropy 32x10", gt.CrossEntropyLoss(), F.cross_entropy, (32, 10), True),
        ("huber 2^22", gt.HuberLoss(), F.huber_loss, (1 << 22,), False),
        ("mse 2^24", gt.MseLoss(), F.mse_loss, (1 << 24,), False),
        ("focal 65536x10", gt.FocalLoss(), focal, (65536, 10), True),
        ("focal 327680x2", gt.FocalLoss(), focal, (327_680, 2), True),
        ("focal 4096x1000", gt.FocalLoss(), focal, (4096, 1000), True),
    ]
    print(
        f"\nforward + backward, medians of {rounds} rounds that alternate, {torch.get_num_threads()} threads"
    )
    print("                            gradus_ml.torch        torch   torch/gradus   into out")
    for name, ours, theirs, shape, labels in cases:
        x = torch.randn(shape, requires_grad=True)
        y = torch.randint(0, shape[-1], shape[:1]) if labels else torch.randn(shape)
        our_step, their_step = step(ours, x, y), step(theirs, x, y)
        assert torch.allclose(our_step().clone(), their_step(), rtol=1e-3, atol=1e-6), name
        out = np.empty(shape, np.float32)
        plain = ours.loss
        arrays = x.detach().numpy(), y.numpy()
        times = [
            (timed(our_step), timed(their_step), timed(lambda: plain(*arrays, out=out)))
            for _ in range(rounds)
        ]
        mine, yours, into = (statistics.median(column) for column in zip(*times))
        ratio = statistics.median(b / a for a, b, _ in times)
        print(f"  {name:26} {text(mine)}  {text(yours)}   {ratio:6.2f}x      {text(into)}")


if __name__ == "__main__":
    main()
