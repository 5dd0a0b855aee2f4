"""The package as a whole: stubs, examples, import."""

import copy
import doctest
import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradus_ml as gm

FOLDER = Path(__file__).parent.parent


def test_the_stubs_are_those_of_the_catalogue():
    if not (FOLDER / "stubs.py").exists():
        pytest.skip("not a checkout")
    found = subprocess.run(
        [sys.executable, str(FOLDER / "stubs.py"), "--check"], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["mypy", "--config-file", "pyproject.toml", "-p", "gradus_ml"],
        [
            "mypy.stubtest",
            *(f"gradus_ml.{n}" for n in ("_gradus", "functional", "torch", "boosting")),
        ],
    ],
    ids=["strict", "stubtest"],
)
def test_types_are_those_of_the_stubs(command):
    for name in ("mypy", "torch", "scipy", "sklearn"):
        pytest.importorskip(name)
    if not (FOLDER / "stubs.py").exists():
        pytest.skip("not a checkout")
    found = subprocess.run(
        [sys.executable, "-m", *command], cwd=FOLDER, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("gradus_ml", "numpy"),
        ("gradus_ml._named", "numpy"),
        ("gradus_ml.advise", "numpy"),
        ("gradus_ml.boosting", "numpy"),
        ("gradus_ml.callbacks", "numpy"),
        ("gradus_ml.explain", "numpy"),
        ("gradus_ml.functional", "numpy"),
        ("gradus_ml.layers", "numpy"),
        ("gradus_ml.lightfm", "scipy"),
        ("gradus_ml.lightfm.data", "scipy"),
        ("gradus_ml.model", "numpy"),
        ("gradus_ml.sklearn", "sklearn"),
        ("gradus_ml.torch", "torch"),
        ("gradus_ml.torch_optim", "torch"),
        ("gradus_ml.tune", "numpy"),
        ("gradus_ml.zoo", "numpy"),
    ],
)
def test_the_examples_of_the_documentation_run(module, needs):
    pytest.importorskip(needs)
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0


def test_the_examples_of_the_extension_run():
    for item in (gm.Device, gm.Loss):
        parser = doctest.DocTestParser()
        example = parser.get_doctest(item.__doc__, {"gm": gm}, item.__name__, None, 0)
        assert example.examples and doctest.DocTestRunner().run(example).failed == 0


def test_numpy_is_the_only_requirement():
    text = "import sys, gradus_ml, gradus_ml.tune, gradus_ml.explain, gradus_ml.advise; print([n for n in ('torch', 'sklearn', 'scipy', 'pandas') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_a_device_has_threads_of_its_own():
    two = gm.Device("cpu", threads=2)
    assert two.threads == 2 and two.description.endswith(" 2 thread(s)") and ", threads=2)" in repr(two)
    assert gm.Device("cpu").threads is None
    for one in (pickle.loads(pickle.dumps(two)), copy.copy(two), copy.deepcopy(two)):
        assert (one.name, one.threads) == ("cpu", 2)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4096, 64)).astype(np.float32), random.integers(0, 64, 4096)
    value, gradient = gm.cross_entropy(x, y)
    loss = gm.Loss("cross_entropy", device=two)
    assert loss.device.threads == pickle.loads(pickle.dumps(loss)).device.threads == 2
    again, same = loss(x, y)
    assert again == value and np.array_equal(same, gradient)
    network = gm.Sequential([gm.layers.Dense(64)], 64, device=gm.Device("cpu", threads=3))
    network.compile("cross_entropy").fit(x, y, epochs=1)
    assert network.device.threads == copy.deepcopy(network).device.threads == 3
    for name, threads, text in [
        ("cpu", 0, "1 to 1024"),
        ("cpu", 1025, "1 to 1024"),
        ("reference", 2, "device: threads is 2 for the device reference"),
    ]:
        with pytest.raises(ValueError, match=text):
            gm.Device(name, threads=threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("device", ["'cpu'", "gm.Device('cpu', threads=2)"])
def test_a_forked_child_does_not_hang(device):
    text = """
import multiprocessing, numpy as np, gradus_ml as gm
x = np.ones((4096, 512), np.float32)
loss = gm.Loss("cross_entropy", device=DEVICE)
def value(_): return loss(x, np.zeros(4096, np.int64))[0]
value(0)  # the threads are there
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(len(set(pool.map_async(value, range(4)).get(timeout=30))))
""".replace("DEVICE", device)
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "1", found.stderr[-500:]


def test_the_examples_of_the_guide_run():
    for name in ("torch", "sklearn", "scipy", "onnxruntime"):
        pytest.importorskip(name)
    guide = FOLDER.parent / "docs" / "python.md"
    if not guide.exists():
        pytest.skip("not a checkout")
    found = doctest.testfile(str(guide), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 30 and found.failed == 0
