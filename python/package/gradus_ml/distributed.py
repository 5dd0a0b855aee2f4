"""Data-parallel training: what sums gradients over processes, for `reduce` of `Sequential.fit`.

Each process makes the same model, reads the same rows and calls `fit` with the same options; an update
is of `world` batches, a batch for each process, and has the bits of one process with
`accumulate=world`. PyTorch's `DistributedDataParallel`, Horovod.

    # torchrun --nproc_per_node 4 train.py
    from gradus_ml.distributed import torch_reduce
    history = model.fit(x, y, epochs=5, batch_size=32, reduce=torch_reduce())

    # mpirun -n 4 python train.py
    from gradus_ml.distributed import mpi_reduce
    history = model.fit(x, y, epochs=5, batch_size=32, reduce=mpi_reduce())

Both sum in the order of the ranks, whatever the number of numbers: each process sums a part of them and
gathers the parts of others, so that all have the same bits in every run. An all-reduce of the library
itself would not promise an order.
"""

from __future__ import annotations

import atexit
import datetime
import os
import sys
import time
from typing import Any, Optional

import numpy as np

__all__ = ["MpiReduce", "TorchReduce", "mpi_reduce", "torch_reduce"]


class _Reduce:
    """Sums arrays over processes in the order of the ranks.

    Attributes:
        rank: the number of this process, from 0.
        world: the number of processes.
        seconds: time spent in calls.
        calls: their number.
    """

    rank: int
    world: int

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def _all_to_all(self, parts: np.ndarray) -> np.ndarray:
        """Row i of `parts` goes to process i; row i of the result is from it."""
        raise NotImplementedError

    def _all_gather(self, own: np.ndarray) -> np.ndarray:
        """The arrays of all processes, [world, n]."""
        raise NotImplementedError

    def __call__(self, numbers: np.ndarray) -> None:
        """Replaces an array, float32 or float64 [n], by its sum over the processes.

        Raises:
            RuntimeError: if another process is gone.
        """
        begun = time.perf_counter()
        if self.world > 1:
            each = -(-numbers.size // self.world)
            parts = np.zeros((self.world, each), dtype=numbers.dtype)
            parts.reshape(-1)[: numbers.size] = numbers
            of_all = self._all_to_all(parts)
            own = of_all[0].copy()
            for part in of_all[1:]:
                own += part
            numbers[...] = self._all_gather(own).reshape(-1)[: numbers.size]
        self.seconds += time.perf_counter() - begun
        self.calls += 1


class TorchReduce(_Reduce):
    """By `torch.distributed`; made by `torch_reduce`."""

    def __init__(self, group: Any = None) -> None:
        import torch.distributed as dist

        super().__init__()
        self._group = group
        self.rank = dist.get_rank(group)
        self.world = dist.get_world_size(group)

    def _all_to_all(self, parts: np.ndarray) -> np.ndarray:
        import torch
        import torch.distributed as dist

        found = np.empty_like(parts)
        dist.all_to_all_single(torch.from_numpy(found), torch.from_numpy(parts), group=self._group)
        return found

    def _all_gather(self, own: np.ndarray) -> np.ndarray:
        import torch
        import torch.distributed as dist

        found = np.empty((self.world, own.size), dtype=own.dtype)
        rows = [torch.from_numpy(row) for row in found]
        dist.all_gather(rows, torch.from_numpy(own), group=self._group)
        return found


class MpiReduce(_Reduce):
    """By mpi4py; made by `mpi_reduce`."""

    def __init__(self, comm: Any) -> None:
        super().__init__()
        self._comm = comm
        self.rank = comm.Get_rank()
        self.world = comm.Get_size()

    def _all_to_all(self, parts: np.ndarray) -> np.ndarray:
        found = np.empty_like(parts)
        self._comm.Alltoall(parts, found)
        return found

    def _all_gather(self, own: np.ndarray) -> np.ndarray:
        found = np.empty((self.world, own.size), dtype=own.dtype)
        self._comm.Allgather(own, found)
        return found


def torch_reduce(group: Any = None, *, timeout: float = 60.0) -> TorchReduce:
    """Sums over the processes of `torch.distributed`, by Gloo on the CPU.

    Where there is no process group yet, one is made from the environment that `torchrun` sets up
    (`init_process_group("gloo")`).

    Args:
        group: a process group of a backend for the CPU; the default group if None.
        timeout: seconds until a call fails because another process does not answer, for a group
            that is made here.

    Raises:
        ValueError: without a process group or the environment of one.
    """
    import torch.distributed as dist

    if group is None and not dist.is_initialized():
        missing = [name for name in ("RANK", "WORLD_SIZE") if name not in os.environ]
        if missing:
            raise ValueError(
                f"torch_reduce: {' and '.join(missing)} are not set; start the program by torchrun, "
                "or call torch.distributed.init_process_group first"
            )
        dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=timeout))
        atexit.register(_leave)
    return TorchReduce(group)


def _leave() -> None:
    """Ends the process group that `torch_reduce` has made: its threads must not outlive the program.
    All wait for the last one, unless this process ends by an exception, which the others hear of by the
    connection that closes.
    """
    import torch.distributed as dist

    if not dist.is_initialized():
        return
    if not hasattr(sys, "last_value"):
        try:
            dist.barrier()
        except RuntimeError:
            pass
    dist.destroy_process_group()


def mpi_reduce(comm: Optional[Any] = None) -> MpiReduce:
    """Sums over the processes of an MPI communicator.

    MPI has no time limit: if a process dies, `mpirun` ends the others. A Python program that ends by
    an exception in one process would leave the others waiting, so it must end all of them: start
    it by `mpirun -n 4 python -m mpi4py train.py`, which does.

    Args:
        comm: an mpi4py communicator; `MPI.COMM_WORLD` if None.

    Raises:
        ImportError: without mpi4py.
    """
    if comm is None:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
    return MpiReduce(comm)
