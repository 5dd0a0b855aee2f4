"""Data-parallel training in several processes: torch.distributed by torchrun, MPI by mpirun."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gradus_ml as gm
import workers

HERE = Path(__file__).parent
ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMP_NUM_THREADS": "1",
}


def command(kind, processes):
    if kind == "torch":
        if importlib.util.find_spec("torch") is None:
            pytest.skip("needs torch")
        run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        return [*run, "--nproc_per_node", str(processes)]
    if importlib.util.find_spec("mpi4py") is None or shutil.which("mpirun") is None:
        pytest.skip("needs mpi4py and mpirun")
    return ["mpirun", "-n", str(processes), sys.executable, "-m", "mpi4py"]


def launch(kind, processes, *arguments, seconds=300):
    run = [*command(kind, processes), str(HERE / "workers.py"), kind, *arguments]
    environment = {**os.environ, **ROOT}
    return subprocess.run(run, env=environment, capture_output=True, text=True, timeout=seconds)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("kind", ["torch", "mpi"])
def test_processes_have_the_bits_of_one_that_accumulates(kind, processes, tmp_path):
    ended = launch(kind, processes, str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    x, y = workers.rows()
    for device in ["cpu", "reference"]:
        one = workers.model(device)
        history = one.fit(x, y, **workers.options(), accumulate=processes)
        assert (tmp_path / device).read_bytes() == one.to_bytes()
        assert np.load(tmp_path / f"{device}.npy").tolist() == history["val_loss"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
@pytest.mark.parametrize("kind", ["torch", "mpi"])
def test_a_killed_process_ends_the_others_and_keeps_the_checkpoint(kind, tmp_path):
    begun = time.monotonic()
    ended = launch(kind, 2, str(tmp_path), "crash", seconds=120)
    assert ended.returncode != 0
    assert time.monotonic() - begun < 100
    x, y = workers.rows()
    saved = gm.load(tmp_path / "model", device="cpu")
    assert saved.steps >= 22  # 11 updates an epoch
    saved.fit(x, y, validation_split=0.1, epochs=1, resume=True)


def test_a_function_changes_the_gradient_of_each_update():
    x, y = workers.rows()
    seen = []

    def nothing(gradient):
        seen.append((gradient.dtype, gradient.shape))
        gradient[:] = 0

    for device, kind in [("cpu", np.float32), ("reference", np.float64)]:
        made = workers.model(device)
        before = made.named_parameters()
        seen.clear()
        made.fit(x, y, epochs=2, batch_size=19, accumulate=2, reduce=nothing, learning_rate=0.1)
        # AdamW decays the weights even so; the biases do too.
        assert seen == [(np.dtype(kind), seen[0][1])] * 6 and seen[0][1][0] >= 51
        for path, values in made.named_parameters().items():
            assert np.abs(values).sum() <= np.abs(before[path]).sum()


def test_a_function_may_keep_its_arrays():
    x, y = workers.rows()
    kept = []

    def keeps(gradient):
        gradient[:] = len(kept)
        gradient.flags.writeable = False
        kept.append(gradient)

    workers.model("cpu").fit(x, y, epochs=1, batch_size=19, reduce=keeps)
    assert len(kept) > 1
    assert all((gradient == place).all() for place, gradient in enumerate(kept))


def test_an_exception_of_the_function_ends_the_training(tmp_path):
    x, y = workers.rows()
    calls = []

    def fails(gradient):
        calls.append(1)
        if len(calls) == 40:
            raise KeyError("the line is cut")

    made = workers.model("cpu")
    path = tmp_path / "model"
    with pytest.raises(KeyError, match="the line is cut"):
        made.fit(x, y, epochs=3, batch_size=4, reduce=fails, checkpoint=path)
    saved = gm.load(path, device="cpu")
    assert saved.steps == made.steps == 24
    found, expected = saved.named_parameters(), made.named_parameters()
    assert all((found[path] == expected[path]).all() for path in expected)


def test_what_cannot_be_divided_is_refused(monkeypatch):
    x, y = workers.rows()
    with pytest.raises(ValueError, match="given with reduce"):
        workers.model("cpu").fit(x, y, shard=(0, 2))
    with pytest.raises(ValueError, match="rank 2 of 2"):
        workers.model("cpu").fit(x, y, shard=(2, 2), reduce=lambda gradient: None)
    with pytest.raises(RuntimeError, match="reduce must sum"):
        workers.model("cpu").fit(x, y, shard=(0, 2), reduce=lambda gradient: None)
    pytest.importorskip("torch")
    from gradus_ml.distributed import torch_reduce

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="WORLD_SIZE"):
        torch_reduce()
