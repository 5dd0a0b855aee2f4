"""Scaling of data-parallel training and the time of its exchange: python distributed.py [updates].

Starts 1, 2 and 4 processes on this machine by torchrun and by mpirun, each with its share of the cores, and prints the
rows per second of all of them, the time of an update and that of its exchange, in which a process also waits for slower ones. The batch of a process stays
the same, so that perfect scaling doubles the rows with the processes, as long as there are cores.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import gradus_ml as gm
from gradus_ml import layers

BATCH = 64
# Units of the hidden layer: 51 thousand and 1.6 million parameters.
NETWORKS = {"784-64-10": [64], "784-1024-784-10": [1024, 784]}
KINDS = {
    "torch": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"],
    "mpi": ["mpirun", "-n"],
}


def worker(kind: str, updates: int) -> None:
    from gradus_ml.distributed import mpi_reduce, torch_reduce

    reduce: Any = torch_reduce() if kind == "torch" else mpi_reduce()
    gm.set_num_threads(max(1, len(os.sched_getaffinity(0)) // reduce.world))
    random = np.random.default_rng(0)
    rows = BATCH * reduce.world * updates
    x = random.normal(size=(rows, 784)).astype(np.float32)
    y = random.integers(0, 10, rows)
    for name, hidden in NETWORKS.items():
        network = [layers.Dense(units, "relu") for units in hidden]
        model = gm.Sequential([*network, layers.Dense(10)], 784)
        model.compile("cross_entropy", "adam")
        model.fit(x, y, batch_size=BATCH, steps=3, reduce=reduce)
        reduce.seconds, before = 0.0, time.perf_counter()
        model.fit(x, y, batch_size=BATCH, reduce=reduce)
        seconds = time.perf_counter() - before
        if reduce.rank == 0:
            found = {
                "network": name,
                "parameters": model.parameters,
                "update": seconds / updates,
                "exchange": reduce.seconds / updates,
                "rows": rows / seconds,
            }
            print(json.dumps(found), flush=True)


def available(kind: str) -> bool:
    if kind == "torch":
        return importlib.util.find_spec("torch") is not None
    return importlib.util.find_spec("mpi4py") is not None and shutil.which("mpirun") is not None


def main(updates: int) -> None:
    options = ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"]
    options += ["OMPI_MCA_rmaps_base_oversubscribe", "OMPI_MCA_mpi_yield_when_idle"]
    environment = {**os.environ, **{name: "1" for name in options}, "OMP_NUM_THREADS": "1"}
    print(f"{len(os.sched_getaffinity(0))} cores, {updates} updates of {BATCH} rows per process")
    for kind in filter(available, KINDS):
        for processes in (1, 2, 4):
            python = [] if kind == "torch" else [sys.executable]
            run = [*KINDS[kind], str(processes), *python, str(Path(__file__).resolve()), kind]
            run.append(str(updates))
            ended = subprocess.run(run, env=environment, capture_output=True, text=True)
            if ended.returncode != 0:
                raise SystemExit(f"{' '.join(run)}: {ended.stderr}")
            for line in filter(lambda line: line.startswith("{"), ended.stdout.splitlines()):
                found = json.loads(line)
                print(
                    f"{kind:5} {processes} processes  {found['network']:16} {found['rows']:9.0f} rows/s"
                    f"  update {1e3 * found['update']:7.2f} ms  exchange {1e3 * found['exchange']:7.2f} ms"
                    f"  ({found['exchange'] / found['update']:.0%})"
                )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        worker(sys.argv[1], int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
