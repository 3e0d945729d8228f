"""Draw the curve of a training run.

python -m weights.plot weights/progress.jsonl weights/curve.png
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt


def draw(progress: Path, picture: Path) -> None:
    """Held-out bits per character against tokens read, one point a report."""
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    millions = [line["tokens"] / 1e6 for line in lines]
    bits = [line["held_out_bits_per_character"] for line in lines]
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(millions, bits, marker=".")
    axes.annotate(
        f"{bits[-1]:.3f}",
        (millions[-1], bits[-1]),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
    )
    axes.set_xlabel("million tokens read")
    axes.set_ylabel("bits per character")
    axes.set_title("Three held-out plays")
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the curve of a training run.")
    parser.add_argument("progress", type=Path, help="progress.jsonl of the run")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    given = parser.parse_args()
    draw(given.progress, given.picture)
