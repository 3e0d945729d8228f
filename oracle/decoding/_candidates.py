"""What may follow the running beams in one step: ranked, or drawn and then ranked."""

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from oracle.decoding._choice import draw
from oracle.decoding._constraints import constrained_text, constraints_of, fulfilled, progress
from oracle.decoding._hypotheses import Beam, Search
from oracle.decoding._stepwise import ending


class Candidate(NamedTuple):
    """A beam (its index), the token after it, the total of both, and what became of the text.

    finish: "eos", "stop_string" or None. progress: of the constraints, 0 without any.
    """

    beam: int
    token: int
    total: float
    finish: str | None
    progress: int


def ranked(totals: Tensor, number: int | None = None) -> list[int]:
    """Flat indices of what is possible, best first, ties in order of beam and id; all or `number`.

    >>> ranked(torch.tensor([[0.0, -math.inf], [1.0, 0.0]]))
    [2, 0, 3]
    """
    values, order = torch.sort(totals.flatten(), descending=True, stable=True)
    return order[: int((values > -math.inf).sum())][:number].tolist()


def drawn(totals: Tensor, uniforms: Sequence[float]) -> tuple[list[int], float]:
    """Flat indices drawn without replacement from softmax(totals), one a uniform, and the slack.

    Each draw is from what is left, in order of beam and id; as many as there are. Ranked as
    `ranked` does. Source: Kool et al. 2019, https://arxiv.org/abs/1903.06059, section 2, for
    what sampling beams without replacement means.

    >>> drawn(torch.zeros(1, 3, dtype=torch.float64), [0.5, 0.5])[0]  # of 0 1 2, then of 0 2
    [1, 2]
    """
    left = totals.flatten()[None].clone()
    # As in any softmax over all, what has no mass beside the best is not there to be drawn.
    left = left.masked_fill((left - left.amax()).exp() == 0, -math.inf)
    best, found, slack = left.amax(), [], math.inf
    for u in uniforms:
        if not ((left - best).exp() > 0).any():
            break
        token, narrow = draw(left, torch.tensor([u], dtype=torch.float64))
        found.append(int(token))
        slack = min(slack, float(narrow))
        left[0, found[-1]] = -math.inf
    flat = totals.flatten()
    found.sort(key=lambda i: (-flat[i].item(), i))
    return found, slack


def by_banks(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
    """The best of each bank (those of equal progress) in turn, most progress first.

    >>> some = [Candidate(0, v, -v, None, p) for v, p in enumerate([0, 0, 1, 1, 2])]
    >>> [candidate.token for candidate in by_banks(some, 4)]
    [4, 2, 0, 3]
    """
    banks: dict[int, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda c: (-c.total, c.beam, c.token)):
        banks.setdefault(candidate.progress, []).append(candidate)
    found = [
        (place, -progress, candidate)
        for progress, bank in banks.items()
        for place, candidate in enumerate(bank)
    ]
    return [candidate for _, _, candidate in sorted(found, key=lambda f: f[:2])[:number]]


def narrowest(totals: Sequence[float]) -> float:
    """The smallest gap between neighbours among these numbers, sorted.

    >>> narrowest([5.0, 1.0, 2.5]), narrowest([1.0])
    (1.5, inf)
    """
    falling = sorted(totals, reverse=True)
    return min((a - b for a, b in pairwise(falling)), default=math.inf)


def candidates(
    search: Search, beams: list[Beam], totals: Tensor, uniforms: Sequence[float] | None
) -> tuple[list[Candidate], list[Candidate], float]:
    """The best candidates in order, those that only constraints bring in, and the least gap.

    The gap is between neighbours, in order of total, whose order or presence matters.
    """
    constraints, vocab = constraints_of(search.settings), totals.shape[1]
    if uniforms is not None:
        order, slack = drawn(totals, uniforms)
        best = [_candidate(search, beams, totals, i) for i in order]
        return best, [], min(2 * slack, _gap_that_matters(search, best))
    order = ranked(totals, None if constraints else search.kept + 1)
    every = (_candidate(search, beams, totals, i) for i in order)
    best = list(islice((c for c in every if c is not None), search.kept + 1))
    if not constraints:
        return best[: search.kept], [], _gap_that_matters(search, best)
    best, after = best[: search.kept], best[search.kept :]
    known = {(c.beam, c.token) for c in best}
    helpful = {token for phrases in constraints for phrase in phrases for token in phrase}
    more = []
    for b, beam in enumerate(beams):
        so_far = progress(constrained_text(beam.row, search.settings), constraints)
        for token in sorted(helpful):
            c = _candidate(search, beams, totals, b * vocab + token)
            possible = c is not None and c.total > -math.inf and not c.finish
            if possible and c.progress > so_far and (b, token) not in known:
                more.append(c)
    return best, more, narrowest([c.total for c in {*best, *after, *more}])


def _candidate(search: Search, beams: list[Beam], totals: Tensor, i: int) -> Candidate | None:
    """The candidate at a flat index; None where it would finish too early."""
    beam, token = divmod(i, totals.shape[1])
    row, constraints = beams[beam].row.then(token), constraints_of(search.settings)
    text = constrained_text(row, search.settings)
    end = ending(row, search.settings, search.text_of)
    finish = None if end == "length" else end
    if finish and not fulfilled(text, constraints):
        return None
    return Candidate(beam, token, totals[beam, token].item(), finish, progress(text, constraints))


def _gap_that_matters(search: Search, falling: list[Candidate]) -> float:
    """The least gap between neighbours, up to where neither finishing nor going on is left."""
    going_on = [i for i, c in enumerate(falling) if not c.finish]
    last = len(falling)
    if len(going_on) >= search.width:
        last = max(search.width, going_on[search.width - 1] + 1)
    return narrowest([c.total for c in falling[: last + 1]])
