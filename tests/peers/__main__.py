"""Runs the calls that the peers' own tests make through gradus.

    python3 tests/peers pytorch keras optax sklearn --gradus target/release/gradus
    python3 tests/peers pytorch --device cpu --show 20

Each call that a test of the peer makes is made again by the peer in float64, and by `gradus eval` on each device. A call is right,
refused by an error that names what is not taken, or different; a difference that `accepted.py` does not name ends the run with 1.
"""

import argparse
import collections
import importlib
import json
import subprocess
import sys
import time

import accepted
from calls import Refused
from compare import difference

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", choices=list(PEERS))
    parser.add_argument("--gradus", default="target/release/gradus")
    parser.add_argument("--device", nargs="+", default=["reference", "cpu", "gpu"])
    parser.add_argument("--show", type=int, default=3, help="examples of each kind of refusal and difference")
    parser.add_argument("--keep", help="writes the calls of the run to this file")
    options = parser.parse_args()
    failed = False
    for peer in options.peers:
        start = time.monotonic()
        module = importlib.import_module({"keras": "keras_calls", "optax": "optax_calls", "sklearn": "sklearn_calls"}.get(peer, peer))
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
        if options.keep:
            with open(options.keep, "w") as file:
                json.dump([{"origin": call.origin, "case": made, "value": call.value, "gradients": call.gradients}
                           for (call, *_), made in zip(calls, cases)], file)  # fmt: skip
        for device in options.device:
            right, errors, differences, known = 0, collections.defaultdict(list), collections.defaultdict(list), collections.Counter()
            for (call, names, post), made, answer in zip(calls, cases, answers(options.gradus, device, cases), strict=True):
                if "error" in answer:
                    errors[call.function].append((answer["error"], made))
                    continue
                answer = post(answer) if post else answer
                found = judged(device, call, names, answer)
                reason = found and accepted.reason(call, made, found)
                if reason:
                    known[reason] += 1
                elif found:
                    differences[call.function].append((f"{found}; {call.origin}", made))
                else:
                    right += 1
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
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
