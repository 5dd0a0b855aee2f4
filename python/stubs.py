"""Writes what the package has of the catalogue: python stubs.py [--check].

The type stubs `functional.pyi` and `torch.pyi`, and `_examples.py` with a small example of each loss, in
`package/gradus_ml`. With --check nothing is written, and the exit status says whether they are those of the
installed catalogue.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import gradus_ml as gm

sys.path.insert(0, str(Path(__file__).parent / "tests"))
import inputs  # noqa: E402

FOLDER = Path(__file__).parent / "package" / "gradus_ml"

HEAD = '''"""Written by stubs.py from the catalogue of losses."""

from typing import Any, Optional, Union

'''


def kind(info: gm.LossInfo, option: gm.Option) -> str:
    """The type of an option: that of its default and of its values in the variants."""
    values = [option.default]
    values += [variant[option.name] for variant in info.variants if option.name in variant]
    names = {type(value).__name__ for value in values}
    kinds = []
    if "float" in names:
        kinds.append("float")
    elif "int" in names:
        kinds.append("int")
    if "bool" in names:
        kinds.append("bool")
    if "str" in names:
        kinds.append("str")
    if "list" in names:
        inner = {type(x).__name__ for value in values if isinstance(value, list) for x in value}
        of = "float" if "float" in inner else "int" if "int" in inner else "Any"
        kinds = [kind for kind in kinds if kind != "int"] + [f"Union[{of}, Sequence[{of}]]"]
    found = kinds[0] if len(kinds) == 1 else f"Union[{', '.join(kinds)}]" if kinds else "Any"
    return f"Optional[{found}]" if "NoneType" in names and found != "Any" else found


def default(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return "..." if isinstance(value, (list, dict)) else repr(value)


def parameters(info: gm.LossInfo, array: str) -> list[str]:
    """The parameters behind one another; those behind `*` by name alone."""
    found, by_name = [], False
    given = [one for one in info.inputs if one.positional]
    seen_optional = False
    for one in given:
        if seen_optional and one.required and not by_name:
            found.append("*")
            by_name = True
        seen_optional |= not one.required
        found.append(
            f"{one.name}: {array}" if one.required else f"{one.name}: Optional[{array}] = ..."
        )
    if not by_name:
        found.append("*")
    found += [f"{one.name}: Optional[{array}] = ..." for one in info.inputs if not one.positional]
    return found


def options(info: gm.LossInfo) -> list[str]:
    shared = ['reduction: Union[str, float] = "mean"', 'device: Union[str, Device] = "cpu"']
    types = {"class_axis": "Optional[int]", "from_probabilities": "bool"}
    shared += [f"{name}: {types[name]} = {one!r}" for name, one in info.shape_keywords.items()]
    own = [f"{one.keyword}: {kind(info, one)} = {default(one.default)}" for one in info.options]
    return shared + own


def signature(name: str, lines: list[str], result: str, indent: str = "") -> str:
    inside = "".join(f"{indent}    {line},\n" for line in lines)
    return f"{indent}def {name}(\n{inside}{indent}) -> {result}: ...\n"


def functional() -> str:
    text = HEAD.replace("from typing", "from collections.abc import Sequence\nfrom typing")
    text += (
        "import numpy as np\nfrom numpy.typing import ArrayLike\n\nfrom ._gradus import Device\n\n"
    )
    names = "".join(f'    "{info.name}",\n' for info in gm.losses())
    text += f"__all__ = [\n{names}]\n\n"
    for info in gm.losses():
        several = len(info.differentiated) > 1
        gradients = "dict[str, np.ndarray]" if several else "np.ndarray"
        lines = (
            parameters(info, "ArrayLike") + [f"out: Optional[{gradients}] = ..."] + options(info)
        )
        text += signature(info.name, lines, f"tuple[Any, {gradients}]")
    return text.rstrip() + "\n"


def module_of(info: gm.LossInfo) -> str:
    return "".join(part.capitalize() for part in info.name.split("_")) + "Loss"


def torch() -> str:
    text = HEAD.replace("from typing", "from collections.abc import Sequence\nfrom typing")
    text += "import torch\n\nfrom ._gradus import Device, Loss\n\n"
    names = ["GradusLoss"]
    names += [info.name for info in gm.losses()] + [module_of(info) for info in gm.losses()]
    text += "__all__ = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n\n"
    text += "class GradusLoss(torch.nn.Module):\n    loss: Loss\n"
    text += signature(
        "__init__",
        [
            "self",
            "name: str",
            "*",
            'reduction: Union[str, float] = "mean"',
            'device: Union[str, Device] = "cpu"',
            "class_axis: Optional[int] = None",
            "from_probabilities: bool = False",
            "**options: Any",
        ],
        "None",
        "    ",
    )
    text += "    def forward(self, *inputs: Any, **named: Any) -> torch.Tensor: ...\n"
    text += "    def extra_repr(self) -> str: ...\n\n"
    for info in gm.losses():
        lines = parameters(info, "torch.Tensor")
        text += signature(info.name, lines + options(info), "torch.Tensor") + "\n"
        name = module_of(info)
        text += f"class {name}(GradusLoss):\n"
        text += signature("__init__", ["self", "*", *options(info)], "None", "    ")
        text += signature("forward", ["self", *lines], "torch.Tensor", "    ")
        text += "\n"
    return text.rstrip() + "\n"


# Small enough to be read.
SIZES = {
    "answers": 2,
    "batch": 1,
    "classes": 3,
    "columns": 2,
    "completions": 2,
    "features": 2,
    "items": 3,
    "length": 1,
    "lists": 1,
    "pairs": 2,
    "places": 2,
    "rows": 2,
    "time": 2,
    "tokens": 2,
    "width": 2,
}


def readable(domain: str, array: np.ndarray) -> np.ndarray:
    """With one digit behind the point; shares of a whole still sum to one."""
    if array.dtype != np.float64:
        return array
    if domain == "distribution":
        shares = np.round(array, 1)
        shares[..., 0] += 1 - shares.sum(-1)
        return np.round(shares, 1)
    return np.round(array, 2 if domain == "log distribution" else 1)


def example(info: gm.LossInfo) -> tuple[dict[str, Any], float]:
    """Inputs that can be read, and the value of the loss: a number that is not 0."""
    domains = {one.name: one.domain or "real" for one in info.inputs}
    for rows in (2, 3, 4):
        inputs.SIZES = {**SIZES, "rows": rows}
        for seed in range(60):
            drawn = inputs.draw(info, seed, optionals=False, first=(3,))
            arrays = {name: readable(domains[name], array) for name, array in drawn.items()}
            try:
                value = gm.Loss(info.name, device="reference")(**arrays)[0]
                fast = gm.Loss(info.name)(**arrays)[0]
            except ValueError:  # labels past the few classes of an example
                continue
            is_tie = abs(value * 1000 % 1 - 0.5) < 0.1
            if 0.01 < abs(value) < 100 and not is_tie and round(fast, 3) == round(value, 3):
                return {name: array.tolist() for name, array in arrays.items()}, round(value, 3)
    raise ValueError(f"{info.name}: no example")


def examples() -> str:
    text = '"""Written by stubs.py: inputs of each loss and its value, for the documentation."""\n\n'
    text += "from __future__ import annotations\n\nfrom typing import Any\n\n"
    text += "EXAMPLES: dict[str, tuple[dict[str, Any], float]] = {\n"
    text += "".join(f'    "{info.name}": {example(info)!r},\n' for info in gm.losses())
    return text + "}\n"


def main() -> int:
    stale = []
    written = (
        ("functional.pyi", functional()),
        ("torch.pyi", torch()),
        ("_examples.py", examples()),
    )
    for name, text in written:
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    for name in stale:
        print(f"{name} is not that of the catalogue: run python python/stubs.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
