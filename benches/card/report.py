#!/usr/bin/env python3
"""Turns the results of run.sh into a table (table.md) and a roofline picture (roofline.svg).

    python3 benches/card/report.py RESULTS [--keep NAME]

--keep also copies the benchmark into benches/results and puts its headlines into benches/results/machines.json, where `gradus bench` shows
them beside its own. Needs Python 3.9 and nothing else.
"""

import argparse
import html
import json
import math
import pathlib
import re
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

# The headlines of machines.json, as src/bin/gradus/bench/machines.rs has them.
HEADLINES = [
    ("copy", [1 << 24]),
    ("mse", [1 << 24]),
    ("cross_entropy", [4096, 1000]),
    ("matmul", [1024, 1024, 1024]),
    ("train_step", [64, 784, 128, 10]),
    ("epoch", [10000, 64, 784, 10, 10]),
]
# The rows of the README's table.
ROWS = ["copy", "mse", "huber", "bce_with_logits", "cross_entropy", "matmul", "dense", "adam", "train_step", "epoch"]
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def load(folder, name):
    """A document of the results; None where its step left none."""
    try:
        return json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def shape_text(shape):
    if len(shape) == 1 and shape[0] >= 1024 and shape[0] & (shape[0] - 1) == 0:
        return "2" + str(shape[0].bit_length() - 1).translate(SUPERSCRIPTS)
    return "×".join(map(str, shape))


def time_text(seconds):
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        value = seconds * scale
        if value >= 1.0 or unit == "µs":
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:.{digits}f} {unit}"


