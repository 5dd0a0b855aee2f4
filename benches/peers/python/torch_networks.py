"""The networks of the cases in PyTorch, with the names of torchvision and nanoGPT."""

import networks
import torch
from torch import nn
from torch.nn import functional


class LeNet5(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x.flatten(1))))))


class SmallCnn(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(64 * 7 * 7, 128), nn.Linear(128, classes)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))


def convolution(inputs, filters, kernel, stride):
    return nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = convolution(filters, filters, 3, 1), nn.BatchNorm2d(filters)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != filters:
            self.downsample = nn.Sequential(convolution(inputs, filters, 1, stride), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet(nn.Module):
    """He et al., section 4.2, with projections: 16, 32 and 64 filters."""

    def __init__(self, blocks, channels, classes):
        super().__init__()
        self.conv1, self.bn1 = convolution(channels, 16, 3, 1), nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)

        def stage(inputs, filters, stride):
            rest = [BasicBlock(filters, filters, 1) for _ in range(blocks - 1)]
            return nn.Sequential(BasicBlock(inputs, filters, stride), *rest)

        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)

    def forward(self, x):
        rows, tokens, width = x.shape
        of_head = lambda part: part.view(rows, tokens, self.heads, -1).transpose(1, 2)
        q, k, v = map(of_head, self.c_attn(x).split(width, 2))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(rows, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attn, self.mlp = Attention(heads, width), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    """nanoGPT's model without biases, with the exact GELU and the table of tokens as head."""

    def __init__(self, context, vocabulary, layers, heads, width):
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(context, width),
                "h": nn.ModuleList(Block(heads, width) for _ in range(layers)),
                "ln_f": nn.LayerNorm(width, bias=False),
            }
        )

    def forward(self, ids):
        parts = self.transformer
        x = parts["wte"](ids) + parts["wpe"].weight[: ids.shape[1]]
        for block in parts["h"]:
            x = block(x)
        return functional.linear(parts["ln_f"](x), parts["wte"].weight)


def make(request):
    """The network of a case with the weights of its file."""
    case, sizes = request["case"], request["shape"][1:]
    if case == "gpt":
        network = Gpt(*sizes)
    else:
        channels, classes = sizes[2:]
        kinds = {"lenet5": LeNet5, "small_cnn": SmallCnn}
        network = kinds[case](channels, classes) if case in kinds else ResNet(networks.BLOCKS[case], channels, classes)
    tensors = networks.weights(request)
    network.load_state_dict({name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()})
    return network
