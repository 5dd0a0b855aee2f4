"""Models as ONNX files, run by onnxruntime beside our own predictions."""

import numpy as np
import pytest

import gradus_ml as gm
from gradus_ml.layers import (
    Activation,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm,
    Block,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    MaskedMean,
    MaxPool2d,
    Parallel,
    PositionEmbedding,
    Residual,
    RmsNorm,
    SelfAttention,
    TiedDense,
    TokenEmbedding,
    TokenTypeEmbedding,
)

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

# Of the greatest of one and the largest output: sums in another order, in float32.
TOLERANCE = 1e-5


def sessions(model):
    """The model checked, and ready to run."""
    data = model.to_onnx()
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def inputs(model, rows, seed=0):
    """Rows of numbers, or of ids for a model whose graph asks for them."""
    shape = (rows, *model.input_shape)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def moved(model, seed=1):
    """Parameters that are not those of the beginning: norms begin with ones and zeros."""
    random = np.random.default_rng(seed)
    for path, values in model.named_parameters().items():
        model.set_named_parameters(
            {path: values + 0.2 * random.normal(size=values.shape).astype(np.float32)}
        )
    return model


def compare(model, x):
    session = sessions(model)
    ours = model.predict(x)
    given = x.astype(np.int64) if session.get_inputs()[0].type == "tensor(int64)" else x
    theirs = session.run(["output"], {"input": given})[0]
    assert theirs.shape[0] == len(x) and np.isfinite(ours).all()
    scale = max(1.0, float(np.abs(ours).max()))
    difference = np.abs(theirs.reshape(ours.shape) - ours).max()
    assert difference <= TOLERANCE * scale, (difference, scale)
    # Any number of rows.
    one = session.run(["output"], {"input": given[:1]})[0]
    assert np.abs(one.reshape(1, -1) - ours[:1]).max() <= TOLERANCE * scale
    return session


def net(layers, shape, **options):
    return moved(gm.Sequential(layers, shape, **options))


IMAGE = (9, 7, 6)

ROWS = {
    "dense": [Dense(5)],
    "dense_without_bias": [Dense(5, bias=False)],
    "layer_norm": [Dense(6), LayerNorm()],
    "layer_norm_plain": [Dense(6), LayerNorm(affine=False)],
    "rms_norm": [Dense(6), RmsNorm()],
    "rms_norm_plain": [RmsNorm(affine=False), Dense(2)],
    "batch_norm": [Dense(6), BatchNorm(activation="relu"), Dense(2)],
    "batch_norm_plain": [BatchNorm(affine=False), Dense(2)],
    "dropout": [Dense(6, "relu"), Dropout(0.5), Dense(2)],
    "softmax": [Dense(4, "softmax")],
    "flatten_of_a_row": [Dense(4), Flatten(), Dense(2)],
    "residual": [Dense(6), Residual([Dense(6, "tanh")], activation="relu")],
    "sum": [Parallel([Dense(4), Dense(4, "relu")])],
    "concat": [Parallel([Dense(4), Dense(3, "relu")], "concat")],
}

IMAGES = {
    "conv": [Conv2d(4, 3)],
    "conv_options": [Conv2d(6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=1, groups=3)],
    "conv_same": [Conv2d(4, 3, stride=2, padding="same", activation="gelu")],
    "conv_depthwise": [Conv2d(12, 3, groups=6, bias=False)],
    "conv_to_dense": [Conv2d(4, 3, activation="relu"), Flatten(), Dense(3)],
    "max_pool": [MaxPool2d(2), Flatten()],
    "max_pool_options": [MaxPool2d(3, stride=2, padding=1)],
    "max_pool_ceil": [MaxPool2d((2, 3), stride=2, ceil_mode=True)],
    "max_pool_ceil_padded": [MaxPool2d(3, stride=2, padding=1, ceil_mode=True)],
    "average_pool": [AvgPool2d(2)],
    "average_pool_padded": [AvgPool2d(3, stride=2, padding=1)],
    "average_pool_without_padding": [AvgPool2d(3, stride=2, padding=1, count_include_pad=False)],
    "average_pool_ceil": [AvgPool2d((2, 3), stride=2, ceil_mode=True)],
    "average_pool_ceil_padded": [AvgPool2d(2, stride=3, padding=1, ceil_mode=True)],
    "adaptive": [AdaptiveAvgPool2d((3, 7))],
    "adaptive_uneven": [AdaptiveAvgPool2d((4, 3))],
    "adaptive_larger": [AdaptiveAvgPool2d((2, 9))],
    "global": [Conv2d(4, 3), GlobalAvgPool2d(), Dense(2)],
    "batch_norm": [Conv2d(4, 3), BatchNorm(activation="relu"), Conv2d(2, 1)],
    "group_norm": [Conv2d(4, 3), GroupNorm(2), Flatten(), Dense(2)],
    "layer_norm": [Conv2d(4, 3), LayerNorm()],
    "softmax": [Conv2d(4, 3), Activation("softmax")],
    "residual": [Residual([Conv2d(6, 3, padding=1)], activation="relu"), Conv2d(2, 1)],
    "concat": [Parallel([Conv2d(4, 3), Conv2d(2, 3)], "concat"), Conv2d(2, 1)],
    # One branch has its channels in front, the other behind.
    "orders": [
        Parallel([Block([Conv2d(4, 1), LayerNorm()]), Conv2d(4, 1)]),
        Parallel([Block([Conv2d(4, 1), LayerNorm()]), Conv2d(4, 1)], "concat"),
    ],
}


