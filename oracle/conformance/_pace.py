"""Pace of a judgement: its time limit, whether it looks for causes, who hears how far it is."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


def _unheard(text: str) -> None:
    pass


@dataclass(frozen=True)
class Pace:
    """How a judgement spends its time.

    deadline: of time.monotonic, after which nothing further is asked; a call that runs is waited
    for. diagnosis: whether what fails is made small, placed and named. on_progress: is told in a
    few words what happens now.
    """

    deadline: float = math.inf
    diagnosis: bool = True
    on_progress: Callable[[str], None] = _unheard

    @property
    def over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self.deadline


UNHURRIED = Pace()
