"""One request a line on stdin, one answer a line on stdout: what the workers in Python share. README.md has the protocol."""

import json
import os
import pathlib
import sys
import time

import numpy


class Unavailable(Exception):
    """This worker cannot run here, and why."""


def floats(request, name, shape=None):
    """An input of 32-bit floats."""
    return numpy.fromfile(pathlib.Path(request["inputs"], name + ".f32"), dtype="<f4").reshape(shape or -1)


def integers(request, name):
    """An input of 32-bit integers."""
    return numpy.fromfile(pathlib.Path(request["inputs"], name + ".i32"), dtype="<i4")


def batches(request):
    """The training data of a case: a list of (features, labels, one-hot rows), one for each step."""
    batch, widths, steps = request["shape"][0], request["shape"][1:], request["steps"]
    features, labels = floats(request, "features", (-1, widths[0])), integers(request, "labels")
    one_hot = numpy.eye(widths[-1], dtype="f4")
    cut = [slice(i * batch, min((i + 1) * batch, len(labels))) for i in range(steps)]
    return [(features[rows], labels[rows], one_hot[labels[rows]]) for rows in cut]


def layers(request, widths):
    """Weights [inputs, units] and bias of each layer."""
    pairs = enumerate(zip(widths, widths[1:]))
    return [(floats(request, f"weight{i}", pair), floats(request, f"bias{i}")) for i, pair in pairs]


def summary(values, at):
    """The norm of a tensor and the entries asked for."""
    flat = numpy.asarray(values, dtype="f4").reshape(-1)
    # In parts: an f64 copy of the whole would double the memory of the largest cases.
    parts = (flat[i : i + (1 << 24)].astype("f8") for i in range(0, len(flat), 1 << 24))
    norm = sum(float(part @ part) for part in parts) ** 0.5
    return {"length": len(flat), "norm": repr(norm), "entries": [repr(float(flat[place])) for place in at]}


class Prepared:
    """A case made ready: `run` makes so many calls and waits for them, `found` gives the result of the last one."""

    def run(self, times):
        raise NotImplementedError

    def found(self):
        """The value or None, and a dictionary of arrays."""
        raise NotImplementedError

    def clock(self, times):
        """Milliseconds of so many calls."""
        start = time.perf_counter()
        self.run(times)
        return (time.perf_counter() - start) * 1e3


def prepared(request, work):
    start = time.perf_counter()
    work.run(1)
    first = (time.perf_counter() - start) * 1e3
    value, tensors = work.found()
    at = request.get("at", {})
    return {
        "value": None if value is None else repr(float(value)),
        "tensors": {name: summary(values, at.get(name, [])) for name, values in tensors.items()},
        "first_milliseconds": first,
    }


def answer(request, version, make, state):
    what = request["do"]
    if what == "hello":
        return {"version": version}
    if what == "drop":
        state.pop("work", None)
        return {}
    if what == "prepare":
        state.pop("work", None)
        state["work"] = make(request)
        return prepared(request, state["work"])
    if what == "run":
        times = max(request.get("times", 1), 1)
        return {"milliseconds": state["work"].clock(times) / times}
    raise ValueError(f"what is `{what}`?")


def serve(device, version, make):
    """Answers requests until `quit` or the end of stdin."""
    # What a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            return
        try:
            found = answer(request, version, make, state)
        except Exception as error:  # noqa: BLE001: whatever it is, the other side must hear of it
            found = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({**found, "device": device}) + "\n")
        answers.flush()


def main(start):
    """Runs a worker; one that cannot run here says why and exits with 3."""
    try:
        start()
    except (Unavailable, ImportError) as error:
        sys.exit(print(f"unavailable: {error}", file=sys.stderr) or 3)
