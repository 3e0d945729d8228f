"""What speculative decoding may ask for, worked out from the finished row."""

from collections.abc import Callable, Sequence

Proposal = Callable[[Sequence[int]], list[int]]


def lookup(tokens: Sequence[int], count: int, longest: int) -> list[int]:
    """Of all earlier places of all endings: the longest ending's, then the leftmost."""
    n = len(tokens)
    places = [
        (-size, start)
        for size in range(1, longest + 1)
        for start in range(n)
        if start + size < n and tokens[start : start + size] == tokens[n - size :]
    ]
    if not places:
        return []
    size, start = min(places)
    return list(tokens[start - size : start - size + count])


def rounds(
    tokens: Sequence[int], prompt: int, propose: Proposal
) -> list[tuple[list[int], list[int]]]:
    """For each round the tokens that the row starts with, and what is proposed then.

    tokens: the whole row. The prompt's own reading decides the first new token; a row whose last
    token is decided is not asked about again.
    """
    found, done = [], prompt + 1
    while done < len(tokens):
        proposal = propose(tokens[:done])
        found.append((list(tokens[:done]), proposal))
        rest = tokens[done:]
        right = next((i for i, t in enumerate(proposal) if rest[i : i + 1] != [t]), len(proposal))
        done += right + 1
    return found


def guesses(
    tokens: Sequence[int], found: Sequence[tuple[list[int], list[int]]]
) -> list[int | None]:
    """For each new token of the row what had been proposed in its place; found: its `rounds`."""
    said: list[int | None] = [None]
    for start, proposal in found:
        for guess, token in zip([*proposal, None], tokens[len(start) :], strict=False):
            said.append(guess)
            if guess != token:
                break
    return said
