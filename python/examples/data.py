"""Data of the examples: IDX files, and lines of text with what they were cut from."""

import gzip
import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "data" / "fashion-mnist-12k"


def idx(path):
    """The array of an IDX file, which may be compressed."""
    path = Path(path)
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def images(folder=SHIPPED):
    """Training and test images, uint8 [rows, 28, 28, 1], with their labels."""

    def part(name):
        found = [next(Path(folder).glob(f"{name}-{what}-*")) for what in ("images", "labels")]
        x, y = map(idx, found)
        return x[..., None], y.astype(np.int64)

    return *part("train"), *part("t10k")


def lines(root=ROOT):
    """Lines of this repository with their language, in a fixed random order: rows for training and
    for testing, from different files."""
    kinds = ["*.md", "*.rs", "*.wgsl", "*.py"]
    texts, labels, held = [], [], []
    for label, kind in enumerate(kinds):
        files = [f for f in sorted(root.rglob(kind)) if not {"target", ".venv"} & set(f.parts)]
        for number, file in enumerate(files):
            text = file.read_text(encoding="utf-8", errors="replace")
            found = [line.strip() for line in text.splitlines() if len(line.split()) > 2]
            texts += found
            labels += [label] * len(found)
            held += [number % 5 == 0] * len(found)
    order = np.random.default_rng(0).permutation(len(texts))
    labels, held = np.array(labels)[order], np.array(held)[order]
    texts = [texts[row] for row in order]
    train = [text for text, is_held in zip(texts, held) if not is_held]
    test = [text for text, is_held in zip(texts, held) if is_held]
    return (train, labels[~held]), (test, labels[held]), ["Markdown", "Rust", "WGSL", "Python"]


def words(text):
    """Words and signs of a text."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


class Vocabulary:
    """Ids of the most frequent words; 0 is padding, 1 every other word."""

    def __init__(self, texts, size):
        counts = {}
        for text in texts:
            for word in words(text):
                counts[word] = counts.get(word, 0) + 1
        most = sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]
        self.ids = {word: place + 2 for place, word in enumerate(most)}

    def __call__(self, texts, length):
        rows = np.zeros((len(texts), length), np.float32)
        for row, text in zip(rows, texts):
            found = [self.ids.get(word, 1) for word in words(text)[:length]]
            row[: len(found)] = found
        return rows
