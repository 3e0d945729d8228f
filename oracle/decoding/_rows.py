"""Rows of tokens on their way, and what they are turned into for vectorised work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

Settings: TypeAlias = Mapping[str, Any]
Tokens: TypeAlias = Sequence[int]


@dataclass(frozen=True)
class Row:
    """One row: tokens (prompt and generated), where generated ones start, where they must end.

    prompt: the index of its prompt. negative: the negative prompt's tokens.
    """

    tokens: tuple[int, ...]
    start: int
    limit: int
    prompt: int
    negative: tuple[int, ...]

    @property
    def generated(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return self.tokens[self.start :]

    @property
    def negative_context(self) -> tuple[int, ...]:
        """What guidance steers away from: the negative prompt, then what was generated."""
        return self.negative + self.generated

    def then(self, *tokens: int) -> "Row":
        """This row with tokens after it."""
        return replace(self, tokens=self.tokens + tokens)


def start_rows(
    prompts: Sequence[Tokens],
    settings: Settings,
    *,
    negative_prompts: Sequence[Tokens] | None = None,
    copies: int = 1,
) -> list[Row]:
    """A row for each prompt (`copies` of each, side by side) with nothing generated yet.

    The limit is the smaller of max_length and prompt + max_new_tokens, of those that are set.
    Without a negative prompt the last token of the prompt is one.

    >>> [(row.tokens, row.limit) for row in start_rows([[5], [5, 6]], {"max_new_tokens": 3})]
    [((5,), 4), ((5, 6), 5)]
    """
    rows = []
    for index, prompt in enumerate(prompts):
        ends = [settings.get("max_length"), _plus(settings.get("max_new_tokens"), len(prompt))]
        limit = min(end for end in ends if end is not None)
        negative = prompt[-1:] if negative_prompts is None else negative_prompts[index]
        row = Row(tuple(prompt), len(prompt), limit, index, tuple(negative))
        rows += [row] * copies
    return rows


def _plus(count: int | None, length: int) -> int | None:
    return None if count is None else length + count


def ids(value: int | Sequence[int] | None) -> list[int]:
    """One id, several, or none, as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


def right_aligned(rows: Sequence[Tokens], device: torch.device) -> Tensor:
    """The rows as integers (rows, longest), with -1 before the shorter ones.

    >>> right_aligned([[4, 5], [6]], torch.device("cpu")).tolist()
    [[4, 5], [-1, 6]]
    """
    width = max(map(len, rows), default=0)
    full = [[-1] * (width - len(row)) + list(row) for row in rows]
    return torch.tensor(full, dtype=torch.int64, device=device).reshape(len(rows), width)


def ends_with(rows: Sequence[Tokens], ending: Tokens, device: torch.device) -> Tensor:
    """Whether each row's last tokens are `ending`: bool (rows,). Every row ends with nothing.

    >>> ends_with([[4, 5], [5]], [4, 5], torch.device("cpu")).tolist()
    [True, False]
    """
    tokens = right_aligned(rows, device)
    if tokens.shape[1] < len(ending):
        return torch.zeros(len(rows), dtype=torch.bool, device=device)
    last = tokens[:, tokens.shape[1] - len(ending) :]
    wanted = torch.tensor(list(ending), dtype=torch.int64, device=device)
    return (last == wanted).all(1)


def counts(rows: Sequence[Tokens], vocab: int, device: torch.device) -> Tensor:
    """How often each row holds each token: float64 (rows, vocab).

    >>> counts([[1, 1, 0], []], 3, torch.device("cpu")).tolist()
    [[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    tokens = right_aligned(rows, device)
    tokens = torch.where(tokens < 0, vocab, tokens)  # padding is counted in a column of its own
    found = torch.zeros(len(rows), vocab + 1, dtype=torch.float64, device=device)
    return found.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=torch.float64))[:, :vocab]
