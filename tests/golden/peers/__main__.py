#!/usr/bin/env python3
"""Makes the golden values again with the libraries that they come from, in float64, and compares.

    python3 -m venv venv && venv/bin/pip install -r tests/golden/requirements.txt
    venv/bin/python tests/golden/peers                     compares all; ends with 1 if a number differs
    venv/bin/python tests/golden/peers --only huber        the cases whose loss or name begins so
    venv/bin/python tests/golden/peers --write             writes the numbers that differ into the files
    venv/bin/python tests/golden/peers --self-test         breaks a number of each file in memory: must be noticed
    venv/bin/python tests/golden/peers --new huber '{"delta": 2.0}' --shape 7x13 --seed 5
                                                           prints a new case with random inputs, a line for its file

Each loss has a function of a few lines in the module that is named after its file: how a peer computes it. The first word of
a case's `source` says which peer. A new loss needs its function first, then --new. --only goes with --write too.
"""

import argparse
import copy
import importlib
import importlib.metadata
import json
import math
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field

sys.dont_write_bytecode = True

import numpy as np

from compare import compared, numbers_of
from files import NAMES, GoldenFile, Number, number, parsed, written
from peer import FUNCTIONS, PEERS, peer_of

warnings.filterwarnings("ignore", message="reduction: 'mean' divides the total loss")  # of torch's kl_div
for name in NAMES:  # each module fills FUNCTIONS
    importlib.import_module(name)

KINDS = ["loss", "optimizer", "schedule"]


def identity(case):
    """Kind and name of what a case is of: ("loss", "huber")."""
    return next((kind, case[kind]) for kind in KINDS if kind in case)


def expected(case):
    """The recomputed numbers of a case, a tree as under "expect"."""
    key = (*identity(case), peer_of(case))
    if key not in FUNCTIONS:
        raise LookupError(f"no function computes {key[1]} with {key[2]}")
    return FUNCTIONS[key].run(plain(case))


