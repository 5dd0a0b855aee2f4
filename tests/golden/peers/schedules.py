"""Learning rates of the first steps."""

import optax
import torch
from torch.optim import lr_scheduler

from peer import by_library


def of_torch(name, make):
    """`make` gets an optimizer and the options, and takes those it knows."""

    @by_library("schedule", name, "torch")
    def run(case):
        options = dict(case["options"])
        variable = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([variable], lr=options.pop("learning_rate", 0.1))
        schedule = make(optimizer, options)
        if options:
            raise ValueError(f"unknown here: {', '.join(options)}")
        rates = []
        for _ in case["steps"]:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return {"learning_rate": rates}


of_torch("step", lambda optimizer, o: lr_scheduler.StepLR(optimizer, int(o.pop("every")), o.pop("factor")))
of_torch(
    "multi_step",
    lambda optimizer, o: lr_scheduler.MultiStepLR(optimizer, [int(n) for n in o.pop("milestones")], o.pop("factor")),
)
of_torch("exponential", lambda optimizer, o: lr_scheduler.ExponentialLR(optimizer, o.pop("factor")))
of_torch("cosine", lambda optimizer, o: lr_scheduler.CosineAnnealingLR(optimizer, int(o.pop("steps")), o.pop("minimum")))
of_torch(
    "cosine_restarts",
    lambda optimizer, o: lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, int(o.pop("steps")), int(o.pop("multiplier")), o.pop("minimum")
    ),
)
of_torch(
    "one_cycle",
    lambda optimizer, o: lr_scheduler.OneCycleLR(optimizer, o.pop("maximum"), total_steps=int(o.pop("steps"))),
)
of_torch("polynomial", lambda optimizer, o: lr_scheduler.PolynomialLR(optimizer, int(o.pop("steps")), o.pop("power")))


def of_optax(name, make, *order):
    @by_library("schedule", name, "optax")
    def run(case):
        if unknown := set(case["options"]) - set(order):
            raise ValueError(f"unknown here: {', '.join(unknown)}")
        schedule = make(*(case["options"][option] for option in order))
        return {"learning_rate": [float(schedule(int(step))) for step in case["steps"]]}


of_optax("warmup_cosine", optax.warmup_cosine_decay_schedule, "initial", "peak", "warmup_steps", "steps", "minimum")
of_optax("linear", optax.linear_schedule, "initial", "final", "steps")
