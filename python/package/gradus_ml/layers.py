"""Layers of `gradus_ml.Sequential`. Sizes are one number for both axes, or [height, width].

>>> from gradus_ml import Sequential, layers
>>> model = Sequential([layers.Dense(16, activation="relu"), layers.Dense(3)], input_shape=4)
>>> model.parameters
131
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

from ._named import AnyActivation, activation_form

Size = Union[int, Sequence[int]]

__all__ = [
    "Activation",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm",
    "Block",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GroupNorm",
    "GumbelNoise",
    "Layer",
    "LayerNorm",
    "MaskedMean",
    "MaxPool2d",
    "Parallel",
    "PositionEmbedding",
    "Residual",
    "RmsNorm",
    "SelfAttention",
    "TiedDense",
    "TokenEmbedding",
    "TokenTypeEmbedding",
]


class Layer:
    """A layer by its name in files and all its options; the classes below make them.

    Args:
        kind: the layer's name in files, "conv2d".
        name: a name in place of its number, as in PyTorch's files: "conv1" makes "conv1.weight".
        **options: all options of the layer.
    """

    def __init__(self, kind: str, /, *, name: Optional[str] = None, **options: Any) -> None:
        self.kind = kind
        self.name = name
        self.options = options

    def form(self) -> dict[str, Any]:
        """The layer in the description of a model."""
        return {"layer": self.kind, "name": self.name, "options": self.options}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({options})"


def _size(size: Size) -> list[int]:
    return [size, size] if isinstance(size, int) else [int(axis) for axis in size]


class Dense(Layer):
    """y = activation(x W + b) over the last axis. PyTorch `nn.Linear`, Keras `Dense`.

    Args:
        units: the length of the output.
        activation: a name, `Activation(name, option=...)` or None.
        bias: whether there is b.
        initializer: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal" or "zeros".
        l1, l2, proximal_l1: penalties of the weights; None for those of the model.
        name: a name in place of the layer's number.
    """

    def __init__(
        self,
        units: int,
        activation: AnyActivation = None,
        *,
        bias: bool = True,
        initializer: str = "glorot_uniform",
        l1: Optional[float] = None,
        l2: Optional[float] = None,
        proximal_l1: Optional[float] = None,
        name: Optional[str] = None,
    ) -> None:
        super().__init__(
            "dense",
            name=name,
            units=int(units),
            activation=activation_form(activation or "identity"),
            bias=bias,
            initializer=initializer,
            l1=l1,
            l2=l2,
            proximal_l1=proximal_l1,
        )


class Conv2d(Layer):
    """A convolution over images [height, width, channels]. PyTorch `nn.Conv2d`, Keras `Conv2D`.

    Args:
        filters: channels of the output.
        kernel: size of the windows.
        activation: of the output.
        stride, dilation: distance of windows, and of the pixels that a window reads.
        padding: zeros around the image: a number, [rows, columns], [above, below, left, right] or
            "same".
        groups: groups of channels.
    """

    def __init__(
        self,
        filters: int,
        kernel: Size,
        activation: AnyActivation = None,
        *,
        stride: Size = 1,
        padding: Union[Size, str] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: str = "glorot_uniform",
        l1: Optional[float] = None,
        l2: Optional[float] = None,
        name: Optional[str] = None,
    ) -> None:
        if isinstance(padding, str):
            zeros: Any = padding
        else:
            sides = _size(padding)
            rows = [sides[0], sides[0], sides[1], sides[1]] if len(sides) == 2 else sides
            zeros = {"zeros": rows}
        super().__init__(
            "conv2d",
            name=name,
            filters=filters,
            kernel=_size(kernel),
            stride=_size(stride),
            padding=zeros,
            dilation=_size(dilation),
            groups=groups,
            bias=bias,
            initializer=initializer,
            l1=l1,
            l2=l2,
            activation=activation_form(activation),
        )


class MaxPool2d(Layer):
    """Maxima of windows. PyTorch `nn.MaxPool2d`; `stride` is the kernel unless it is given."""

    def __init__(
        self,
        kernel: Size,
        stride: Optional[Size] = None,
        *,
        padding: Size = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(
            "max_pool2d",
            kernel=_size(kernel),
            stride=_size(kernel if stride is None else stride),
            padding=_size(padding),
            ceil_mode=ceil_mode,
        )


class AvgPool2d(Layer):
    """Means of windows. PyTorch `nn.AvgPool2d`; `stride` is the kernel unless it is given."""

    def __init__(
        self,
        kernel: Size,
        stride: Optional[Size] = None,
        *,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            "avg_pool2d",
            kernel=_size(kernel),
            stride=_size(kernel if stride is None else stride),
            padding=_size(padding),
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )


class AdaptiveAvgPool2d(Layer):
    """Means over a grid of `output` cells. PyTorch `nn.AdaptiveAvgPool2d`."""

    def __init__(self, output: Size) -> None:
        super().__init__("adaptive_avg_pool2d", output=_size(output))


class GlobalAvgPool2d(Layer):
    """The mean of each channel. Keras `GlobalAveragePooling2D`."""

    def __init__(self) -> None:
        super().__init__("global_avg_pool2d")


class Flatten(Layer):
    """All axes as one."""

    def __init__(self) -> None:
        super().__init__("flatten")


class Dropout(Layer):
    """Zeros at random places while training, a share of `rate`."""

    def __init__(self, rate: float) -> None:
        super().__init__("dropout", rate=float(rate))


class GumbelNoise(Layer):
    """`scale` times numbers of the Gumbel distribution, added while training: behind the scores of a network it makes a loss of
    lists one of sampled orders. TF-Ranking's `GumbelSampler`."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__("gumbel_noise", scale=float(scale))


