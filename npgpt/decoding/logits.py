"""Checking what `next_step` gave before a decoder believes it."""

from collections.abc import Sequence

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.problem import Problem
from npgpt.decoding.prompts import check_vocabulary
from npgpt.decoding.step import Step
from npgpt.errors import NonFiniteError, SettingError


def checked(
    step: Step,
    problem: Problem,
    places: Sequence[int],
    *,
    done: int = 0,
    width: int | None = None,
    source: str = "next_step",
) -> Step:
    """The step, if its logits, and the negative prompt's, are what `checked_logits` takes.

    places: the prompts of the rows asked about; done: how many tokens they have generated. source:
    who gave it, for errors.
    """
    if not isinstance(step, Step):
        raise SettingError(f"{source} gave {step!r}; it must give a Step(logits, hidden, state)")
    for logits in (step.logits, step.negative):
        if logits is not None:
            found = checked_logits(logits, problem, places, step=done, width=width, source=source)
            width = found.shape[1]
    return step


def checked_logits(
    logits: Array,
    problem: Problem,
    running: Sequence[int],
    *,
    step: int,
    width: int | None,
    source: str = "next_step",
) -> Array:
    """The logits, if they are floats (running, width) without NaN.

    running: the prompts' places of the rows asked about. width: the columns of the step before,
    None at the first step, which shows the vocabulary where the caller did not know it.

    Raises SettingError for the wrong shape or kind, NonFiniteError for NaN, and at the first step
    what `check_vocabulary` raises.
    """
    size = problem.vocab_size
    got = f"{source} gave logits of shape {np.shape(logits)} for {len(running)} rows"
    if np.ndim(logits) != 2 or len(logits) != len(running):
        raise SettingError(f"{got}; it must give (rows, vocabulary), the last token's alone")
    if not isinstance(logits, np.ndarray) or logits.dtype.kind != "f":
        kind = getattr(logits, "dtype", type(logits).__name__)
        raise SettingError(f"{source} gave logits of kind {kind}; it must give an array of floats")
    if width is None:
        if size is not None and logits.shape[1] < size:
            raise SettingError(f"{got}, too narrow for a vocabulary of {size}; give its true size")
        check_vocabulary(problem.prompts, problem.settings, size or logits.shape[1])
    elif logits.shape[1] != width:
        raise SettingError(f"{got}, but {width} columns before; the vocabulary must not change")
    for place, row in zip(running, logits, strict=True):
        if np.isnan(row).any():
            token = int(np.isnan(row).argmax())
            raise NonFiniteError(
                f"{source} gave NaN for token {token}, in row {place} at step {step}; look for "
                "NaN or overflow in the weights"
            )
    return logits
