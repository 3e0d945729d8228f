"""Phrases that a text must hold: how far it has come, looked up in the text itself.

Source of the banks: Post and Vilar 2018, "Fast Lexically Constrained Decoding",
https://arxiv.org/abs/1804.06609.
"""

from collections.abc import Sequence

from oracle.decoding._rows import Row, Settings, Tokens

Phrase = Sequence[int]


def constraints_of(settings: Settings) -> list[list[Phrase]]:
    """Each constraint as the list of its alternative phrases.

    >>> constraints_of({"force_words_ids": [[1, 2], [[3], [4, 5]]]})
    [[[1, 2]], [[3], [4, 5]]]
    """
    given = settings.get("force_words_ids") or []
    return [[c] if isinstance(c[0], int) else list(c) for c in given]


def constrained_text(row: Row, settings: Settings) -> Tokens:
    """The part of the row in which phrases count."""
    return row.tokens if settings.get("force_words_in_prompt") else row.generated


def holds(text: Tokens, phrase: Phrase) -> bool:
    """Whether the phrase is a contiguous run of the text.

    >>> holds((1, 1, 2), [1, 2]), holds((1, 3, 2), [1, 2])
    (True, False)
    """
    size = len(phrase)
    return any(tuple(text[i : i + size]) == tuple(phrase) for i in range(len(text) - size + 1))


def fulfilled(text: Tokens, constraints: Sequence[Sequence[Phrase]]) -> bool:
    """Whether the text holds a phrase of every constraint."""
    return all(any(holds(text, phrase) for phrase in c) for c in constraints)


def progress(text: Tokens, constraints: Sequence[Sequence[Phrase]]) -> int:
    """How many tokens of the constraints the text has got: summed over them.

    A constraint that is met counts its longest phrase; another one the longest beginning of a
    phrase that the text ends with.

    >>> progress((1, 1), [[[1, 2]]]), progress((1, 2, 9), [[[1, 2]], [[3], [9, 9, 9]]])
    (1, 3)
    """
    return sum(_of_one(text, phrases) for phrases in constraints)


def _of_one(text: Tokens, phrases: Sequence[Phrase]) -> int:
    longest = max(map(len, phrases))
    if any(holds(text, phrase) for phrase in phrases):
        return longest
    sizes = range(min(longest, len(text)), 0, -1)
    ends = (n for n in sizes if any(tuple(text[-n:]) == tuple(p[:n]) for p in phrases))
    return next(ends, 0)
