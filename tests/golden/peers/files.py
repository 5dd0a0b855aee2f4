"""The golden files as text: one case a line, and each number as it was written.

A number is kept as a `Number`, a float that knows its text, so that a file written again is the same byte for byte.
"""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
NAMES = ["pointwise", "binary", "classes", "boxes", "embeddings", "ranking", "linear", "preference", "sequence"]
NAMES += ["optimizers", "schedules"]


class Number(float):
    def __new__(cls, text):
        made = super().__new__(cls, text)
        made.text = text
        return made


def parsed(line):
    return json.loads(line, parse_int=Number, parse_float=Number)


def written(value, is_spaced):
    """JSON with or without spaces after commas and colons, as the line had it."""
    comma, colon = (", ", ": ") if is_spaced else (",", ":")
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)}{colon}{written(item, is_spaced)}" for key, item in value.items())
        return "{" + comma.join(pairs) + "}"
    if isinstance(value, list):
        return "[" + comma.join(written(item, is_spaced) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_spaced(line):
    return line.startswith('{"name": ')


class GoldenFile:
    def __init__(self, name):
        self.name, self.path = name, FOLDER / f"{name}.json"
        lines = self.path.read_text().split("\n")
        if lines[0] != "[" or lines[-2:] != ["]", ""]:
            raise ValueError(f"{self.path}: a line [, one line for each case, a line ]")
        lines = [line.removesuffix(",") for line in lines[1:-2]]
        self.cases = [parsed(line) for line in lines]
        self.spaced = [is_spaced(line) for line in lines]
        for case, spaced, line in zip(self.cases, self.spaced, lines):
            if written(case, spaced) != line:
                raise ValueError(f"{self.path}: {case['name']} would not be written as it stands")

    def write(self):
        lines = [written(case, spaced) for case, spaced in zip(self.cases, self.spaced)]
        self.path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def number_text(value, is_spaced=True):
    """A result with 12 digits; NaN and infinities as strings."""
    value = float(value)
    if value != value:
        return "NaN"
    if abs(value) == float("inf"):
        return "inf" if value > 0 else "-inf"
    short = f"{value:.12g}"
    return repr(float(short)) if is_spaced else short


def number(value, is_spaced=True):
    text = number_text(value, is_spaced)
    return text if text in ["NaN", "inf", "-inf"] else Number(text)
