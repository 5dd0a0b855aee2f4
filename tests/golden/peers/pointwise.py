"""Regression losses of single elements. p is the prediction, t the target."""

import mpmath
import numpy as np
import optax
import torch
import torch.nn.functional as F

import draw
from peer import by_hand, by_jax, by_torch, keras


@by_torch("mse", "F.mse_loss", draw=draw.real)
def mse(case):
    return case.reduced_by(F.mse_loss, case.predictions, case.targets)


@by_torch("mae", "F.l1_loss", draw=draw.real)
def mae(case):
    return case.reduced_by(F.l1_loss, case.predictions, case.targets)


@by_torch("huber", "F.huber_loss", draw=draw.real)
def huber(case):
    return case.reduced_by(F.huber_loss, case.predictions, case.targets, delta=case.option("delta", 1.0))


@by_torch("smooth_l1", "F.smooth_l1_loss", draw=draw.real)
def smooth_l1(case):
    return case.reduced_by(F.smooth_l1_loss, case.predictions, case.targets, beta=case.option("beta", 1.0))


@by_torch("quantile", "float64 autograd of max(q(t-p),(q-1)(t-p)); scikit-learn PinballLoss", draw=draw.real)
def quantile(case):
    q, error = case.option("quantile", 0.5), case.targets - case.predictions
    return case.reduce(torch.maximum(q * error, (q - 1) * error))


def outside(case):
    """The part of the absolute error beyond epsilon."""
    return F.relu((case.predictions - case.targets).abs() - case.option("epsilon", 0.1))


@by_torch("epsilon_insensitive", "float64 autograd of max(|p-t|-e,0)", draw=draw.real)
def epsilon_insensitive(case):
    return case.reduce(outside(case))


@by_torch("squared_epsilon_insensitive", "float64 autograd of max(|p-t|-e,0)^2", draw=draw.real)
def squared_epsilon_insensitive(case):
    return case.reduce(outside(case) ** 2)


@by_torch("pseudo_huber", "float64 autograd of d^2(sqrt(1+(e/d)^2)-1)", draw=draw.real)
def pseudo_huber(case):
    delta, error = case.option("delta", 1.0), case.predictions - case.targets
    return case.reduce(delta**2 * ((1 + (error / delta) ** 2).sqrt() - 1))


@by_torch("cauchy", "float64 autograd of c^2/2 ln(1+(e/c)^2)", draw=draw.real)
def cauchy(case):
    scale, error = case.option("scale", 1.0), case.predictions - case.targets
    return case.reduce(scale**2 / 2 * ((error / scale) ** 2).log1p())


@by_torch("barron", "float64 autograd of b/a ((1+(e/c)^2/b)^(a/2)-1), and its limits", draw=draw.real)
def barron(case):
    alpha, square = case.option("alpha", 1.0), ((case.predictions - case.targets) / case.option("scale", 1.0)) ** 2
    if alpha == 2:
        return case.reduce(square / 2)
    if alpha == 0:
        return case.reduce((square / 2).log1p())
    b = abs(alpha - 2)
    return case.reduce(b / alpha * (alpha / 2 * (square / b).log1p()).expm1())


@by_torch("lp", "float64 autograd of |p-t|^p", draw=draw.real)
def lp(case):
    return case.reduce((case.predictions - case.targets).abs() ** case.option("p", 2.0))


@by_torch(
    "expectile",
    "float64 autograd of |tau-[t<p]|(t-p)^2",
    draw=draw.real,
    note="the factor |tau-[t<p]| in f32, as src/losses/expectile.rs has it: 1.5e-8 from the formula in f64",
)
def expectile(case):
    error = case.targets - case.predictions
    side = (error < 0).float()  # in f32, and so the factor; double() would be the formula in f64
    return case.reduce((case.option("expectile", 0.5) - side).abs() * error**2)


@by_torch("poisson_nll", "F.poisson_nll_loss(eps=1e-8)", draw=draw.counts)
def poisson_nll(case):
    options = {"log_input": case.option("log_input", True), "full": case.option("full", False)}
    options["eps"] = case.option("epsilon", 1e-8)
    return case.reduced_by(F.poisson_nll_loss, case.predictions, case.targets, **options)