def tokens(*layers, vocabulary=11, length=6, width=8):
    return net([TokenEmbedding(vocabulary, width, name="wte"), *layers], length)


SEQUENCES = {
    "embedding": lambda: tokens(),
    "positions": lambda: tokens(PositionEmbedding(), TokenTypeEmbedding(2)),
    "long_positions": lambda: tokens(PositionEmbedding(9)),
    "tied": lambda: tokens(LayerNorm(), TiedDense("wte")),
    "dense": lambda: tokens(Dense(5, "gelu"), Flatten(), Dense(2)),
    "batch_norm": lambda: tokens(BatchNorm(), Dense(3)),
    "attention": lambda: tokens(SelfAttention(2)),
    "attention_causal": lambda: tokens(SelfAttention(2, causal=True)),
    "attention_rotary": lambda: tokens(SelfAttention(2, causal=True, rotary=100.0)),
    "attention_interleaved": lambda: tokens(SelfAttention(2, rotary=50.0, interleaved=True)),
    "attention_separate": lambda: tokens(SelfAttention(4, separate=("q", "k", "v"))),
    "attention_padding": lambda: tokens(SelfAttention(2, padding=0), MaskedMean(0)),
    "masked_mean": lambda: tokens(MaskedMean(0), Dense(3)),
}


@pytest.mark.parametrize("name", gm.Activation.names())
def test_every_activation_is_exported(name):
    options = {
        "gelu": [{}, {"approximate": "tanh"}],
        "softplus": [{}, {"beta": 2.0, "threshold": 1.0}],
    }
    for given in options.get(name, [{}]):
        activation = gm.Activation(name, **given)
        model = gm.Sequential([Dense(7, activation), Dense(3)], 4)
        compare(model, 6 * inputs(model, 5))


@pytest.mark.parametrize("name", ROWS)
def test_layers_of_rows_are_exported(name):
    model = net(ROWS[name], 4)
    compare(model, inputs(model, 5))


@pytest.mark.parametrize("name", IMAGES)
def test_layers_of_images_are_exported(name):
    model = net(IMAGES[name], IMAGE)
    compare(model, inputs(model, 3))


@pytest.mark.parametrize("name", SEQUENCES)
def test_layers_of_sequences_are_exported(name):
    model = SEQUENCES[name]()
    ids = np.random.default_rng(2).integers(0, 11, (5, 6))
    # Rows with padding at their end, and one of nothing else.
    ids[1, 3:], ids[2, 1:], ids[3] = 0, 0, 0
    compare(model, ids.astype(np.float32))


ZOO = {
    "lenet5": lambda: gm.zoo.lenet5((28, 28, 1), 10),
    "small_cnn": lambda: gm.zoo.small_cnn((28, 28, 1), 10),
    "vgg11": lambda: gm.zoo.vgg11((32, 32, 3), 10, filters=4, hidden=(32,)),
    "resnet": lambda: gm.zoo.resnet(1, (28, 28, 1), 10),
    "resnet18": lambda: gm.zoo.resnet18((64, 64, 3), 10, filters=8),
    "gpt": lambda: gm.zoo.gpt(17, 8, layers=2, width=32),
    "bert": lambda: gm.zoo.bert(17, 8, layers=2, heads=2, width=16),
    "bert_pooled": lambda: gm.zoo.bert(17, 8, layers=1, heads=2, width=16, mean_pooling=True),
}


@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_zoo_is_exported(name):
    model = ZOO[name]()
    x = inputs(model, 2)
    if name in ("gpt", "bert", "bert_pooled"):
        x = np.random.default_rng(2).integers(0, 17, (3, 8)).astype(np.float32)
        x[1, 5:] = 0
    compare(model, x)


def test_a_trained_model_with_its_scaling_is_exported(tmp_path):
    random = np.random.default_rng(3)
    x = (random.normal(size=(200, 3)) * [1, 100, 1e-3] + [5, -2e4, 0]).astype(np.float32)
    y = ((x[:, 0] - 5) * x[:, 2] > 0).astype(int)
    model = gm.Sequential([Dense(16), BatchNorm(activation="relu"), Dense(2)], 3)
    model.set_input_scaling(x.mean(0), x.std(0))
    model.compile("cross_entropy", "adam", learning_rate=0.01).fit(x, y, epochs=5)
    session = compare(model, x)
    path = tmp_path / "model.onnx"
    assert model.to_onnx(path) is None and path.read_bytes() == model.to_onnx()
    assert session.get_inputs()[0].shape == ["rows", 3]
    assert session.get_outputs()[0].shape == ["rows", 2]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    model = gm.Sequential([Dense(2)], 2)
    with pytest.raises(OSError, match="nowhere"):
        model.to_onnx(tmp_path / "nowhere" / "model.onnx")
