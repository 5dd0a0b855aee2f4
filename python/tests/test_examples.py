"""The examples, for a few steps: clearly better than chance, one in ten and one in four."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
DATA = FOLDER.parent.parent / "data" / "fashion-mnist-12k"

if not DATA.exists():
    pytest.skip("not a checkout", allow_module_level=True)


@pytest.fixture(autouse=True)
def found(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize(
    ("name", "rows", "least"),
    [("mnist_mlp", 2000, 0.25), ("mnist_convnet", 600, 0.25), ("text_classification", 8000, 0.6)],
)
def test_an_example_learns(name, rows, least):
    score = importlib.import_module(name).main(epochs=1, rows=rows)
    assert score["accuracy"] > least


def test_the_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(FOLDER / "first_steps.ipynb", as_version=4)
    # The kernel of this interpreter, whatever kernels are installed.
    from jupyter_client import AsyncKernelManager

    manager = AsyncKernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    runner = client.NotebookClient(notebook, km=manager, timeout=120)
    runner.execute(cwd=str(FOLDER))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [one for one in outputs if one.output_type == "error"]
    assert any(
        "image/svg" in str(one.get("data")) or "<svg" in str(one.get("data")) for one in outputs
    )
