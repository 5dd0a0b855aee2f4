#!/usr/bin/env python3
"""Compares two builds of the command bit by bit: a change that only reorders code must pass.

    tests/same_bits.py OLD NEW [--devices cpu,reference,gpu] [--ratings ratings.csv]

`eval` over all golden files, trainings and a recommender with `--out`, on each device. Prints a line for each difference and ends
with 1 where there is one. A training that fails in the old build is an error: it compares nothing.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.json"))
PASSENGERS = ["--data", str(ROOT / "data/passengers.csv"), "--target", "survived", "--drop", "id"]
HOUSING = ["--data", str(ROOT / "tests/field/table/housing_like.csv"), "--target", "value"]
IMAGES = ["--data", str(ROOT / "data/fashion-mnist-12k")]
TRAININGS = {
    "classes": [*PASSENGERS, "--loss", "cross_entropy", "--epochs", "20", "--seed", "3"],
    "classes, 1,400 steps": [*PASSENGERS, "--loss", "cross_entropy", "--epochs", "50", "--batch-size", "32", "--hidden", "32,16"],
    "classes, weights": [*PASSENGERS, "--loss", "cross_entropy", "--epochs", "5", "--class-weight", "balanced"],
    "regression": [*HOUSING, "--loss", "huber", "--epochs", "10", "--hidden", "64,32", "--seed", "5"],
    "regression, relu, sgd": [*HOUSING, "--loss", "mse", "--epochs", "5", "--optimizer", "sgd", "--activation", "relu"],
    "images, whole batches": [*IMAGES, "--loss", "cross_entropy", "--epochs", "3", "--hidden", "100", "--batch-size", "64"],
    "images, muon": [*IMAGES, "--loss", "cross_entropy", "--epochs", "2", "--optimizer", "muon"],
    "images, mse of a softmax": [*IMAGES, "--loss", "mse", "--epochs", "2", "--activation", "sigmoid"],
    "schedule, clipping, averages": [*IMAGES, "--loss", "cross_entropy", "--epochs", "2", "--schedule", "cosine", "--clip-norm", "1"],
}


def run(binary, arguments, folder):
    environment = {**os.environ, "GRADUS_PIPELINE_CACHE": "off", "GRADUS_AUTOTUNE": "off"}
    return subprocess.run([binary, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def evaluated(binary, file, device):
    out = run(binary, ["eval", str(file), "--device", device], ROOT)
    return out.returncode, hashlib.sha256(out.stdout.encode()).hexdigest(), out.stderr


def saved(binary, arguments):
    """The bytes that a training leaves, and what it said where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = run(binary, [*arguments, "--out", "out"], folder)
        file = Path(folder) / "out"
        content = file.read_bytes() if file.is_file() else b""
        return out.returncode, hashlib.sha256(content).hexdigest(), out.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--devices", default="reference,cpu,gpu")
    parser.add_argument("--ratings", help="a file of ratings, for the recommender too")
    options = parser.parse_args()
    jobs = []
    for device in options.devices.split(","):
        jobs += [(f"eval {file.name} on {device}", evaluated, (file, device)) for file in GOLDEN]
        for name, arguments in TRAININGS.items():
            jobs.append((f"train {name} on {device}", saved, (["train", *arguments, "--device", device],)))
        if options.ratings:
            arguments = ["recommend", "--interactions", str(Path(options.ratings).resolve()), "--epochs", "2", "--seed", "1", "--device", device]
            jobs.append((f"recommend on {device}", saved, (arguments,)))
    different = 0
    with ThreadPoolExecutor(2) as pool:
        both = lambda job: [job[1](os.path.abspath(binary), *job[2]) for binary in (options.old, options.new)]
        for (name, _, _), (old, new) in zip(jobs, pool.map(both, jobs)):
            if old[0] != 0:
                sys.exit(f"{name}: the old build failed: {old[2]}")
            if old[:2] != new[:2]:
                different += 1
                print(f"DIFFERENT {name}: exit {new[0]}; {new[2][-300:] if new[0] else 'other bits'}", flush=True)
    print(f"{len(jobs) - different} of {len(jobs)} give the same bits")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