class BatchNorm(Layer):
    """Normalization by the batch's mean and variance per channel. PyTorch `nn.BatchNorm2d`."""

    def __init__(
        self,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        affine: bool = True,
        activation: AnyActivation = None,
        name: Optional[str] = None,
    ) -> None:
        super().__init__(
            "batch_norm",
            name=name,
            momentum=momentum,
            epsilon=epsilon,
            affine=affine,
            activation=activation_form(activation),
        )


class LayerNorm(Layer):
    """Normalization by mean and variance of each row. PyTorch `nn.LayerNorm`."""

    def __init__(
        self,
        *,
        epsilon: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        name: Optional[str] = None,
    ) -> None:
        super().__init__("layer_norm", name=name, epsilon=epsilon, affine=affine, bias=bias)


class RmsNorm(Layer):
    """Normalization by the root mean square of each row. PyTorch `nn.RMSNorm`."""

    def __init__(
        self,
        *,
        epsilon: float = 2.0**-23,
        affine: bool = True,
        name: Optional[str] = None,
    ) -> None:
        super().__init__("rms_norm", name=name, epsilon=epsilon, affine=affine)


class GroupNorm(Layer):
    """Normalization by mean and variance of groups of channels. PyTorch `nn.GroupNorm`."""

    def __init__(
        self,
        groups: int,
        *,
        epsilon: float = 1e-5,
        affine: bool = True,
        name: Optional[str] = None,
    ) -> None:
        super().__init__("group_norm", name=name, groups=groups, epsilon=epsilon, affine=affine)


class SelfAttention(Layer):
    """Multi-head self-attention with its projections. PyTorch `nn.MultiheadAttention`.

    Args:
        heads: number of heads, a divisor of the width.
        causal: whether a token sees only itself and those before it.
        rotary: base of rotary embeddings, or None; `interleaved` rotates neighbours.
        names: names of the projections to q, k and v and of the output.
        separate: names of three projections in place of one, or None.
        padding: the id whose trailing tokens are left out, or None.
    """

    def __init__(
        self,
        heads: int,
        *,
        causal: bool = False,
        bias: bool = True,
        rotary: Optional[float] = None,
        interleaved: bool = False,
        initializer: str = "glorot_uniform",
        names: Sequence[str] = ("c_attn", "c_proj"),
        separate: Optional[Sequence[str]] = None,
        padding: Optional[int] = None,
        projections: bool = True,
        name: Optional[str] = None,
    ) -> None:
        super().__init__(
            "self_attention",
            name=name,
            heads=heads,
            causal=causal,
            bias=bias,
            rotary=rotary,
            interleaved=interleaved,
            initializer=initializer,
            names=list(names),
            separate=None if separate is None else list(separate),
            padding=padding,
            projections=projections,
        )


class TokenEmbedding(Layer):
    """Vectors of ids, the first layer of a model. PyTorch `nn.Embedding`."""

    def __init__(self, vocabulary: int, width: int, *, name: Optional[str] = None) -> None:
        super().__init__("token_embedding", name=name, vocabulary=vocabulary, width=width)


class PositionEmbedding(Layer):
    """A learned vector for each position, added; `rows` is the number of tokens by default."""

    def __init__(self, rows: Optional[int] = None, *, name: Optional[str] = None) -> None:
        super().__init__("position_embedding", name=name, rows=rows)


class TokenTypeEmbedding(Layer):
    """A learned vector for the tokens of a single sentence, added."""

    def __init__(self, types: int, *, name: Optional[str] = None) -> None:
        super().__init__("token_type_embedding", name=name, types=types)


class TiedDense(Layer):
    """Logits by the table of the token embedding at `path`."""

    def __init__(self, path: str, *, name: Optional[str] = None) -> None:
        super().__init__("tied_dense", name=name, path=path)


class MaskedMean(Layer):
    """The mean of a row's tokens without its trailing tokens of the id `padding`."""

    def __init__(self, padding: int) -> None:
        super().__init__("masked_mean", padding=padding)


class Activation(Layer):
    """An activation of any shape, as a layer of its own."""

    def __init__(self, activation: AnyActivation) -> None:
        super().__init__("activation", activation=activation_form(activation or "identity"))


class Block(Layer):
    """Layers one behind the other, as one layer. PyTorch `nn.Sequential`."""

    def __init__(self, layers: Iterable[Layer], *, name: Optional[str] = None) -> None:
        super().__init__("sequential", name=name, layers=[layer.form() for layer in layers])


class Residual(Layer):
    """y = activation(f(x) + shortcut(x)).

    Args:
        inner: a layer, or a list of them.
        shortcut: a layer on the other way; None for x itself.
        activation: of the sum.
    """

    def __init__(
        self,
        inner: Union[Layer, Iterable[Layer]],
        *,
        shortcut: Optional[Layer] = None,
        activation: AnyActivation = None,
        name: Optional[str] = None,
    ) -> None:
        block = inner if isinstance(inner, Layer) else Block(inner)
        super().__init__(
            "residual",
            name=name,
            inner=block.form(),
            shortcut=None if shortcut is None else shortcut.form(),
            activation=activation_form(activation),
        )


class Parallel(Layer):
    """Branches on one input, added, or concatenated along the last axis.

    Args:
        branches: layers.
        join: "add" or "concat".
    """

    def __init__(
        self, branches: Iterable[Layer], join: str = "add", *, name: Optional[str] = None
    ) -> None:
        super().__init__(
            "parallel", name=name, join=join, branches=[branch.form() for branch in branches]
        )
