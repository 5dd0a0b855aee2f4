#!/usr/bin/env python3
"""Runs gradus and a peer alternately on the same inputs, compares what they compute, and prints the ratios of their times.

    python3 benches/peers/compare.py --peer burn-wgpu --peer jax --cases mse,cross_entropy --json results.json

Needs Python 3.9 and nothing else; the workers in Python need their requirements*.txt. README.md beside it has the rest.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import math
import os
import pathlib
import platform
import random
import select
import shlex
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent

# gradus's device and the command of each peer; {python} and {target} are filled in.
PEERS = {
    "burn-wgpu": ("gpu", "{target}/burn/release/burn-peer --device wgpu"),
    # Burn's own mean adds 2^18 elements at the most on llvmpipe and is refused there: this is its speed with one that is right.
    "burn-wgpu-rows": ("gpu", "{target}/burn/release/burn-peer --device wgpu --sum rows"),
    "burn-vulkan": ("gpu", "{target}/burn/release/burn-peer --device vulkan"),
    "burn-cuda": ("gpu", "{target}/burn/release/burn-peer --device cuda"),
    "burn-flex": ("cpu", "{target}/burn/release/burn-peer --device flex"),
    "candle": ("cpu", "{target}/candle/release/candle-peer --device cpu"),
    "candle-cuda": ("gpu", "{target}/candle/release/candle-peer --device cuda"),
    "torch": ("cpu", "{python} {here}/python/torch_worker.py --device cpu --mode eager"),
    "torch-compile": ("cpu", "{python} {here}/python/torch_worker.py --device cpu --mode compile"),
    "torch-cuda": ("gpu", "{python} {here}/python/torch_worker.py --device cuda --mode eager"),
    "torch-cuda-compile": ("gpu", "{python} {here}/python/torch_worker.py --device cuda --mode compile"),
    "torch-cuda-graph": ("gpu", "{python} {here}/python/torch_worker.py --device cuda --mode graph"),
    "jax": ("cpu", "{python} {here}/python/jax_worker.py --device cpu --mode jit"),
    "jax-scan": ("cpu", "{python} {here}/python/jax_worker.py --device cpu --mode scan"),
    "jax-cuda": ("gpu", "{python} {here}/python/jax_worker.py --device gpu --mode jit"),
    "jax-cuda-scan": ("gpu", "{python} {here}/python/jax_worker.py --device gpu --mode scan"),
    "liger": ("gpu", "{python} {here}/python/liger_worker.py"),
}

# What each built worker needs to be built with.
BUILDS = {"burn-vulkan": ["--features", "vulkan"], "burn-cuda": ["--features", "cuda"], "candle-cuda": ["--features", "cuda"]}

SAMPLED = 64
# Samples last at least so long, so that the clock's grain and the pipe do not show.
SAMPLE_MILLISECONDS = 30.0
# Sums of 2²⁸ f32 in whatever order a peer takes differ by up to √n ulp: 1e-3. A forgotten factor or reduction is off by more.
VALUE_TOLERANCE = 1e-3
# Entries against the larger of themselves and the tensor's root mean square. f32 gives some 1e-6; TF32 would give 3e-4.
ENTRY_TOLERANCE = 1e-4
# Losses of the steps of a network: sums in other orders make the first differ by some 1e-6, and Adam's first steps, which
# depend on the sign of a gradient alone, carry that on. The deeper a network, the faster: PyTorch and JAX are 1e-3 apart
# in the fifth loss of `resnet20`, which is therefore compared over three.
LOSSES_TOLERANCE = 1e-3
# Weights after some steps of Adam, whose first steps are of the size lr = 1e-3 whatever the gradient: a sign that
# flips in the last bit moves a weight by 2e-3, a twentieth of the root mean square.
TRAINED_TOLERANCE = 5e-2


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    shape: tuple
    steps: int = 0

    def title(self):
        sizes = "×".join(f"2^{n.bit_length() - 1}" if n >= 1 << 20 and n & (n - 1) == 0 else str(n) for n in self.shape)
        return f"{self.name} {sizes}" + (f", {self.steps} steps" if self.steps else "")

    def request(self, what, folder):
        return {"do": what, "case": self.name, "shape": list(self.shape), "steps": self.steps, "inputs": str(folder)}

    def has_value(self):
        """Whether a call gives a loss: products and single layers do not."""
        return self.name not in ("matmul", "dense", *LAYERS)

    def lengths(self):
        """The tensors that a worker must report, and how many entries each has."""
        if self.name in LAYERS:
            return layer_lengths(self.name, self.shape)
        if self.name in SEVERAL:
            return several_lengths(self.name, self.shape)
        if self.name in NETWORKS:
            return {"losses": self.steps, "weight0": compared_length(self.name, self.shape)}
        if self.name == "matmul":
            return {"product": self.shape[0] * self.shape[1]}
        if self.name == "dense":
            rows, inputs, units = self.shape
            return {"output": rows * units, "weight": inputs * units, "bias": units, "input": rows * inputs}
        if self.steps:
            return {"weight0": self.shape[1] * self.shape[2]}
        length = 1
        for size in self.shape:
            length *= size
        return {"gradient": length}

    def per_call(self):
        """What a time is divided by: `train_step` is the time of one step, `epoch` as a whole."""
        return self.steps if self.name == "train_step" or self.name in NETWORKS else 1


# Losses of rows of logits and labels, and those of several inputs.
LABELLED = ("cross_entropy", "focal", "nll", "multi_margin")
SEVERAL = ("triplet_margin", "info_nce", "ctc", "linear_cross_entropy")
LAYERS = ("conv2d", "attention", "max_pool2d", "layer_norm", "batch_norm")
# Window of the first convolution and its filters; `gpt` is compared by the queries, keys and values of its first block.
NETWORKS = {"lenet5": (5, 6), "small_cnn": (3, 32), "resnet8": (3, 16), "resnet20": (3, 16), "gpt": None}


def several_lengths(name, shape):
    """Gradients of a loss of several inputs: how many entries each has."""
    if name == "linear_cross_entropy":
        rows, features, classes = shape
        return {"predictions": rows * features, "linear_weight": classes * features}
    names = {"triplet_margin": ("anchor", "positive", "negative"), "info_nce": ("first", "second"), "ctc": ("predictions",)}
    return dict.fromkeys(names[name], math.prod(shape[:3]))


def layer_lengths(name, shape):
    """Output and gradients of a layer: how many entries each has."""
    count = math.prod(shape)
    if name == "conv2d":
        rows, height, width, channels, filters, kernel = shape
        pixels = rows * height * width
        return {"output": pixels * filters, "input": pixels * channels, "weight": kernel * kernel * channels * filters}
    if name == "attention":
        return dict.fromkeys(("output", "query", "key", "value"), count)
    if name == "max_pool2d":
        rows, height, width, channels, kernel = shape
        return {"output": rows * (height // kernel) * (width // kernel) * channels, "input": count // kernel}
    return {"output": count, "input": count, "weight": shape[-1], "bias": shape[-1]}


def compared_length(name, shape):
    """Entries of the weight that is compared after the steps of a network."""
    if name == "gpt":
        return 3 * shape[-1] ** 2
    kernel, filters = NETWORKS[name]
    return kernel * kernel * shape[3] * filters


STANDARD = [
    Case("mse", (1 << 24,)),
    Case("mae", (1 << 24,)),
    Case("huber", (1 << 24,)),
    Case("bce_with_logits", (1 << 22,)),
    Case("cross_entropy", (4096, 1000)),
    Case("cross_entropy", (1024, 32000)),
    Case("cross_entropy", (65536, 10)),
    Case("cross_entropy", (6553, 100)),
    Case("cross_entropy", (327680, 2)),
    Case("focal", (6553, 100)),
    Case("focal", (65536, 10)),
    Case("focal", (327680, 2)),
    Case("nll", (6553, 100)),
    Case("nll", (65536, 10)),
    Case("nll", (327680, 2)),
    Case("multi_margin", (6553, 100)),
    Case("multi_margin", (65536, 10)),
    Case("multi_margin", (327680, 2)),
    Case("kl_div", (4096, 1000)),
    Case("triplet_margin", (65536, 128)),
    Case("info_nce", (2048, 128)),
    Case("ctc", (100, 32, 64, 20)),
    Case("linear_cross_entropy", (512, 256, 32768)),
    Case("matmul", (512, 512, 512)),
    Case("matmul", (1024, 1024, 1024)),
    Case("matmul", (2048, 2048, 2048)),
    Case("dense", (512, 784, 512)),
    Case("train_step", (64, 784, 128, 10), 20),
    Case("train_step", (512, 784, 128, 10), 20),
    Case("epoch", (64, 784, 10, 10), 157),
    Case("conv2d", (32, 28, 28, 64, 64, 3)),
    Case("attention", (16, 256, 4, 32)),
    Case("max_pool2d", (64, 28, 28, 64, 2)),
    Case("layer_norm", (4096, 512)),
    Case("batch_norm", (64, 28, 28, 16)),
    Case("lenet5", (64, 28, 28, 1, 10), 10),
    Case("small_cnn", (64, 28, 28, 1, 10), 10),
    Case("resnet8", (64, 28, 28, 1, 10), 3),
    Case("resnet20", (64, 28, 28, 1, 10), 3),
    Case("gpt", (12, 64, 65, 4, 4, 128), 5),
]
# For cards with tens of gigabytes.
LARGE = [
    Case("mse", (1 << 28,)),
    Case("cross_entropy", (16384, 32768)),
    Case("cross_entropy", (8192, 128256)),
    Case("matmul", (4096, 4096, 4096)),
    Case("matmul", (8192, 8192, 8192)),
    Case("train_step", (128, 784, 512, 512, 10), 200),
]


class Refused(Exception):
    """A worker failed, or its results are not those of the other: no times are taken."""


class Worker:
    """A process that answers one line of JSON for one line of JSON, and is stopped in between.

    Threads of OpenMP spin between the parallel regions of a step, which a peer needs to be fast, and behind its last one, on the cores that
    the other measures on. Kept from spinning at all, PyTorch's step of ResNet-8 takes 27 ms instead of 19.
    """

    def __init__(self, name, command, limit):
        self.name, self.command, self.limit = name, command, limit
        self.process, self.pending = None, b""

    def start(self):
        self.close()
        self.errors = tempfile.TemporaryFile()
        self.pending = b""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=self.errors)

    def signal(self, name):
        """Stops the process or lets it go on, where the system can."""
        if hasattr(signal, name) and self.process is not None and self.process.poll() is None:
            self.process.send_signal(getattr(signal, name))

    def ask(self, request):
        if self.process is None or self.process.poll() is not None:
            self.start()
        self.signal("SIGCONT")
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended") from None
        line = self.line()
        self.signal("SIGSTOP")
        try:
            answer = json.loads(line)
        except ValueError:
            raise self.failure(f"answered {line[:200]!r}") from None
        if "error" in answer:
            raise Refused(f"{self.name}: {answer['error']}")
        return answer

    def line(self):
        end = time.monotonic() + self.limit
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise self.failure(f"no answer within {self.limit:g} s")
            read = os.read(self.process.stdout.fileno(), 1 << 16)
            if not read:
                raise self.failure("ended")
            self.pending += read
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def failure(self, what):
        """What went wrong, with the last that the worker said; the process is gone afterwards."""
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        return Refused(f"{self.name}: {what} (exit {code})" + (f": {said[-1][:300]}" if said else ""))

    def close(self):
        """Closes what belonged to a process that is gone."""
        if self.process:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.errors.close()
            self.process = None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal("SIGCONT")
            try:
                self.process.stdin.write(b'{"do": "quit"}\n')
                self.process.stdin.close()
                self.process.wait(10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        self.close()


def places(case, folder):
    """Which entries both sides report: the ends, some at random, for classes also those of some labels."""
    found = {}
    for name, length in case.lengths().items():
        draw = random.Random(f"{case.name} {name} {length}")
        found[name] = sorted({0, length - 1, *(draw.randrange(length) for _ in range(SAMPLED))})
    if case.name in LABELLED:
        rows, classes = case.shape
        labels = pathlib.Path(folder, "labels.i32").read_bytes()
        own = {row * classes + label for row, (label,) in enumerate(struct.iter_unpack("<i", labels[: 4 * 16]))}
        found["gradient"] = sorted({*found["gradient"], *own})
    return found


def distance(a, b, scale):
    """The difference relative to the larger of both and the scale; infinite where one is not a number."""
    least = max(abs(a), abs(b), scale)
    found = abs(a - b) / least if least else 0.0
    return found if found == found else float("inf")


def compare(case, at, ours, theirs):
    """The largest difference of each kind, relative; Refused where it is above the tolerance."""
    sides = ("gradus", ours), ("the peer", theirs)
    worst = {}
    values = [answer.get("value") for _, answer in sides]
    if case.has_value():
        if None in values:
            raise Refused(f"{case.title()}: no value ({values[0]}, {values[1]})")
        worst["value"] = distance(float(values[0]), float(values[1]), 0.0)
        check(case, "value", worst["value"], VALUE_TOLERANCE, *values)
    for name, length in case.lengths().items():
        tolerance = {"losses": LOSSES_TOLERANCE}.get(name, TRAINED_TOLERANCE if case.steps else ENTRY_TOLERANCE)
        for side, answer in sides:
            tensor = answer["tensors"].get(name)
            if tensor is None or tensor["length"] != length or len(tensor["entries"]) != len(at[name]):
                raise Refused(f"{case.title()}: {name} of {side} has not {length} entries, {len(at[name])} of them reported")
        norms = [float(answer["tensors"][name]["norm"]) for _, answer in sides]
        worst[f"norm of {name}"] = distance(*norms, 0.0)
        check(case, f"norm of {name}", worst[f"norm of {name}"], VALUE_TOLERANCE, *norms)
        scale = norms[0] / length**0.5
        pairs = zip(at[name], ours["tensors"][name]["entries"], theirs["tensors"][name]["entries"])
        place, a, b = max(pairs, key=lambda pair: distance(float(pair[1]), float(pair[2]), scale))
        worst[name] = distance(float(a), float(b), scale)
        check(case, f"{name}[{place}]", worst[name], tolerance, a, b)
    return worst


def check(case, what, found, tolerance, a, b):
    if not found <= tolerance:
        raise Refused(f"{case.title()}: {what} is {a} in gradus and {b} in the peer: {found:.1e} apart, allowed {tolerance:g}")


def repetitions(worker):
    """Calls that fill a sample, after some that warm up."""
    run = lambda: worker.ask({"do": "run", "times": 1})["milliseconds"]
    run()
    fastest = min(run(), run())
    return max(1, min(1000, round(SAMPLE_MILLISECONDS / max(fastest, 1e-6))))


def measure(case, gradus, peer, folder, rounds):
    """Compares results and then, only then, times: the record of a case."""
    at = places(case, folder)
    request = {**case.request("prepare", folder), "at": at}
    ours, theirs = gradus.ask(request), peer.ask(request)
    record = {
        "case": case.name,
        "shape": list(case.shape),
        "steps": case.steps,
        "gradus_device": ours["device"],
        "peer_device": theirs["device"],
        "differences": compare(case, at, ours, theirs),
    }
    record["first_milliseconds"] = {"gradus": ours["first_milliseconds"], "peer": theirs["first_milliseconds"]}
    times = {worker: repetitions(worker) for worker in (gradus, peer)}
    samples = {gradus: [], peer: []}
    for number in range(rounds):
        for worker in (gradus, peer) if number % 2 == 0 else (peer, gradus):
            found = worker.ask({"do": "run", "times": times[worker]})["milliseconds"]
            samples[worker].append(found / case.per_call())
    record["milliseconds"] = {"gradus": spread(samples[gradus]), "peer": spread(samples[peer])}
    record["calls_per_sample"] = {"gradus": times[gradus], "peer": times[peer]}
    record["ratio"] = record["milliseconds"]["peer"]["median"] / record["milliseconds"]["gradus"]["median"]
    record["ratio_of_rounds"] = spread([b / a for a, b in zip(samples[gradus], samples[peer])])
    return record


def spread(samples):
    quartiles = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return {"median": statistics.median(samples), "quartiles": [quartiles[0], quartiles[2]], "least": min(samples), "samples": len(samples)}


def say_now(text):
    print(text, flush=True)


def run_cases(cases, gradus, peer, rounds, say=say_now):
    """Every case between two workers, one record at a time; one that is refused is recorded and the others go on."""
    say(f"{'case':34} {'gradus':>10} {peer.name:>18}   {'ratio':>6}  quartiles     first call: gradus, peer")
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            try:
                gradus.ask(case.request("inputs", folder))
                record = measure(case, gradus, peer, folder, rounds)
                say(line(case, record))
            except Refused as refused:
                record = {"case": case.name, "shape": list(case.shape), "steps": case.steps, "refused": str(refused)}
                say(f"{case.title():34} refused: {refused}")
            yield {"peer": peer.name, **record}
        for worker in (gradus, peer):
            if worker.process and worker.process.poll() is None:
                worker.ask({"do": "drop"})


def line(case, record):
    ours, theirs = (record["milliseconds"][side]["median"] for side in ("gradus", "peer"))
    low, high = record["ratio_of_rounds"]["quartiles"]
    first = (record["first_milliseconds"][side] for side in ("gradus", "peer"))
    first = ", ".join(f"{milliseconds:.0f} ms" for milliseconds in first)
    return f"{case.title():34} {ours:7.3g} ms {theirs:15.3g} ms   {record['ratio']:5.2f}×  {low:5.2f}–{high:<5.2f}   {first}"


def build(crate, target, features):
    """Builds a worker in Rust; Burn's takes 45 CPU-minutes the first time."""
    command = ["cargo", "build", "--release", "--manifest-path", str(HERE / crate / "Cargo.toml"), *features]
    subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target / crate)})


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def commit():
    git = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True, check=False) if shutil.which("git") else None
    return found.stdout.strip() if found else ""


