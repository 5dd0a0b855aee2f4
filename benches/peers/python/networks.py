"""The cases of networks: what both workers in Python know of them, and their weights in a file of PyTorch's names."""

import json
import pathlib

import numpy
import protocol

IMAGES = ("lenet5", "small_cnn", "resnet8", "resnet20")
NAMES = (*IMAGES, "gpt")
# Residual blocks in each of the three stages.
BLOCKS = {"resnet8": 1, "resnet20": 3}
LEARNING_RATE = 1e-3
# Of the images Adam; of `gpt` AdamW, with gradients clipped at a global norm of 1.
BETAS = {name: (0.9, 0.999) for name in IMAGES} | {"gpt": (0.9, 0.99)}
DECAY = {name: 0.0 for name in IMAGES} | {"gpt": 0.1}


def compared(case):
    """The parameter whose values after the steps are compared."""
    return "transformer.h.0.attn.c_attn.weight" if case == "gpt" else "conv1.weight"


def in_gradus_order(weight):
    """A weight in the order of gradus's axes: [height, width, inputs, filters], or [inputs, units]."""
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def weights(request):
    """The tensors of a safetensors file, by name: its length, a header in JSON, the numbers."""
    content = pathlib.Path(request["inputs"], "weights.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "I64": "<i8"}
    found = {}
    for name, tensor in header.items():
        begin, end = (start + offset for offset in tensor["data_offsets"])
        found[name] = numpy.frombuffer(content[begin:end], types[tensor["dtype"]]).reshape(tensor["shape"])
    return found


def batches(request):
    """The training data: (images [batch, height, width, channels] or ids [batch, context], labels) of each step."""
    batch, sizes, steps = request["shape"][0], request["shape"][1:], request["steps"]
    labels = protocol.integers(request, "labels")
    if request["case"] == "gpt":
        rows, labels = protocol.integers(request, "ids").reshape(-1, sizes[0]), labels.reshape(-1, sizes[0])
    else:
        rows = protocol.floats(request, "features", (-1, *sizes[:3]))
    cut = [slice(i * batch, (i + 1) * batch) for i in range(steps)]
    return [(rows[part], labels[part]) for part in cut]
