"""Beam searches written down plainly: one prompt, every candidate listed, every list sorted whole.

Whether a phrase is held, and how far, is asked of the whole text each time.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf
from typing import NamedTuple

from tests.helpers import slow_decoding as slow

Scores = Callable[[tuple[int, ...], Counter], Sequence[float]]


class Text(NamedTuple):
    """Generated tokens, the sum of their scores, and the place of each token's parent."""

    new: tuple[int, ...] = ()
    total: float = 0.0
    parents: tuple[int, ...] = ()


class Found(NamedTuple):
    text: Text
    score: float
    stopped: str
    unmet: bool
    step: int


def search(
    prompt: Sequence[int],
    scores_of: Scores,
    s: dict,
    *,
    room: int,
    spell: Sequence[str] = (),
    uniforms: Sequence[Sequence[float]] | None = None,
) -> list[Found]:
    """All that a search keeps, best first. scores_of(tokens, taken): the processed scores.

    taken: how often the earlier groups took each token in this step.
    """
    groups = s.get("num_beam_groups", 1)
    running, found = [[Text()] for _ in range(groups)], [[] for _ in range(groups)]
    for step in range(room):
        before, taken = [list(beams) for beams in running], Counter()
        for group in range(groups):
            if before[group]:
                place = sum(len(beams) for beams in before[:group])
                u = None if uniforms is None else uniforms[step]
                turn = _Turn(tuple(prompt), scores_of, s, room, spell, step, place, u)
                running[group], found[group] = turn.take(before[group], found[group], taken)
    assert not any(running)
    return rank(each for kept in found for each in kept)


def rank(found) -> list[Found]:
    return sorted(found, key=lambda each: (each.unmet, -each.score, each.step))


def normalised(total: float, length: int, s: dict) -> float:
    return total if total == 0 else total / float(length) ** s.get("length_penalty", 1.0)


class _Turn(NamedTuple):
    prompt: tuple[int, ...]
    scores_of: Scores
    s: dict
    room: int
    spell: Sequence[str]
    step: int
    place: int
    uniforms: Sequence[float] | None

    def take(self, beams, found, taken):
        s = self.s
        width = s["num_beams"] // s.get("num_beam_groups", 1)
        keep = max(2, 1 + len(s.get("eos_token_id", ()))) * width
        possible = []
        for index, beam in enumerate(beams):
            for token, score in enumerate(self.scores_of((*self.prompt, *beam.new), taken)):
                parents = (*beam.parents, self.place + index)
                after = Text((*beam.new, token), beam.total + score, parents)
                if score > -inf and (not self.ends(after) or self.met(after)):
                    possible.append(after)
        if not possible:
            ended = [self.found(beam, "no_candidates") for beam in beams]
            return [], rank([*found, *ended])[:width]
        top = possible if self.uniforms is None else drawn(possible, self.uniforms)
        top = sorted(top, key=lambda text: -text.total)[:keep]  # stable: beam, then id
        ended = [self.found(text, self.ends(text)) for text in top[:width] if self.ends(text)]
        going = [text for text in top if not self.ends(text)]
        if "force_words_ids" in s:
            helped = [text for text in possible if self.helps(text) and not self.ends(text)]
            going = self.by_banks({*going, *helped}, possible)
        going, found = going[:width], rank([*found, *ended])[:width]
        taken.update(text.new[-1] for text in going)
        if not going or self.over(found, going, width):
            return [], found
        if self.step + 1 == self.room:
            cut = [self.found(t, "length" if self.met(t) else "constraint_unmet") for t in going]
            return [], rank([*found, *cut])[:width]
        return going, found

    def found(self, text: Text, why: str) -> Found:
        score = normalised(text.total, len(text.new), self.s)
        return Found(text, score, why, not self.met(text), self.step)

    def ends(self, text: Text) -> str | None:
        if text.new[-1] in self.s.get("eos_token_id", ()):
            return "eos"
        spelt = "".join(self.spell[token] for token in text.new) if self.spell else ""
        return "stop_string" if any(x in spelt for x in self.s.get("stop_strings", ())) else None

    def over(self, found, going, width) -> bool:
        if len(found) < width:
            return False
        if self.s.get("early_stopping", False) is True:
            return True
        lengths = [self.step + 1]
        if self.s.get("early_stopping") == "never":
            lengths.append(self.room)
        best = max(text.total for text in going)
        return max(normalised(best, length, self.s) for length in lengths) <= found[-1].score

    def counted(self, new: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.prompt, *new) if self.s.get("force_words_in_prompt") else new

    def met(self, text: Text) -> bool:
        have = self.counted(text.new)
        return all(
            any(holds(have, phrase) for phrase in phrases)
            for phrases in self.s.get("force_words_ids", ())
        )

    def progress(self, new: tuple[int, ...]) -> int:
        have = self.counted(new)
        return sum(depth(have, phrases) for phrases in self.s["force_words_ids"])

    def helps(self, text: Text) -> bool:
        return self.progress(text.new) > self.progress(text.new[:-1])

    def by_banks(self, texts, order) -> list[Text]:
        have = {text: self.progress(text.new) for text in texts}
        left = sorted(texts, key=lambda text: (-text.total, order.index(text)))
        chosen = []
        while left:
            for most in sorted({have[text] for text in left}, reverse=True):
                first = next(text for text in left if have[text] == most)
                chosen.append(first)
                left.remove(first)
        return chosen


def holds(text: tuple[int, ...], phrase: Sequence[int]) -> bool:
    size = len(phrase)
    return any(text[at : at + size] == tuple(phrase) for at in range(len(text) - size + 1))


def depth(text: tuple[int, ...], phrases: Sequence[Sequence[int]]) -> int:
    """The longest phrase's length if the text holds one, else how far into one it ends."""
    if any(holds(text, phrase) for phrase in phrases):
        return max(len(phrase) for phrase in phrases)
    ends = [text[start:] for start in range(len(text) + 1)]
    return max(len(end) for end in ends for p in phrases if tuple(p[: len(end)]) == end)


def drawn(texts: list[Text], uniforms: Sequence[float]) -> list[Text]:
    """Texts drawn one after another from exact shares, in their own order."""
    totals = [text.total for text in texts]
    weights, chosen = slow.relative(totals), []
    for uniform in uniforms:
        whole, reached = sum(weights), Fraction(0)
        if not whole:
            break
        for index, weight in enumerate(weights):
            reached += weight
            if weight and slow.less(Fraction(uniform), reached / whole, slow.rounding(totals)):
                chosen.append(index)
                weights[index] = Fraction(0)
                break
    return [texts[index] for index in sorted(chosen)]