def rounded(value):
    """Numbers with five digits, which is more than a clock is worth."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


def one_case_a_line(document):
    """JSON whose differences from another day's can be read."""
    text = lambda value: json.dumps(rounded(value), ensure_ascii=False)
    head = [f" {text(name)}: {text(value)}," for name, value in document.items() if name != "cases"]
    cases = ",\n".join(f"  {text(case)}" for case in document["cases"])
    return "\n".join(["{", *head, ' "cases": [', cases, " ]", "}"]) + "\n"


class Results:
    """The records so far, kept in a file after each case: a run that is cut off loses one case."""

    def __init__(self, path, append):
        self.path = path
        # Where things lie on this machine does not belong to what was measured.
        places = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        for place in ("--target", "--python"):
            places.add_argument(place)
        command = shlex.join(["python3", "benches/peers/compare.py", *places.parse_known_args()[1]])
        before = json.loads(path.read_text()) if append and path and path.exists() else {}
        self.document = {
            "date": datetime.date.today().isoformat(),
            "commands": [*before.get("commands", []), command],
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "versions": before.get("versions", {}),
            "note": "milliseconds of one call, of train_step and networks of one step; a ratio above 1 says that gradus is faster",
            "cases": before.get("cases", []),
        }

    def add(self, record):
        key = lambda record: [record.get(name) for name in ("peer", "case", "shape", "steps")]
        record = {**record, "commit": commit()}
        others = [other for other in self.document["cases"] if key(other) != key(record)]
        self.document["cases"] = [*others, record]
        if self.path:
            self.path.write_text(one_case_a_line(self.document))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", required=True, choices=PEERS, help="may be given several times")
    parser.add_argument("--device", choices=["gpu", "cpu"], help="gradus's device; by default the peer's kind")
    parser.add_argument("--cases", help="names, or names with sizes as in matmul:512x512x512, separated by commas")
    parser.add_argument("--large", action="store_true", help="the cases for large cards")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that an answer may take")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the peers in Python")
    parser.add_argument("--target", type=pathlib.Path, default=HERE.parents[1] / "target/peers", help="where the workers in Rust are built")
    parser.add_argument("--no-build", action="store_true", help="take the workers in Rust as they lie in --target")
    parser.add_argument("--json", type=pathlib.Path, help="writes the results there, after each case")
    parser.add_argument("--append", action="store_true", help="keeps what other cases the file of --json has")
    return parser.parse_args()


