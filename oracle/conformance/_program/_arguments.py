"""What options of the command line may be: numbers of examples, time limits, seeds."""

import argparse
import math

LARGEST_SEED = 2**64 - 1


def seconds(text: str) -> float:
    """A time limit."""
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time limit; give seconds above 0")
    return limit


def count(text: str) -> int:
    """A number of examples."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of examples; give 1 or more")
    return int(text)


def seed(text: str) -> int:
    """The number of which examples are drawn."""
    if not (text.isascii() and text.isdigit() and len(text) < 40 and int(text) <= LARGEST_SEED):
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed; give 0 to {LARGEST_SEED}")
    return int(text)
