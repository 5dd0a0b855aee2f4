"""Trajectories: parameters after some of 50 steps on given gradients."""

import jax.numpy as jnp
import numpy as np
import optax
import torch

from peer import by_library, decoded

OF_TORCH = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adafactor": torch.optim.Adafactor,
}


def trajectory(case, parameters, stepped):
    """Calls `stepped` with each gradient; it gives the parameters after the step."""
    found = {}
    for step, gradient in enumerate(case["gradients"], 1):
        parameters = stepped(decoded(gradient), parameters)
        if step in [int(n) for n in case["report"]]:
            found[str(step)] = np.array(parameters)
    return {"parameters": found}


def of_torch(name, optimizer):
    @by_library("optimizer", name, "torch")
    def run(case):
        options = dict(case["options"])
        options["lr"] = options.pop("learning_rate")
        if "beta1" in options:
            options["betas"] = options.pop("beta1"), options.pop("beta2")
        if "epsilon" in options:
            options["eps"] = options.pop("epsilon")
        variable = torch.tensor(decoded(case["parameters"]), requires_grad=True)
        made = optimizer([variable], **options)

        def stepped(gradient, _):
            variable.grad = torch.tensor(gradient)
            made.step()
            return variable.detach().numpy()

        return trajectory(case, None, stepped)


for name, optimizer in OF_TORCH.items():
    of_torch(name, optimizer)


def of_optax(name, make):
    """`make` takes the options that it knows out of the dict."""

    @by_library("optimizer", name, "optax")
    def run(case):
        options = dict(case["options"])
        rule = make(options)
        if options:
            raise ValueError(f"unknown here: {', '.join(options)}")
        start = jnp.asarray(decoded(case["parameters"]))
        state = rule.init(start)

        def stepped(gradient, parameters):
            nonlocal state
            updates, state = rule.update(jnp.asarray(gradient), state, parameters)
            return optax.apply_updates(parameters, updates)

        return trajectory(case, start, stepped)


def clipped(options):
    if "clip_global_norm" in options:
        clip = optax.clip_by_global_norm(options.pop("clip_global_norm"))
    else:
        clip = optax.clip(options.pop("clip_value"))
    return optax.chain(clip, optax.sgd(options.pop("learning_rate")))


def lion(options):
    betas = {"b1": options.pop("beta1", 0.9), "b2": options.pop("beta2", 0.99)}
    return optax.lion(options.pop("learning_rate"), **betas, weight_decay=options.pop("weight_decay", 0.001))


of_optax("sgd", clipped)
of_optax("lion", lion)
of_optax("lamb", lambda o: optax.lamb(o.pop("learning_rate"), weight_decay=o.pop("weight_decay", 0.0), eps=1e-6))
of_optax("adan", lambda o: optax.adan(o.pop("learning_rate"), weight_decay=0.0))
of_optax("yogi", lambda o: optax.yogi(o.pop("learning_rate")))
of_optax("adabelief", lambda o: optax.adabelief(o.pop("learning_rate")))
