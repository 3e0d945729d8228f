"""Proposals without a draft model: what followed the same tokens earlier in the row."""

from collections.abc import Sequence
from dataclasses import dataclass

from npgpt.decoding.problem import Problem
from npgpt.decoding.row import Row
from npgpt.decoding.stopping import stop_reason


def prompt_lookup(tokens: Sequence[int], count: int, *, longest: int) -> list[int]:
    """Up to `count` tokens that followed an earlier occurrence of the row's last tokens.

    With n = longest, n − 1, … 1: where the last n tokens also occur earlier (an occurrence may
    overlap them), what follows the leftmost occurrence; where no n finds one, nothing.

    Source: Saxena 2023, "Prompt Lookup Decoding".

    >>> prompt_lookup([1, 2, 3, 4, 9, 2, 3], 2, longest=2)
    [4, 9]
    >>> prompt_lookup([1, 2, 3], 2, longest=2)
    []
    """
    row = list(tokens)
    for size in range(min(longest, len(row) - 1), 0, -1):
        ending = row[-size:]
        for start in range(len(row) - size):
            if row[start : start + size] == ending:
                return row[start + size : start + size + count]
    return []


@dataclass(frozen=True)
class Lookup:
    """Proposes by `prompt_lookup`, until the first token that would end the row."""

    problem: Problem

    def of(self, rows: Sequence[int]) -> "Lookup":
        """Itself, which remembers nothing."""
        return self

    def propose(
        self, places: Sequence[int], rows: Sequence[Row]
    ) -> tuple[list[list[int]], "Lookup"]:
        """What `Proposer.propose` says.

        >>> from npgpt.decoding.problem import prepare
        >>> from npgpt.decoding.settings import Settings
        >>> settings = Settings(prompt_lookup_num_tokens=3, eos_token_id=4, max_length=9)
        >>> problem = prepare([1, 2, 3, 4, 1], settings)
        >>> Lookup(problem).propose([0], problem.rows)[0]
        [[2, 3]]
        """
        return [self._of_row(row) for row in rows], self

    def _of_row(self, row: Row) -> list[int]:
        settings, found = self.problem.settings, []
        for token in prompt_lookup(
            row.tokens,
            settings.prompt_lookup_num_tokens or 0,
            longest=settings.max_matching_ngram_size,
        ):
            row = row.followed_by(token)
            if stop_reason(self.problem, row) is not None:
                break
            found.append(token)
        return found
