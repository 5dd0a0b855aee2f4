"""Whether an answer of gradus is the peer's.

The peer computes in float64 on inputs that are rounded to float32 first. The device `reference` computes in float64 too: both are
then equal to the rounding of a few hundred operations. `cpu` and `gpu` compute in float32: a value is right to 4 ulp of the largest
of its terms and to a relative 1e-5; what cancels inside a loss is judged against the largest number of the same tensor.
"""

import math

RELATIVE = {"reference": 1e-9, "cpu": 1e-5, "gpu": 1e-5}
# Of the largest number of the tensor.
OF_LARGEST = {"reference": 1e-10, "cpu": 2e-6, "gpu": 2e-6}
OF_FUNCTION = {
    # PyTorch takes the log-probabilities of `ctc` as they stand, gradus their softmax: rounded to float32 they sum to 1 within 6e-8
    # for each class and step. In float32 a gradient is the exponential of the difference of two log-probabilities of up to 200,
    # whose last digit is 1.5e-5.
    ("ctc_loss", "reference"): 1e-6,
    ("ctc_loss", "cpu"): 3e-5,
    ("ctc_loss", "gpu"): 3e-5,
    # Sums of products over all classes, in another order.
    ("linear_cross_entropy", "cpu"): 1e-5,
    ("linear_cross_entropy", "gpu"): 1e-5,
    # scikit-learn takes a series for a logit far from 0.
    ("HalfBinomialLoss", "reference"): 1e-8,
}

# Keras clips probabilities to 1e-7 from 0 and 1 and divides by sums + 1e-7: with a few classes its values and gradients differ by a
# few times that.
ABSOLUTE = dict.fromkeys(
    ["Dice", "Tversky", "KLDivergence", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "CategoricalFocalCrossentropy",
     "CategoricalGeneralizedCrossEntropy", "BinaryFocalCrossentropy", "BinaryCrossentropy", "Poisson", "MeanAbsolutePercentageError",
     # A softmax of float32 before the loss.
     "dice_loss", "binary_dice_loss", "multiclass_generalized_dice_loss",
     # An upstream gradient of 1/columns is a float32.
     "MeanAbsoluteError", "MeanSquaredError", "Huber", "LogCosh", "Hinge", "SquaredHinge", "MeanSquaredLogarithmicError", "Circle"],
    2e-6,
)  # fmt: skip


def number(x):
    return {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf}.get(x, x) if isinstance(x, str) else float(x)


def difference(device, name, expected, found, function=None):
    """A sentence where two tensors differ; None where they are equal."""
    shape, data = expected
    if found is None:
        return f"{name} is missing"
    if list(shape) != list(found["shape"]):
        return f"{name} is {found['shape']}, the peer's is {list(shape)}"
    finite = [abs(x) for x in data if math.isfinite(x)]
    largest = max(finite, default=0.0)
    for index, (wanted, got) in enumerate(zip(data, map(number, found["data"]), strict=True)):
        if math.isnan(wanted) and math.isnan(got) or wanted == got:
            continue
        allowed = max(ABSOLUTE.get(function, 0) * max(1.0, largest), RELATIVE[device] * abs(wanted), max(OF_LARGEST[device], OF_FUNCTION.get((function, device), 0)) * largest)
        if not abs(wanted - got) <= allowed:
            return f"{name}[{index}] is {got!r}, the peer's is {wanted!r}"
    return None
