"""Runs the calls that the peers' own tests make through gradus.

    python3 tests/peers pytorch keras optax sklearn --gradus target/release/gradus
    GRADUS_TF_RANKING=FOLDER python3 tests/peers ranking    (FOLDER: a checkout of github.com/tensorflow/ranking)
    python3 tests/peers pytorch --device cpu --show 20

Each call that a test of the peer makes is made again by the peer in float64, and by `gradus eval` on each device. A call is right,
refused by an error that names what is not taken, or different; a difference that `accepted.py` does not name ends the run with 1.
"""

import argparse
import collections
import contextlib
import importlib
import json
import math
import subprocess
import sys
import time

import numpy as np

import accepted
from calls import Refused
from compare import ABSOLUTE, OF_FUNCTION, difference, number

PEERS = {"pytorch": 95, "keras": 95, "optax": 95, "sklearn": 95, "ranking": 60}


def answers(gradus, device, cases):
    found = subprocess.run([gradus, "eval", "-", "--device", device], input=json.dumps(cases), capture_output=True, text=True)
    if not found.stdout:
        sys.exit(f"gradus eval: {found.stderr}")
    return json.loads(found.stdout)


def judged(device, call, names, answer):
    """None where the answer is the peer's, else what differs."""
    if "error" in answer:
        return None
    found = difference(device, "value", call.value, answer["value"], call.function)
    for peers, ours in names.items():
        if peers in call.gradients and found is None:
            found = difference(device, f"gradient of {ours}", call.gradients[peers], answer["gradients"].get(ours), call.function)
    return found


def is_exact(call, names, answer):
    """Whether an answer agrees to the digits of a golden file: TF-Ranking adds 1e-10 to some of its sums."""
    pairs = [(call.value, answer["value"])] + [(call.gradients[peers], answer["gradients"][ours]) for peers, ours in names.items() if peers in call.gradients]
    close = lambda wanted, got: wanted == got or abs(wanted - got) <= 4e-12 * abs(wanted)
    return all(close(wanted, number(got)) for expected, found in pairs for wanted, got in zip(expected[1], found["data"], strict=True))


# Cases of one function whose inputs have the same number of axes, and the most numbers of an input.
OF_A_KIND, MOST_NUMBERS = 2, 200


def write_sample(file, kept):
    """A sample of calls in the format of the golden files, which the suite runs without any peer."""
    taken, lines = collections.Counter(), []
    for call, names, made in kept:
        if (call.function, "reference") in OF_FUNCTION or call.function in ABSOLUTE:
            continue
        # In float32 a gradient keeps 1e-4 of a cell that is 400 times smaller than its factors, as the golden tests allow.
        if any(0 < abs(x) < 1 / 400 * max(map(abs, data)) for _, data in call.gradients.values() for x in data):
            continue
        if any(0 < abs(x) < 1 / 400 for _, data in call.gradients.values() for x in data if made["options"].get("reduction") == "none"):
            continue
        ranks = {name: len(value["shape"]) for name, value in made["inputs"].items()}
        kind = (call.function, str(sorted(ranks.items())), str(made["options"].get("reduction")))
        if taken[kind] >= OF_A_KIND or max(len(value["data"]) for value in made["inputs"].values()) > MOST_NUMBERS:
            continue
        taken[kind] += 1
        inputs = {name: {**value, "data": [single(x) for x in value["data"]]} for name, value in made["inputs"].items()}
        expect = {
            "value": twelve_digits(*call.value),
            "gradients": {ours: twelve_digits(*call.gradients[peers]) for peers, ours in names.items() if peers in call.gradients},
        }
        name = f"{made['loss']}/{call.peer}/{sum(taken.values())}"
        source = f"{'TF-Ranking' if call.peer == 'ranking' else call.peer} {versions()[call.peer]} {call.function}, a call of its own tests ({call.origin})"
        case = {"name": name, "loss": made["loss"], "options": made["options"], "inputs": inputs}
        if "upstream" in made:
            case["upstream"] = made["upstream"]
        lines.append(json.dumps({**case, "expect": expect, "source": source}, separators=(",", ":")))
    with open(file, "w") as target:
        target.write("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(lines)} cases in {file}")


def versions():
    from importlib.metadata import PackageNotFoundError, version

    packages = {"pytorch": "torch", "keras": "keras", "optax": "optax", "sklearn": "scikit-learn", "ranking": "tensorflow-ranking"}
    found = {}
    for peer, package in packages.items():
        with contextlib.suppress(PackageNotFoundError):
            found[peer] = version(package)
    return found


def single(x):
    """The shortest decimal of a float32."""
    return float(str(np.float32(x))) if isinstance(x, float) else x


def twelve_digits(shape, data):
    words = {math.inf: "inf", -math.inf: "-inf"}
    return {"shape": list(shape), "data": ["NaN" if math.isnan(x) else words.get(x, float(f"{x:.12g}")) for x in data]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", choices=list(PEERS))
    parser.add_argument("--gradus", default="target/release/gradus")
    parser.add_argument("--device", nargs="+", default=["reference", "cpu", "gpu"])
    parser.add_argument("--show", type=int, default=3, help="examples of each kind of refusal and difference")
    parser.add_argument("--write", help="writes a sample of the calls that are right to this file, as golden cases")
    options = parser.parse_args()
    failed, kept = False, []
    for peer in options.peers:
        start = time.monotonic()
        module = importlib.import_module({"keras": "keras_calls", "optax": "optax_calls", "sklearn": "sklearn_calls", "ranking": "ranking_calls"}.get(peer, peer))
        calls, cases, refused = [], [], collections.Counter()
        total = 0
        for call in module.calls():
            total += 1
            try:
                made, names, *post = module.translated(call)
            except Refused as reason:
                refused[f"{call.function}: {reason}"] += 1
                continue
            made["name"] = f"{len(calls)}"
            calls.append((call, names, post[0] if post else None))
            cases.append(made)
        for device in options.device:
            right, errors, differences, known = 0, collections.defaultdict(list), collections.defaultdict(list), collections.Counter()
            for (call, names, post), made, answer in zip(calls, cases, answers(options.gradus, device, cases), strict=True):
                if "error" in answer:
                    errors[call.function].append((answer["error"], made))
                    continue
                answer = post(answer) if post else answer
                found = judged(device, call, names, answer)
                reason = found and accepted.reason(call, {**made, "device": device}, found)
                if reason:
                    known[reason] += 1
                elif found:
                    differences[call.function].append((f"{found}; {call.origin}", made))
                else:
                    right += 1
                    if device == "reference" and not post and is_exact(call, names, answer):
                        kept.append((call, names, made))
            count = sum(map(len, errors.values())) + sum(refused.values())
            other = sum(map(len, differences.values()))
            share = 100 * (right + sum(known.values())) / max(total, 1)
            print(f"{peer} on {device}: {right} of {total} right, {sum(known.values())} differ as accepted, {count} refused, {other} differ; {share:.1f} %")
            for reason, times in known.items():
                print(f"  accepted {times:4d}  {reason}")
            for reason, times in refused.items():
                print(f"  refused  {times:4d}  {reason}")
            for kind, groups in (("refused ", errors), ("DIFFERS ", differences)):
                for function, group in groups.items():
                    print(f"  {kind} {len(group):4d}  {function}")
                    for message, made in group[: options.show]:
                        shapes = {name: value["shape"] for name, value in made["inputs"].items()}
                        print(f"            {message}\n              {made['options']} {shapes}")
            failed |= other > 0 or share < PEERS[peer]
        print(f"{peer}: {time.monotonic() - start:.0f} s")
    if options.write:
        write_sample(options.write, kept)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
