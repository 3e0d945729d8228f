"""What a Hypothesis strategy can reach, and what it shrinks to."""

import random
from collections.abc import Callable
from typing import TypeVar

from hypothesis import find, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def simplest(strategy: SearchStrategy[T], such_that: Callable[[T], bool]) -> T:
    """The example that `strategy` shrinks to; raises NoSuchExample where it reaches none."""
    search = settings(max_examples=2000, database=None)
    return find(strategy, such_that, settings=search, random=random.Random(0))
