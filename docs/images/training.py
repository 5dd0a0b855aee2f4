"""Draws docs/images/training.svg from the record of a training (`gradus train --log FILE`).

    python3 docs/images/training.py LOG "TITLE" > docs/images/training.svg

Left: training and validation loss of each epoch; right: accuracy on both. Nothing but Python is needed.
"""

import json
import math
import sys

WIDTH, HEIGHT, MARGIN, PANEL = 860, 340, 56, 350
TRAINING, VALIDATION = "#1f77b4", "#d62728"


def ticks(low, high):
    """Some five round numbers between two bounds."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = max(factor * power for factor in (1, 2, 5) if factor * power <= (high - low) / 3)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def panel(left, title, lines, labels, percent):
    top, bottom = 70, HEIGHT - 46
    values = [value for line in lines for value in line]
    spread = max(values) - min(values)
    low, high = min(values) - 0.08 * spread, max(values) + 0.08 * spread
    epochs = len(lines[0])

    def place(epoch, value):
        x = left + (epoch - 1) / max(epochs - 1, 1) * PANEL
        return x, bottom - (value - low) / (high - low) * (bottom - top)

    out = [f'<text x="{left}" y="{top - 14}" font-size="14" font-weight="bold">{title}</text>']
    for value in ticks(low, high):
        y = place(1, value)[1]
        label = f"{100 * value:.0f} %" if percent else f"{value:.2g}"
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + PANEL}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end" fill="#555">{label}</text>')
    for epoch in range(1, epochs + 1):
        x = place(epoch, low)[0]
        out.append(f'<text x="{x:.1f}" y="{bottom + 17}" font-size="11" text-anchor="middle" fill="#555">{epoch}</text>')
    out.append(f'<text x="{left + PANEL / 2}" y="{bottom + 36}" font-size="12" text-anchor="middle" fill="#555">epoch</text>')
    for line, label, colour in zip(lines, labels, (TRAINING, VALIDATION)):
        points = [place(epoch, value) for epoch, value in enumerate(line, 1)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        # Under the line that is lower at the end, above the other.
        lower = line[-1] <= min(other[-1] for other in lines)
        y += 18 if lower else -18
        out.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="end" fill="{colour}">{label}</text>')
    return out


def main():
    log, title = sys.argv[1:]
    with open(log, encoding="utf-8") as lines:
        epochs = [json.loads(line) for line in lines if line.strip()]
    column = lambda name: [epoch[name] for epoch in epochs]
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">')
    print(f'<title>{title}</title>\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    print(f'<text x="{MARGIN}" y="28" font-size="15">{title}</text>')
    labels = ("training", "validation")
    print("\n".join(panel(MARGIN, "loss", (column("loss"), column("val_loss")), labels, False)))
    print("\n".join(panel(2 * MARGIN + PANEL + 20, "accuracy", (column("accuracy"), column("val_accuracy")), labels, True)))
    print("</svg>")


if __name__ == "__main__":
    main()
