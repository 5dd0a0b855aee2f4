"""Networks of the literature, with the parameters' names of the usual PyTorch implementations
(torchvision, nanoGPT, Hugging Face), so that `load_weights` takes their files.

    >>> import gradus_ml as gm
    >>> gm.zoo.lenet5((28, 28, 1), 10).parameters
    61706
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from . import _gradus
from .model import AnyDevice, Sequential

__all__ = ["bert", "gpt", "lenet5", "resnet", "resnet18", "small_cnn", "vgg11"]


def _made(name: str, given: dict[str, Any], seed: int, device: AnyDevice) -> Sequential:
    return Sequential._of(_gradus.zoo(name, given, seed, device))


def _image(image: Sequence[int]) -> list[int]:
    return [int(side) for side in image]


def lenet5(
    image: Sequence[int], classes: int, *, seed: int = 7, device: AnyDevice = "cpu"
) -> Sequential:
    """LeNet-5 with relu and max pooling (LeCun et al. 1998).

    Args:
        image: [height, width, channels] of a row.
        classes: outputs.
        seed: of the initial weights.
        device: where it runs.
    """
    return _made("lenet5", {"image": _image(image), "classes": classes}, seed, device)


def small_cnn(
    image: Sequence[int], classes: int, *, seed: int = 7, device: AnyDevice = "cpu"
) -> Sequential:
    """Two convolutions of 32 and 64 filters with relu and max pooling, then 128 units.

    Args:
        image: [height, width, channels] of a row.
        classes: outputs.
        seed: of the initial weights.
        device: where it runs.
    """
    return _made("small_cnn", {"image": _image(image), "classes": classes}, seed, device)


def vgg11(
    image: Sequence[int],
    classes: int,
    *,
    filters: int = 64,
    hidden: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
    seed: int = 7,
    device: AnyDevice = "cpu",
) -> Sequential:
    """VGG-11 with batch norm (Simonyan, Zisserman 2014).

    Args:
        image: [height, width, channels] of a row, 32 × 32 or more.
        classes: outputs.
        filters: of the first convolution.
        hidden: units of the dense layers before the last.
        dropout: behind them.
        seed: of the initial weights.
        device: where it runs.
    """
    given: dict[str, Any] = {"image": _image(image), "classes": classes, "filters": filters}
    given.update(hidden=[int(units) for units in hidden], dropout=float(dropout))
    return _made("vgg11", given, seed, device)


def resnet(
    blocks: int, image: Sequence[int], classes: int, *, seed: int = 7, device: AnyDevice = "cpu"
) -> Sequential:
    """The ResNet for small images (He et al. 2015, section 4.2): 1 block makes ResNet-8, 3 ResNet-20.

    Args:
        blocks: of each of the three stages.
        image: [height, width, channels] of a row.
        classes: outputs.
        seed: of the initial weights.
        device: where it runs.
    """
    given = {"blocks": blocks, "image": _image(image), "classes": classes}
    return _made("resnet", given, seed, device)


def resnet18(
    image: Sequence[int],
    classes: int,
    *,
    filters: int = 64,
    seed: int = 7,
    device: AnyDevice = "cpu",
) -> Sequential:
    """ResNet-18 with torchvision's names (He et al. 2015).

    Args:
        image: [height, width, channels] of a row.
        classes: outputs.
        filters: of the first stage.
        seed: of the initial weights.
        device: where it runs.
    """
    given = {"image": _image(image), "classes": classes, "filters": filters}
    return _made("resnet18", given, seed, device)


def gpt(
    vocabulary: int,
    context: int,
    *,
    layers: int = 4,
    heads: int = 4,
    width: int = 128,
    bias: bool = True,
    dropout: float = 0.0,
    positions: Optional[int] = None,
    tanh_gelu: bool = False,
    seed: int = 7,
    device: AnyDevice = "cpu",
) -> Sequential:
    """A GPT with nanoGPT's names: logits [context, vocabulary] of rows of ids.

    Args:
        vocabulary: number of ids.
        context: tokens of a row.
        layers, heads, width: blocks, heads of the attention, numbers per token.
        bias: of dense layers and norms.
        dropout: behind the embeddings and in each branch.
        positions: rows of the position table, the context by default.
        tanh_gelu: GPT-2's form of gelu.
        seed: of the initial weights.
        device: where it runs.
    """
    given: dict[str, Any] = {"vocabulary": vocabulary, "context": context, "layers": layers}
    given.update(heads=heads, width=width, bias=bias, dropout=float(dropout), tanh_gelu=tanh_gelu)
    return _made("gpt", {**given, "positions": positions}, seed, device)


def bert(
    vocabulary: int,
    tokens: int,
    *,
    layers: int = 12,
    heads: int = 12,
    width: int = 768,
    hidden: Optional[int] = None,
    epsilon: float = 1e-12,
    positions: int = 512,
    types: int = 2,
    padding: int = 0,
    dropout: float = 0.0,
    mean_pooling: bool = False,
    seed: int = 7,
    device: AnyDevice = "cpu",
) -> Sequential:
    """BERT's encoder with Hugging Face's names: vectors [tokens, width] of rows of ids.

    Args:
        vocabulary: number of ids.
        tokens: of a row.
        layers, heads, width: blocks, heads of the attention, numbers per token.
        hidden: units inside a block, four times the width by default.
        epsilon: of the layer norms.
        positions, types: rows of the tables of positions and token types.
        padding: the id at the end of shorter rows.
        dropout: behind the embeddings and in each branch.
        mean_pooling: gives the mean of a row's tokens without its padding instead.
        seed: of the initial weights.
        device: where it runs.
    """
    given: dict[str, Any] = {"vocabulary": vocabulary, "tokens": tokens, "layers": layers}
    given.update(heads=heads, width=width, hidden=hidden, epsilon=float(epsilon))
    given.update(positions=positions, types=types, padding=padding, dropout=float(dropout))
    return _made("bert", {**given, "mean_pooling": mean_pooling}, seed, device)