def plain(value):
    """A case without `Number`s: libraries are particular about the type of an option."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return json.loads(value.text) if isinstance(value, Number) else value


@dataclass
class Tally:
    cases: int = 0
    largest: float = 0.0
    peers: set = field(default_factory=set)
    note: str = ""


def check(files, only="", writes=False):
    """Compares all cases; returns what failed, what differs, the tallies by file and loss, and the cases by peer."""
    failures, differences, tallies, peers = [], [], {}, Counter()
    for file in files:
        for case, spaced in zip(file.cases, file.spaced):
            name = identity(case)[1]
            if not (name.startswith(only) or case["name"].startswith(only)):
                continue
            tally = tallies.setdefault((file.name, name), Tally())
            tally.cases += 1
            tally.peers.add(peer_of(case))
            try:
                results = compared(case, expected(case))
            except Exception as error:  # of any library: listed, and the other cases go on
                failures.append(f"{file.name}.json: {case['name']}: {error}")
                tally.largest = float("inf")
                continue
            peers[peer_of(case)] += 1
            tally.note = FUNCTIONS[*identity(case), peer_of(case)].note
            for path, leaf, found, comparison in results:
                tally.largest = max(tally.largest, comparison.largest)
                if not comparison.places:
                    continue
                first, stored = comparison.places[0], numbers_of(leaf)
                differences.append(
                    f"{file.name}.json: {case['name']}: {'.'.join(path)}: {len(comparison.places)} of {len(stored)} differ; "
                    f"[{first}] is {float(stored[first])!r}, recomputed {found.ravel()[first]!r}"
                )
                if writes:
                    for place in comparison.places:
                        stored[place] = number(found.ravel()[place], spaced)
    return failures, differences, tallies, peers


def self_test():
    """The largest number of each tensor of a case of each file, off by two units of the twelfth digit, must be noticed, and
    --write must bring it back. Nothing is written to the files."""
    failures = []
    for name in NAMES:
        file = GoldenFile(name)
        index = next(i for i, case in enumerate(file.cases) if i >= len(file.cases) // 2 and has_numbers(case))
        whole = file.cases[index]
        file.cases, file.spaced = [copy.deepcopy(whole)], file.spaced[index : index + 1]
        if sum(check([file])[:2], []):
            failures.append(f"{name}.json: {whole['name']} differs unbroken")
        broken = 0
        for leaf in range(len(leaves_of(whole["expect"]))):
            case = file.cases[0] = copy.deepcopy(whole)
            stored = numbers_of(leaves_of(case["expect"])[leaf])
            place = int(np.argmax([abs(float(x)) for x in stored]))
            unit = 10.0 ** (math.floor(math.log10(abs(float(stored[place])))) - 11)
            stored[place] = Number(f"{float(stored[place]) + 2 * unit:.12g}")
            if len(check([file], writes=True)[1]) != 1:
                failures.append(f"{name}.json: {whole['name']}: a broken number is not noticed")
            if sum(check([file])[:2], []):
                failures.append(f"{name}.json: {whole['name']}: --write does not bring the number back")
            broken += 1
        file.cases[0] = {**copy.deepcopy(whole), identity(whole)[0]: "unheard_of"}
        if not check([file])[0]:
            failures.append(f"{name}.json: a case that no function computes is not noticed")
        print(f"{name}.json: {whole['name']}: {broken} broken numbers noticed and brought back")
    return failures


def has_numbers(case):
    """True if each tensor of the case has a number other than 0."""
    return all(any(float(x) for x in numbers_of(leaf)) for leaf in leaves_of(case["expect"]))


def leaves_of(tree):
    if isinstance(tree, dict) and "data" not in tree:
        return [leaf for item in tree.values() for leaf in leaves_of(item)]
    return [tree]


def new_case(name, options, shape, seed):
    """A line for a golden file: random inputs that f32 holds, and what the peer computes of them."""
    found = [(peer, function) for (_, loss, peer), function in FUNCTIONS.items() if loss == name and function.draw]
    if not found:
        raise SystemExit(f"{name}: no function here draws inputs for it")
    peer, function = found[0]
    file = GoldenFile(function.file)
    options = {**options, "reduction": options.get("reduction", "mean")}
    rng = np.random.default_rng(seed)
    inputs = {key: tensor(np.asarray(array), of_input) for key, array in function.draw(rng, shape, options).items()}
    settings = "".join(f"-{value}" for key, value in options.items() if key != "reduction")
    label = f"{name}{settings}/{options['reduction']}/{'x'.join(map(str, shape))}"
    version = importlib.metadata.version(peer).split("+")[0]
    case = {"name": label, "loss": name, "options": options, "inputs": inputs}
    case["source"] = f"{peer} {version} {function.what}"
    expect = expected(parsed(written(case, True)))
    if options["reduction"] == "none":
        case["upstream"] = tensor(rng.standard_normal(expect["value"].shape), of_input)
        expect = expected(parsed(written(case, True)))
    gradients = {key: tensor(array, number) for key, array in expect["gradients"].items()}
    case["expect"] = {"value": tensor(expect["value"], number), "gradients": gradients}
    case["source"] = case.pop("source")  # last
    print(f"a line for {file.path}:", file=sys.stderr)
    return written(case, file.spaced[-1])


def of_input(value):
    """An input: an integer, the shortest text of its f32, or "inf"."""
    if np.isinf(value):
        return str(value)
    return Number(str(int(value)) if np.issubdtype(type(value), np.integer) else str(np.float32(value)))


def tensor(array, text):
    return {"shape": list(array.shape), "data": [text(x) for x in array.ravel()]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--new", nargs="+", metavar=("LOSS", "OPTIONS"))
    parser.add_argument("--shape", default="7x13")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.new:
        name, options = [*arguments.new, "{}"][:2]
        shape = [int(n) for n in arguments.shape.split("x")]
        print(new_case(name, json.loads(options), shape, arguments.seed))
        return 0
    if arguments.self_test:
        failures = self_test()
        print("\n".join(failures) or "self-test: all noticed")
        return 1 if failures else 0
    files = [GoldenFile(name) for name in NAMES]
    failures, differences, tallies, peers = check(files, arguments.only, arguments.write)
    if arguments.write:
        for file in files:
            file.write()
    print(", ".join(f"{library} {importlib.metadata.version(library)}" for library in [*PEERS, "jax"]))
    for (file, name), tally in tallies.items():
        by = ", ".join(sorted(tally.peers)) + (tally.note and f"; {tally.note}")
        print(f"{file:11} {name:29} {tally.cases:3} cases  largest difference {tally.largest:7.1e}  {by}")
    by = ", ".join(f"{count} {peer}" for peer, count in peers.most_common())
    print(f"{sum(peers.values())} cases recomputed: {by}; {len(failures)} not")
    if not tallies:
        failures.append(f"no case of {arguments.only}")
    print("\n".join(failures + differences) or "all numbers are the stored ones, up to their rounding")
    if arguments.write:
        print(f"{len(differences)} tensors written again")
        differences = []
    return 1 if failures or differences else 0


if __name__ == "__main__":
    sys.exit(main())