def rate_text(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def share_text(row):
    for name, what in (("copy_fraction", "copy"), ("fma_fraction", "FMA")):
        if row.get(name) is not None:
            return f"{100 * row[name]:.{0 if row[name] >= 0.01 else 1}f} % of {what}"
    return ""


def pairs(rows):
    """The GPU's row and the CPU's of each case, in the order of the file."""
    found = {}
    for row in rows:
        found.setdefault((row["name"], tuple(row["shape"])), {})[row["device"]] = row
    return found


def checks(document):
    """A line for each run of `gradus check`."""
    lines = []
    for name, run in (document or {}).items():
        if run is None:
            lines.append(f"- check, {name}: **left no result**")
            continue
        wrong = [check["name"] for check in run["checks"] if not check["passed"]]
        result = f"**{len(wrong)} FAILED: {', '.join(wrong)}**" if wrong else "all passed"
        rest = f"; {len(run['left_out'])} names left out for time" if run.get("left_out") else ""
        lines.append(f"- check, {name}: {len(run['checks'])} checks, {result}{rest}")
    return lines or ["- check: **left no result**"]


def table(folder):
    """The page of a machine: where and when, correctness, speed, training, peers."""
    summary, rows = load(folder, "summary") or {}, load(folder, "bench") or []
    devices = load(folder, "devices") or {}
    lines = [f"# {devices.get('gpu') or 'no GPU'}", ""]
    processor = next((row["processor"] for row in rows if row.get("processor")), "processor unknown")
    threads = next((row["threads"] for row in rows), "?")
    lines += [f"gradus {summary.get('gradus')} ({summary.get('commit')}), {summary.get('date')}, {processor}, {threads} threads; "
              f"`benches/card/run.sh`, {summary.get('seconds')} s", ""]
    lines += checks(load(folder, "check"))
    failed = [step for step in summary.get("steps", []) if step["exit"] not in (0, None)]
    lines += [f"- step `{step['step']}` ended with {step['exit']} after {step['seconds']} s" for step in failed]
    missing = [step["step"] for step in summary.get("steps", []) if step["exit"] is None]
    lines += [f"- left out for time: {', '.join(missing)}"] if missing else []
    lines += ["", "| value and gradient | GPU | of what is possible | CPU beside it | CPU ÷ GPU |", "|---|---|---|---|---|"]
    for (name, shape), by_device in pairs(rows).items():
        if name not in ROWS or "gpu" not in by_device:
            continue
        gpu, cpu = by_device["gpu"], by_device.get("cpu")
        rate = f", {rate_text(gpu['gb_per_s'])} GB/s" if gpu["bound"] == "memory" and gpu.get("gb_per_s") else ""
        rate = rate or (f", {rate_text(gpu['gflop_per_s'])} GFLOP/s" if gpu.get("gflop_per_s") else "")
        beside = f"{time_text(cpu['seconds'])} | {cpu['seconds'] / gpu['seconds']:.2g}" if cpu else "|"
        lines.append(f"| `{name}` {shape_text(shape)} | {time_text(gpu['seconds'])}{rate} | {share_text(gpu)} | {beside} |")
    lines += training(load(folder, "training")) + peers(load(folder, "peers")) + tuner(load(folder, "tuning"), rows)
    return "\n".join(lines) + "\n"


def training(document):
    lines = []
    for name, run in (document or {}).items():
        if run:
            accuracy = (run.get("test") or {}).get("accuracy")
            result = f"{100 * accuracy:.1f} %" if accuracy is not None else ""
            lines.append(f"| {name} | {run['seconds']:.2f} s | {result} |")
    return ["", "| five epochs of 10,000 images | time | test accuracy |", "|---|---|---|", *lines] if lines else []


def peers(document):
    lines = []
    for case in (document or {}).get("cases", []):
        title = f"`{case['case']}` {shape_text(case['shape'])}"
        if "refused" in case:
            lines.append(f"| {title} | {case['peer']} | refused: {case['refused']} | | |")
            continue
        ours, theirs = (case["milliseconds"][side]["median"] / 1e3 for side in ("gradus", "peer"))
        lines.append(f"| {title} | {case['peer']} | {time_text(ours)} | {time_text(theirs)} | {case['ratio']:.2f} |")
    return ["", "| in turns with a peer | | gradus | peer | ratio |", "|---|---|---|---|---|", *lines] if lines else []


def tuner(document, rows):
    """The products with the tuner and without."""
    lines = []
    tuned = pairs(rows)
    for (name, shape), by_device in pairs((document or {}).get("without_tuner") or []).items():
        with_tuner = tuned.get((name, shape), {}).get("gpu")
        if with_tuner and "gpu" in by_device and with_tuner["bound"] == "arithmetic" and name != "fma":
            ratio = by_device["gpu"]["seconds"] / with_tuner["seconds"]
            lines.append(f"| `{name}` {shape_text(shape)} | {time_text(with_tuner['seconds'])} | {ratio:.2f} |")
    return ["", "| product | tuned | without the tuner, times as long |", "|---|---|---|", *lines] if lines else []


def roofline(rows):
    """Operations a second over operations a byte, with the ceilings of this device, as SVG."""
    rows = [row for row in rows if row["device"] == "gpu"]
    ceiling = lambda name: next((row for row in rows if row["name"] == name), None)
    copy, fma = ceiling("copy"), ceiling("fma")
    points = [row for row in rows if row.get("bytes") and row.get("flops") and row["name"] not in ("copy", "read", "fma")]
    if not (copy and fma and points):
        return None
    bandwidth, most = copy["gb_per_s"], fma["gflop_per_s"]
    intensity = lambda row: row["flops"] / row["bytes"]
    left, right = 10 ** math.floor(math.log10(min(map(intensity, points)))), 10 ** math.ceil(math.log10(max(map(intensity, points))))
    rates = [row["gflop_per_s"] for row in points]
    low, high = 10 ** math.floor(math.log10(min(rates))), 10 ** math.ceil(math.log10(max(*rates, most)))
    width, height, margin = 900, 560, 70
    x = lambda value: margin + (math.log10(value / left) / math.log10(right / left)) * (width - margin - 190)
    y = lambda value: height - margin - (math.log10(value / low) / math.log10(high / low)) * (height - 2 * margin)
    ridge = most / bandwidth
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{margin}" y="28" font-size="16">{html.escape(rows[0]["adapter"])}: {rate_text(bandwidth)} GB/s, '
           f'{rate_text(most)} GFLOP/s (f32), {html.escape(rows[0]["date"][:10])}</text>']
    value = left
    while value <= right * 1.001:
        out.append(f'<line x1="{x(value):.1f}" y1="{y(low):.1f}" x2="{x(value):.1f}" y2="{y(high):.1f}" stroke="#ddd"/>'
                   f'<text x="{x(value):.1f}" y="{height - margin + 18}" text-anchor="middle">{value:g}</text>')
        value *= 10
    value = low
    while value <= high * 1.001:
        out.append(f'<line x1="{x(left):.1f}" y1="{y(value):.1f}" x2="{x(right):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
                   f'<text x="{margin - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
        value *= 10
    corner = min(max(ridge, left), right)
    roof = [(max(left, low / bandwidth), None), (corner, None), (right, None)]
    path = " ".join(f"{x(at):.1f},{y(max(low, min(most, at * bandwidth))):.1f}" for at, _ in roof)
    out.append(f'<polyline points="{path}" fill="none" stroke="#2d7ddc" stroke-width="2.5"/>')
    taken = []
    for row in sorted(points, key=lambda row: row["gflop_per_s"]):
        at_x, at_y = x(intensity(row)), y(row["gflop_per_s"])
        out.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="#de7814"/>')
        text_y = at_y + 4
        # Names that would lie on one another are moved apart.
        while any(abs(text_y - other_y) < 12 and abs(at_x - other_x) < 190 for other_x, other_y in taken):
            text_y -= 12
        taken.append((at_x, text_y))
        out.append(f'<text x="{at_x + 8:.1f}" y="{text_y:.1f}">{html.escape(row["name"])} {shape_text(row["shape"])}</text>')
    out += [f'<text x="{width / 2 - 60}" y="{height - 22}" text-anchor="middle">operations a byte that must move</text>',
            f'<text x="18" y="{height / 2}" transform="rotate(-90 18 {height / 2})" text-anchor="middle">GFLOP/s</text>', "</svg>"]
    return "\n".join(out) + "\n"


def headline(rows, device):
    find = lambda name, shape: next(
        (row["seconds"] for row in rows if row["name"] == name and row["shape"] == shape and row["device"] == device), None)
    return [find(name, shape) for name, shape in HEADLINES]


def keep(rows, name, cpu):
    """Keeps a machine: its benchmark as a file of its own, its headlines in the list of machines."""
    date = rows[0]["date"][:10]
    file = REPOSITORY / "benches/results" / f"{date}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    file.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")
    path = REPOSITORY / "benches/results/machines.json"
    machines = json.loads(path.read_text())
    digits = lambda seconds: None if seconds is None else float(f"{seconds:.3g}")
    for device, called in [("gpu", name), ("cpu", cpu)]:
        seconds = [digits(found) for found in headline(rows, device)]
        if called and any(seconds):
            machines = [machine for machine in machines if machine["name"] != called]
            machines.append({"name": called, "date": date, "seconds": seconds})
    path.write_text("[\n" + ",\n".join(json.dumps(machine, ensure_ascii=False) for machine in machines) + "\n]\n")
    return [file, path]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--keep", metavar="NAME", help="the machine's name, 25 characters at the most")
    parser.add_argument("--keep-cpu", metavar="NAME", help="keeps its CPU too, under this name")
    options = parser.parse_args()
    for name in (options.keep, options.keep_cpu):
        if name and len(name) > 25:
            sys.exit(f"`{name}` has more than 25 characters")
    if not (options.results / "summary.json").exists():
        sys.exit(f"{options.results} holds no summary.json: run.sh has not ended there")
    written = [options.results / "table.md"]
    written[0].write_text(table(options.results))
    rows = load(options.results, "bench") or []
    picture = roofline(rows)
    if picture:
        written.append(options.results / "roofline.svg")
        written[1].write_text(picture)
    else:
        print("no picture: the benchmark has no copy, no FMA or nothing between them")
    if options.keep and rows:
        written += keep(rows, options.keep, options.keep_cpu)
    print("\n".join(map(str, written)))


if __name__ == "__main__":
    main()
