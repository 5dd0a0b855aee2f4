"""The losses over lists on LightGBM's ranking example: NDCG on its test queries, three seeds each, as JSON and as a table.

    cargo build --release
    python3 benches/ranking.py FOLDER [--device cpu] [--out benches/results/DATE-ranking.json]

FOLDER holds rank.train, rank.train.query, rank.test and rank.test.query of LightGBM's examples/lambdarank (MIT licence). For each loss
the settings are those of the grid below with the best NDCG@5 on queries that are held back from rank.train, a fifth of them, a mean of
five seeds that choose the fifth and the first weights. With them it is trained on all of rank.train and tested once per seed on rank.test,
which chooses nothing. NDCG counts a query without a relevant document as 1, as LightGBM does; MRR counts it as 0.
"""

import argparse
import datetime
import itertools
import json
import pathlib
import statistics
import subprocess

LOSSES = (
    "lambda_rank approx_ndcg approx_mrr list_net list_mle ranking_softmax unique_softmax calibrated_softmax "
    "pairwise_logistic pairwise_hinge pairwise_soft_zero_one mse"
).split()
GRID = {"hidden": ["32", "64"], "learning-rate": ["0.001", "0.002"], "epochs": ["20", "40"], "l2": ["0.001", "0.01", "0.03"]}
CHOOSING_SEEDS = [101, 102, 103, 104, 105]
SEEDS = [1, 2, 3]
NAMES = ["ndcg_at_1", "ndcg_at_3", "ndcg_at_5", "ndcg_at_10", "mrr"]
PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target/release/gradus"


def train(program, arguments):
    command = [str(program), "train", *arguments, "--batch-size", "8", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def flags(settings):
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def choose(program, data, loss):
    """The settings with the best mean NDCG@5 on held-back training queries, and that mean."""
    best = None
    for values in itertools.product(*GRID.values()):
        settings = dict(zip(GRID, values))
        arguments = ["--data", data, "--loss", loss, "--device", "cpu", "--validation", "0.2", *flags(settings)]
        runs = [train(program, [*arguments, "--seed", str(seed)]) for seed in CHOOSING_SEEDS]
        found = statistics.mean(run["validation"]["ndcg_at_5"] for run in runs)
        if best is None or found > best[1]:
            best = (settings, found)
    return best


def row(program, folder, loss, device):
    settings, validation = choose(program, folder / "rank.train", loss)
    arguments = ["--data", folder / "rank.train", "--test", folder / "rank.test", "--loss", loss, "--device", device]
    arguments = [*map(str, arguments), "--validation", "0", *flags(settings)]
    runs = [train(program, [*arguments, "--seed", str(seed)]) for seed in SEEDS]
    tests = {name: [run["test"][name] for run in runs] for name in NAMES}
    seconds = statistics.mean(run["seconds"] for run in runs)
    return {"loss": loss, "settings": settings, "validation_ndcg_at_5": validation, "test": tests, "seconds": seconds}, runs[0]


def line(found):
    test = found["test"]
    means = [f"{statistics.mean(test[name]):.3f}" for name in NAMES]
    each = " ".join(f"{value:.3f}" for value in test["ndcg_at_5"])
    settings = ", ".join(f"{name} {value}" for name, value in found["settings"].items())
    return f"| `{found['loss']}` | {means[2]} | {each} | {' | '.join(means[:2] + means[3:])} | {found['validation_ndcg_at_5']:.3f} | {settings} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("losses", nargs="*", default=LOSSES)
    options = parser.parse_args()
    rows = []
    print("| loss | test NDCG@5 | seeds 1, 2, 3 | @1 | @3 | @10 | MRR | NDCG@5 held back | settings |")
    print("|---|---|---|---|---|---|---|---|---|")
    for loss in options.losses:
        found, run = row(options.program, options.folder, loss, options.device)
        rows.append(found)
        print(line(found), flush=True)
    if options.out:
        document = {
            "date": datetime.date.today().isoformat(),
            "command": f"python3 benches/ranking.py FOLDER --device {options.device}",
            "data": "LightGBM examples/lambdarank: 201 queries of 3,005 documents, tested on 50 of 768",
            "device": run["device"],
            "adapter": run["adapter"],
            "grid": GRID,
            "choosing_seeds": CHOOSING_SEEDS,
            "seeds": SEEDS,
            "rows": rows,
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
