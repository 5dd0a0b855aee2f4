"""Random inputs for new cases: functions of a generator, a shape and the options, one for each kind of loss."""

import numpy as np


def normal(rng, shape, size=2.0):
    return size * rng.standard_normal(shape)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def signs(rng, shape):
    return np.where(rng.random(shape) < 0.5, -1, 1)


def labels_of(rng, rows, classes):
    return rng.integers(0, classes, rows)


# Elementwise: predictions and targets of one shape.


def real(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": normal(rng, shape)}


def positive(rng, shape, options):
    return {"predictions": rng.gamma(2.0, 1.0, shape) + 0.05, "targets": rng.gamma(2.0, 1.0, shape) + 0.05}


def log_mean(rng, shape, options):
    return {"predictions": normal(rng, shape, 1.0), "targets": rng.gamma(2.0, 1.0, shape) + 0.05}


def counts(rng, shape, options):
    drawn = normal(rng, shape, 1.0)
    predictions = drawn if options.get("log_input", True) else np.exp(drawn)
    return {"predictions": predictions, "targets": rng.poisson(2.0, shape)}


def mean_and_variance(rng, shape, options):
    return {**real(rng, shape, options), "variance": rng.gamma(2.0, 0.5, shape) + 0.05}


def logarithms_and_bounds(rng, shape, options):
    """Exact times, times between two bounds, after one and before one."""
    times, kind = rng.gamma(2.0, 1.0, shape) + 0.05, rng.integers(0, 4, shape)
    upper = np.choose(kind, [times, times * (1.01 + rng.gamma(1.0, 1.0, shape)), np.full(shape, np.inf), times])
    return {"predictions": normal(rng, shape, 1.0), "lower": np.where(kind == 3, 0.0, times), "upper": upper}


def logits_and_shares(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": rng.random(shape)}


def shares(rng, shape, options):
    return {"predictions": 0.02 + 0.96 * rng.random(shape), "targets": rng.random(shape)}


def scores_and_signs(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": signs(rng, shape)}


def distances_and_signs(rng, shape, options):
    return {"predictions": np.abs(normal(rng, shape, 1.0)), "targets": signs(rng, shape)}


# Rows of classes.


def scores_and_labels(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": labels_of(rng, shape[:-1], shape[-1])}


def counts_of(rng, classes):
    """Numbers of samples of classes of which a few are frequent."""
    return np.ceil(1000 * np.exp(-rng.gamma(2.0, 1.0, classes)))


def scores_labels_and_prior(rng, shape, options):
    return {**scores_and_labels(rng, shape, options), "class_prior": counts_of(rng, shape[-1])}


def sampled_scores(rng, shape, options):
    return {**scores_and_labels(rng, shape, options), "expected_count": rng.random(shape[-1]) + 0.01}


def cosines_or_scores_and_labels(rng, shape, options):
    drawn = scores_and_labels(rng, shape, options)
    if "target_logit_transform" in options:  # the predictions are cosines
        drawn["predictions"] = np.tanh(drawn["predictions"] / 2)
    return drawn


def log_probabilities_and_labels(rng, shape, options):
    drawn = scores_and_labels(rng, shape, options)
    return {**drawn, "predictions": np.log(softmax(drawn["predictions"]))}


def ordered_labels(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": labels_of(rng, shape[:-1], shape[-1] + 1)}


def label_sets(rng, shape, options):
    """Rows of different classes, ended by -1."""
    targets = np.full(shape, -1)
    for row in targets:
        count = rng.integers(0, len(row) + 1)
        row[:count] = rng.permutation(len(row))[:count]
    return {"predictions": normal(rng, shape), "targets": targets}


def logarithms(rng, shape, options):
    targets = softmax(normal(rng, shape))
    as_logarithm = options.get("log_target", False)
    return {"predictions": np.log(softmax(normal(rng, shape))), "targets": np.log(targets) if as_logarithm else targets}


def two_logarithms(rng, shape, options):
    return logarithms(rng, shape, {"log_target": True})


def two_distributions(rng, shape, options):
    return {"predictions": softmax(normal(rng, shape)), "targets": softmax(normal(rng, shape))}


def amounts(rng, shape, options):
    """Amounts, some of them 0, and the logarithms of others."""
    return {"predictions": normal(rng, shape, 1.0), "targets": rng.gamma(2.0, 1.0, shape) * (rng.random(shape) < 0.8)}


def masks(rng, shape, options):
    return {"predictions": rng.random(shape), "targets": rng.integers(0, 2, shape)}


def regions(rng, shape, options):
    """Softmaxes over the classes of [batch, classes, places]; the last class has no place in the first item."""
    batch, classes, places = shape
    found = rng.integers(0, classes, [batch, places])
    found[0] = np.minimum(found[0], classes - 2)
    truths = (found[:, None, :] == np.arange(classes)[None, :, None]).astype(int)
    return {"predictions": np.moveaxis(softmax(normal(rng, [batch, places, classes])), -1, 1), "targets": truths}


# Lists, pairs, embeddings.


def lists(rng, shape, options):
    """Grades 0 to 3; from the second list on, the last item is padding."""
    targets = rng.integers(0, 4, shape)
    targets[1:, -1] = -1
    return {"predictions": normal(rng, shape), "targets": targets}


def lists_and_noise(rng, shape, options):
    return {**lists(rng, shape, options), "noise": rng.random(shape[-1])}


def two_boxes(rng, shape, options):
    """Two corners of a box in each row, and of one near it."""
    low = normal(rng, shape, 1.0)[..., :2]
    boxes = np.concatenate([low, low + rng.gamma(2.0, 1.0, low.shape) + 0.1], axis=-1)
    moved = boxes + normal(rng, boxes.shape, 0.5)
    return {"predictions": boxes, "targets": np.concatenate([moved[..., :2], moved[..., :2] + rng.gamma(2.0, 1.0, low.shape) + 0.1], -1)}


def lists_of_times(rng, shape, options):
    """Times with ties; from the second list on, the last item is padding."""
    times = rng.integers(0, max(3, shape[-1] // 2), shape)
    times[1:, -1] = -1
    return {"predictions": normal(rng, shape), "times": times, "events": rng.random(shape) < 0.6}


def two_scores(rng, shape, options):
    return {"positive": normal(rng, shape), "negative": normal(rng, shape)}


def two_scores_and_signs(rng, shape, options):
    return {"first": normal(rng, shape), "second": normal(rng, shape), "targets": signs(rng, shape)}


def two_vectors(rng, shape, options):
    return {"first": normal(rng, shape), "second": normal(rng, shape)}


def pairs_of_classes(rng, shape, options):
    return {"anchor": normal(rng, shape, 0.5), "positive": normal(rng, shape, 0.5)}


def two_vectors_and_signs(rng, shape, options):
    return {**two_vectors(rng, shape, options), "targets": signs(rng, shape[:1])}


def two_vectors_and_bits(rng, shape, options):
    return {**two_vectors(rng, shape, options), "targets": rng.integers(0, 2, shape[:1])}


def three_vectors(rng, shape, options):
    return {name: normal(rng, shape) for name in ["anchor", "positive", "negative"]}


def vectors_and_labels(rng, shape, options):
    return {"predictions": normal(rng, shape), "targets": labels_of(rng, shape[:1], max(2, shape[0] // 3))}


def vectors_proxies_and_labels(rng, shape, options):
    """The shape is [rows, columns, classes]; the last class has no embedding."""
    rows, columns, classes = shape
    drawn = {"predictions": normal(rng, [rows, columns]), "proxies": normal(rng, [classes, columns], 1.0)}
    return {**drawn, "targets": labels_of(rng, [rows], classes - 1)}


def transducers(rng, shape, options):
    """The shape is [batch, time, length + 1, classes]; one item has fewer rows and fewer labels."""
    batch, time, nodes, classes = shape
    labels = rng.integers(1, classes, [batch, nodes - 1])
    rows, counts = np.full(batch, time), np.full(batch, nodes - 1)
    rows[-1], counts[-1] = time - 1, nodes - 2
    blank = options.get("blank", 0)
    return {
        "predictions": normal(rng, shape, 1.5), "targets": np.where(labels == blank, 0, labels),
        "input_lengths": rows, "target_lengths": counts,
    }  # fmt: skip


def log_likelihoods(*names):
    def draw(rng, shape, options):
        return {name: -10 * rng.random(shape) - 0.1 for name in names}

    return draw


def completions(rng, shape, options):
    return {**log_likelihoods("policy", "reference")(rng, shape, options), "targets": signs(rng, shape)}


def tokens(rng, shape, options):
    """Log-probabilities of completions of different lengths, moved by a few tenths from those of two other models."""
    log_probs = -4 * rng.random(shape) - 0.05
    lengths = rng.integers(1, shape[1] + 1, shape[0])
    drawn = {"log_probs": log_probs, "advantages": rng.standard_normal(shape[0] if shape[0] % 2 else shape)}
    drawn |= {f"{name}_log_probs": log_probs + normal(rng, shape, size) for name, size in [("old", 0.4), ("ref", 0.8)]}
    return {**drawn, "completion_mask": np.arange(shape[1])[None, :] < lengths[:, None]}


# A linear layer: the shape is [rows, features, classes], or [completions, tokens, features, classes].


def layer(rng, shape, options):
    *rows, features, classes = shape
    return {
        "predictions": normal(rng, [*rows, features], 1.0),
        "linear_weight": normal(rng, [classes, features], 0.5),
        "linear_bias": normal(rng, [classes], 0.5),
    }


def layer_and_labels(rng, shape, options):
    return {**layer(rng, shape, options), "targets": labels_of(rng, shape[:-2], shape[-1])}


def layer_and_logits(rng, shape, options):
    return {**layer(rng, shape, options), "targets": normal(rng, [*shape[:-2], shape[-1]])}


def layer_and_shares(rng, shape, options):
    return {**layer(rng, shape, options), "targets": rng.random([*shape[:-2], shape[-1]])}


def layer_and_tokens(rng, shape, options):
    drawn = layer_and_labels(rng, shape, options)
    drawn["targets"][0, shape[1] // 2 :] = -100
    others = {name: -4 * rng.random(shape[:2]) - 0.05 for name in ["old_log_probs", "ref_log_probs"]}
    return {**drawn, "advantages": rng.standard_normal(shape[0]), **others}


def layer_and_completions(rng, shape, options):
    drawn = layer_and_labels(rng, shape, options)
    return {**drawn, "reference": -10 * rng.random(shape[0]), "desirable": signs(rng, shape[0])}
