"""A row of tokens while it grows."""

import sys
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """The tokens of one row so far, and how many of them are the prompt.

    prompt: the place of its prompt among the prompts. limit: the most tokens that it may have.

    >>> Row([5, 6, 7], prompt_length=2).new
    [7]
    """

    tokens: Sequence[int]
    prompt_length: int
    prompt: int = 0
    limit: int = sys.maxsize

    @property
    def new(self) -> Sequence[int]:
        """The tokens that were generated."""
        return self.tokens[self.prompt_length :]

    def followed_by(self, token: int) -> "Row":
        """The row with one more token.

        >>> Row([5], prompt_length=1).followed_by(6).tokens
        [5, 6]
        """
        return self._replace(tokens=[*self.tokens, token])