def chosen(asked, large):
    """The cases asked for: by name, or by name and sizes."""
    cases = LARGE if large else STANDARD
    if not asked:
        return cases
    found = []
    for word in asked.split(","):
        name, _, sizes = word.partition(":")
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else None
        match = [case for case in cases if case.name == name and shape in (None, case.shape)]
        if not match:
            sys.exit(f"no case {word}; there are {', '.join(case.name + ':' + 'x'.join(map(str, case.shape)) for case in cases)}")
        found += match
    return found


def run_peer(name, options, target, results):
    """All cases against one peer; whether none was refused."""
    device, command = PEERS[name]
    crate = name.split("-")[0]
    if "{target}" in command and not options.no_build:
        build(crate, target, BUILDS.get(name, []))
    words = [word.format(python=options.python, target=target, here=HERE) for word in command.split()]
    ours = [str(target / "gradus/release/gradus-peer"), "--device", options.device or device]
    gradus, peer = Worker("gradus", ours, options.limit), Worker(name, words, options.limit)
    fine = True
    try:
        results.document["versions"][name] = peer.ask({"do": "hello"})["version"]
        print(f"\n{gradus.ask({'do': 'hello'})['device']} against {results.document['versions'][name]}", flush=True)
        for record in run_cases(chosen(options.cases, options.large), gradus, peer, options.rounds):
            results.add(record)
            fine &= "refused" not in record
    except Refused as refused:
        print(refused)
        fine = False
    finally:
        gradus.stop()
        peer.stop()
    return fine


def main():
    options = arguments()
    chosen(options.cases, options.large)
    target = options.target.resolve()
    if not options.no_build:
        build("gradus", target, [])
    results = Results(options.json, options.append)
    sys.exit(not all([run_peer(name, options, target, results) for name in options.peer]))


if __name__ == "__main__":
    main()
