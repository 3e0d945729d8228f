"""What a report is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from npgpt.arrays import Tokens
from npgpt.config import Config
from npgpt.model.parameters import Parameters
from npgpt.trace import Recorder


class Pass(NamedTuple):
    """One recorded pass over one text: everything of it, without a past.

    tokens (1, n); name: what a token is called, by its id.
    """

    trace: Recorder
    tokens: Tokens
    parameters: Parameters
    config: Config
    name: Callable[[int], str]
