"""What the processes of `test_distributed.py` run: python workers.py torch|mpi FOLDER [crash]."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

import gradus_ml as gm
from gradus_ml import layers


def rows():
    """86 rows to train on, in 22 batches of 4, which no number of processes divides, and 9 others."""
    row, at = np.indices((95, 4))
    x = ((row * 7 + at * 5) % 13 / 6 - 1).astype(np.float32)
    return x, (np.arange(95) ** 2 % 3).astype(np.int64)


def model(device):
    network = [layers.Dense(6, "tanh"), layers.Dropout(0.2), layers.Dense(3)]
    made = gm.Sequential(network, 4, seed=2, device=device)
    return made.compile("cross_entropy", "adamw", learning_rate=0.02)


def options():
    return {"epochs": 4, "batch_size": 4, "validation_split": 0.1, "clip_norm": 0.5}


def main(kind, folder, crash):
    if kind == "torch":
        from gradus_ml.distributed import torch_reduce

        reduce = torch_reduce(timeout=20)
    else:
        from gradus_ml.distributed import mpi_reduce

        reduce = mpi_reduce()
    x, y = rows()
    if crash:

        def die(epoch, logs):
            if epoch == 3 and reduce.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        gm.set_num_threads(1)
        made = model("cpu")
        limits = {**options(), "epochs": 1000}
        made.fit(x, y, **limits, reduce=reduce, checkpoint=folder / "model", callbacks=die)
        return
    for device in ["cpu", "reference"]:
        made = model(device)
        history = made.fit(x, y, **options(), reduce=reduce)
        if reduce.rank == 0:
            (folder / device).write_bytes(made.to_bytes())
            np.save(folder / f"{device}.npy", np.array(history["val_loss"]))
    print(f"rank {reduce.rank} of {reduce.world}: {reduce.calls} calls")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "crash" in sys.argv)