@by_torch(
    "gamma_deviance",
    "float64 autograd of p + t exp(-p), p = log of the mean (scikit-learn HalfGammaLoss without its constant)",
    draw=draw.log_mean,
)
def gamma_deviance(case):
    return case.reduce(case.predictions + case.targets * (-case.predictions).exp())


@by_torch(
    "tweedie", "float64 autograd of the half Tweedie deviance, log link (scikit-learn HalfTweedieLoss)", draw=draw.log_mean
)
def tweedie(case):
    power = case.option("power", 1.5)
    a, b = 2 - power, 1 - power
    p, t = case.predictions, case.targets
    return case.reduce((a * p).exp() / a - t * (b * p).exp() / b + t**a / (a * b))


@by_torch("gaussian_nll", "F.gaussian_nll_loss", gradients=("predictions", "variance"), draw=draw.mean_and_variance)
def gaussian_nll(case):
    options = {"full": case.option("full", False), "eps": case.option("epsilon", 1e-6)}
    if beta := case.option("beta", 0.0):
        each = F.gaussian_nll_loss(case.predictions, case.targets, case.variance, reduction="none", **options)
        return case.reduce(each * case.variance.detach() ** beta)
    return case.reduced_by(F.gaussian_nll_loss, case.predictions, case.targets, case.variance, **options)


@by_jax("log_cosh", "log_cosh", draw=draw.real)
def log_cosh(case):
    return case.reduce(optax.log_cosh(case.predictions, case.targets))


def elementwise(function, case):
    """A loss of Keras takes the mean over the last axis: with a new last axis of 1 it is elementwise."""
    return case.reduce(function(case.targets[..., None], case.predictions[..., None]))


@by_jax("mape", "MeanAbsolutePercentageError (elementwise form)", peer="keras", draw=draw.positive)
def mape(case):
    return elementwise(keras.losses.mean_absolute_percentage_error, case)


@by_jax("msle", "MeanSquaredLogarithmicError (elementwise form)", peer="keras", draw=draw.positive)
def msle(case):
    return elementwise(keras.losses.mean_squared_logarithmic_error, case)


CUMULATIVE = {  # of z, and of -z
    "normal": lambda z: mpmath.erfc(-z / mpmath.sqrt(2)) / 2,
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "extreme": lambda z: 1 - mpmath.exp(-mpmath.exp(z)),
}


@by_hand(
    "aft",
    "200 digits, of -log of the density, or of the difference of the cumulative distribution, and its differences (Barnwal et al.)",
    peer="mpmath",
    draw=draw.logarithms_and_bounds,
)
def aft(case):
    """Of a narrow interval or a far tail float64 keeps few digits: 200 digits, and differences over 2^-60 on both sides."""
    cumulative, step = CUMULATIVE[case.option("distribution", "normal")], mpmath.mpf(2) ** -60
    upper = case.get("upper")
    upper = case.lower if upper is None else upper

    def value(x, low, high):
        sigma = mpmath.mpf(case.option("sigma", 1.0))
        if high <= low:
            slope = (cumulative((mpmath.log(low) - x) / sigma + step) - cumulative((mpmath.log(low) - x) / sigma - step)) / (2 * step)
            return -mpmath.log(slope / sigma / low)
        above = 1 if mpmath.isinf(high) else cumulative((mpmath.log(high) - x) / sigma)
        below = 0 if low == 0 else cumulative((mpmath.log(low) - x) / sigma)
        return -mpmath.log(above - below)

    with mpmath.workdps(200):
        cells = [[mpmath.mpf(float(n)) for n in cell] for cell in zip(case.predictions.flat, case.lower.flat, upper.flat)]
        values = [float(value(*cell)) for cell in cells]
        width = mpmath.mpf(2) ** -30
        derivatives = [float((value(x + width, *rest) - value(x - width, *rest)) / (2 * width)) for x, *rest in cells]
    return np.array(values).reshape(case.predictions.shape), np.array(derivatives).reshape(case.predictions.shape)
