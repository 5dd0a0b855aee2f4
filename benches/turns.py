#!/usr/bin/env python3
"""Measures two builds of the command in turns: a change that must not cost speed is compared with the commit before.

    benches/turns.py OLD NEW [--device gpu] [--rounds 3] [--seconds 100] [NAMES...]

Each round runs `gradus bench` of OLD, NEW and OLD again, so the machine's moods meet all three alike. A case's time is the
shortest of all rounds. The second run of OLD shows the noise: a case counts as slower if NEW ÷ OLD exceeds 1.03 times the
larger of 1 and OLD ÷ OLD. Prints each slower case and ends with 1 if there is one.
"""

import argparse
import json
import statistics
import subprocess
import sys


def measured(binary, options):
    command = [binary, "bench", *options.names, "--device", options.device, "--seconds", str(options.seconds), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {done.stderr}")
    rows = json.loads(done.stdout)
    return {(row["name"], tuple(row["shape"]), row["dtype"]): row["seconds_min"] for row in rows}


def shortest(rounds):
    return {case: min(times[case] for times in rounds if case in times) for times in rounds for case in times}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--device", default="gpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=100)
    options = parser.parse_args()
    old, new, again = [], [], []
    for _ in range(options.rounds):
        for binary, rounds in [(options.old, old), (options.new, new), (options.old, again)]:
            rounds.append(measured(binary, options))
    old, new, again = shortest(old), shortest(new), shortest(again)
    cases = sorted(set(old) & set(new) & set(again))
    ratios = {case: new[case] / old[case] for case in cases}
    noise = {case: again[case] / old[case] for case in cases}
    slower = [case for case in cases if ratios[case] > 1.03 * max(1.0, noise[case])]
    for case in slower:
        print(f"{case[0]} {list(case[1])} {case[2]}: new ÷ old {ratios[case]:.3f}, old ÷ old {noise[case]:.3f}, {old[case] * 1e3:.4f} ms")
    print(f"{len(cases)} cases on {options.device}: new ÷ old median {statistics.median(ratios.values()):.3f}, "
          f"old ÷ old median {statistics.median(noise.values()):.3f}; {len(slower)} slower")
    for case in sorted(set(old) ^ set(new)):
        print(f"only in {'old' if case in old else 'new'}: {case[0]} {list(case[1])} {case[2]}")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
