"""A row of tokens while it grows."""

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """The tokens of one row so far, and how many of them are the prompt.

    >>> Row([5, 6, 7], prompt_length=2).new
    [7]
    """

    tokens: Sequence[int]
    prompt_length: int

    @property
    def new(self) -> Sequence[int]:
        """The tokens that were generated."""
        return self.tokens[self.prompt_length :]
