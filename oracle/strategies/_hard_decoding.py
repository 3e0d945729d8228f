"""Problems for a decoder that are each of one difficulty, which any problem seldom meets.

A difficulty names the settings that it is made of, draws their values, and a toy model and lengths
under which they matter. Hypothesis draws sizes and a seed, and all else comes from the seed.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import strategies as st

from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._decoding_problems import (
    END,
    DecodingProblem,
    build_problem,
    settings_of,
)
from oracle.strategies._toy_language_models import LETTERS, ToyLanguageModel, build_toy

# Two texts of near-tied tokens are at least 2^-bits apart in log-probability: in these claimed
# dtypes several hundred units of rounding, which is more than any decision is allowed to be off.
NEAR_TIE_BITS = {"float32": 12, "float64": 41}


@dataclass(frozen=True)
class Difficulty:
    """What makes a decoder go wrong.

    decoders: those that may. given(rng, vocab): the settings. toy(rng, vocab, ends, bits): the
    model; ends: the ids that end a text. lengths: of the prompts. room: least and most.
    """

    decoders: Sequence[str]
    needs: Sequence[str]
    given: Callable[[Random, int], dict[str, Any]]
    toy: Callable[[Random, int, Sequence[int], int], ToyLanguageModel]
    lengths: Sequence[int] = (1,)
    room: tuple[int, int] = (3, 6)


def _toy(
    rng: Random, vocab: int, weights: Sequence[Sequence[int]], steps: tuple[int, int] = (1, 2)
) -> ToyLanguageModel:
    """What follows depends on the last two tokens."""
    plain = build_toy("even", rng.randrange(MAX_SEED), vocab, 1)
    return replace(plain, weights=tuple(map(tuple, weights)), steps=steps)


def _flat(rng: Random, vocab: int, ends: Sequence[int], bits: int) -> ToyLanguageModel:
    """Tokens nearly, but hardly ever quite, as likely: beams change places often."""
    return _toy(rng, vocab, [[rng.randint(300, 999) for _ in range(vocab)] for _ in range(4)])


def _steep(rng: Random, vocab: int, ends: Sequence[int], bits: int) -> ToyLanguageModel:
    """Some tokens nearly certain, so that a longer text may win yet."""
    weights = [[_steeply(rng) for _ in range(vocab)] for _ in range(4)]
    return _toy(rng, vocab, weights)


def _steeply(rng: Random) -> int:
    return round(math.exp(rng.uniform(1, 9)))


def _ending(rng: Random, vocab: int, ends: Sequence[int], bits: int) -> ToyLanguageModel:
    """Texts that may well end at any step, or go on by what is nearly certain."""
    weights = [list(row) for row in _steep(rng, vocab, ends, bits).weights]
    for row in weights[::2]:
        for token in ends:
            row[token] = max(row) + _steeply(rng)
    return _toy(rng, vocab, weights)


def _lingering(rng: Random, vocab: int, ends: Sequence[int], bits: int) -> ToyLanguageModel:
    """An end is second-best for a while, then best: what ended early is worse than what goes on.

    Each token is followed by one that is nearly certain, but the last of them by an end.
    """
    chain = rng.sample([token for token in range(vocab) if token not in ends], vocab - len(ends))
    weights = [[rng.randint(1, 30) for _ in range(vocab)] for _ in range(vocab)]
    for token, after in pairwise(chain):
        weights[token][after] = rng.randint(700, 1500)
        for end in ends:
            weights[token][end] = rng.randint(50, 200)
    for end in ends:
        weights[chain[-1]][end] = rng.randint(2000, 9000)
    return _toy(rng, vocab, weights, steps=(1, 0))


def _near_ties(rng: Random, vocab: int, ends: Sequence[int], bits: int) -> ToyLanguageModel:
    weights = [[2**bits + n for n in rng.sample(range(vocab), vocab)] for _ in range(4)]
    return _toy(rng, vocab, weights)


def _stopping(rng: Random, vocab: int) -> dict[str, Any]:
    beams = rng.choice([2, 2, 3])
    return {
        END: rng.sample(range(vocab), rng.choice([1, 1, 2])),
        "num_beams": beams,
        "early_stopping": rng.choice(["never", "never", False, True]),
        "length_penalty": rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]),
        "num_return_sequences": rng.randint(1, beams),
    }


def _never(rng: Random, vocab: int) -> dict[str, Any]:
    return {
        END: [rng.randrange(vocab)],
        "num_beams": 2,
        "early_stopping": "never",
        "length_penalty": rng.choice([-3.0, -2.0]),
        "num_return_sequences": 2,
    }


def _many_ends(rng: Random, vocab: int) -> dict[str, Any]:
    return {
        END: rng.sample(range(vocab), vocab - 2),
        "num_beams": 2,
        "early_stopping": "never",
        "length_penalty": rng.choice([1.5, 2.0, 3.0]),
        "num_return_sequences": 2,
    }


def _penalties(rng: Random, vocab: int) -> dict[str, Any]:
    return {
        END: [rng.randrange(vocab)],
        "num_beams": 2,
        "length_penalty": rng.choice([-1.0, 0.5, 2.0]),
        "num_return_sequences": 2,
    }


def _warps(rng: Random, vocab: int) -> dict[str, Any]:
    return {
        "num_beams": 2,
        "do_sample": True,
        "temperature": rng.choice([0.5, 0.7, 2.0]),
        "top_k": vocab - rng.randint(0, 2),
    }


def _groups(rng: Random, vocab: int) -> dict[str, Any]:
    beams, groups = rng.choice([(4, 2), (6, 2), (6, 3)])
    penalty = rng.choice([0.25, 0.5, 1.0])
    given = {"num_beams": beams, "num_beam_groups": groups, "diversity_penalty": penalty}
    return given | {"num_return_sequences": beams}


def _shared_draws(rng: Random, vocab: int) -> dict[str, Any]:
    return {
        "do_sample": True,
        "num_return_sequences": 2,
        END: rng.sample(range(vocab), 2),
    }


def _heated(rng: Random, vocab: int) -> dict[str, Any]:
    given = {"do_sample": True, "temperature": rng.choice([0.5, 0.7, 2.0])}
    return given | rng.choice([{"top_k": rng.randint(2, vocab - 1)}, {"top_p": 0.62}])


def _drawn_ends(rng: Random, vocab: int) -> dict[str, Any]:
    given = _penalties(rng, vocab) | {"num_beams": rng.choice([2, 3]), "do_sample": True}
    return given | {"num_return_sequences": 1}


def _phrases(rng: Random, vocab: int) -> dict[str, Any]:
    """After 1, 1, 1 the phrase 1, 1, 2 is two tokens in yet."""
    twice, once, other = rng.sample(range(vocab), 3)
    again = [[twice, twice, once]]
    phrases = rng.choice([again, again, [[twice, once], [other]], [[once, other, twice]]])
    return {"num_beams": rng.choice([2, 3]), "force_words_ids": phrases, "num_return_sequences": 1}


def _guesses(rng: Random, vocab: int) -> dict[str, Any]:
    return {"do_sample": True, "num_assistant_tokens": rng.choice([2, 3, 4])}


def _stops(rng: Random, vocab: int) -> dict[str, Any]:
    pairs = [a + b for a in LETTERS[:vocab] for b in LETTERS[:vocab]]
    return {"stop_strings": rng.sample(pairs, len(pairs) // 3)}


DIFFICULTIES: dict[str, Difficulty] = {
    "stop strings": Difficulty(("greedy", "beam search"), ("stop_strings",), _stops, _flat, (2, 3)),
    "guidance": Difficulty(
        ("greedy", "beam search"),
        ("guidance_scale",),
        lambda rng, vocab: {"guidance_scale": rng.choice([1.5, 3.0, 0.5])},
        _flat,
        lengths=(2, 2),
    ),
    "near ties": Difficulty(
        ("greedy", "beam search"), (), lambda rng, vocab: {}, _near_ties, room=(1, 2)
    ),
    "reordering": Difficulty(
        ("beam search",),
        ("num_return_sequences",),
        lambda rng, vocab: {"num_beams": 3, "num_return_sequences": 3},
        _flat,
        room=(4, 6),
    ),
    "stopping": Difficulty(
        ("beam search",),
        (END, "early_stopping", "length_penalty", "num_return_sequences"),
        _stopping,
        _ending,
        room=(4, 8),
    ),
    "bounds": Difficulty(
        ("beam search",),
        (END, "early_stopping", "length_penalty", "num_return_sequences"),
        _never,
        _lingering,
        lengths=(1, 1, 1),
        room=(9, 12),
    ),
    "several ends": Difficulty(
        ("beam search",),
        (END, "early_stopping", "length_penalty", "num_return_sequences"),
        _many_ends,
        _ending,
        lengths=(1, 1),
    ),
    "padding": Difficulty(
        ("beam search",),
        (END, "length_penalty", "num_return_sequences"),
        _penalties,
        _ending,
        lengths=(1, 2, 4),
    ),
    "ends": Difficulty(
        ("greedy",),
        (END,),
        lambda rng, vocab: {END: rng.sample(range(vocab), 2)},
        _ending,
        lengths=(1, 2, 3),
    ),
    "phrases": Difficulty(
        ("constrained beam search",), ("num_return_sequences",), _phrases, _flat, (1, 1), (4, 6)
    ),
    "shared draws": Difficulty(
        ("sampling",), ("num_return_sequences", END), _shared_draws, _flat, lengths=(1, 2)
    ),
    "heated": Difficulty(("sampling",), ("temperature", "top_k", "top_p"), _heated, _flat),
    "drawn ends": Difficulty(
        ("beam sampling",),
        (END, "length_penalty", "num_return_sequences"),
        _drawn_ends,
        _flat,
        room=(2, 4),
    ),
    "warps": Difficulty(
        ("beam sampling",), ("temperature", "top_k"), _warps, _flat, (1, 1), (3, 4)
    ),
    "groups": Difficulty(
        ("diverse beam search",), ("num_return_sequences",), _groups, _flat, (1, 1), (2, 4)
    ),
    "guesses": Difficulty(
        ("speculative decoding",),
        ("do_sample", "num_assistant_tokens"),
        _guesses,
        _flat,
        (1, 3),
        room=(4, 8),
    ),
    "cold": Difficulty(
        ("sampling",), ("temperature",), lambda rng, vocab: {"temperature": 0.0}, _flat
    ),
}


def build_hard(
    name: str, decoder: str, vocab: int, room: int, seed: int, *, bits: int
) -> DecodingProblem:
    """The problem of this difficulty that `seed` makes: the same on every run.

    >>> problem = build_hard("padding", "beam search", 4, 3, 0, bits=12)
    >>> [len(prompt) for prompt in problem.prompts], problem.settings["num_beams"]
    ([1, 2, 4], 2)
    """
    difficulty, rng = DIFFICULTIES[name], Random(f"{name} {seed}")
    given = difficulty.given(rng, vocab)
    toy = difficulty.toy(rng, vocab, given.get(END, ()), bits)
    problem = build_problem(decoder, toy, difficulty.lengths, room, (), seed, given=given)
    problem = replace(problem, settings=problem.settings | given)
    if problem.draft is None:
        return problem
    # Guesses are to be wrong now and then.
    return replace(problem, draft=replace(toy, weights=(*toy.weights[1:], toy.weights[0])))


def difficulties(decoder: str, known: Collection[str]) -> list[str]:
    """The difficulties of the decoder whose settings are all among those known.

    >>> difficulties("greedy", ["stop_strings"]), difficulties("contrastive search", [])
    (['stop strings', 'near ties'], [])
    """
    offered = {*settings_of(decoder), "do_sample"} & set(known)
    return [
        name
        for name, difficulty in DIFFICULTIES.items()
        if decoder in difficulty.decoders and set(difficulty.needs) <= offered
    ]


@st.composite
def hard_problems(
    draw: st.DrawFn, decoder: str, names: Sequence[str], *, bits: int = NEAR_TIE_BITS["float32"]
) -> DecodingProblem:
    """A problem for the decoder of one of these difficulties, each of them as often."""
    seed = draw(st.integers(0, MAX_SEED))
    # Hypothesis prefers choices that went well before; all difficulties are to have their turn.
    name = Random(f"{seed} difficulty").choice(names)
    vocab = draw(st.integers(4, len(LETTERS)))
    room = draw(st.integers(*DIFFICULTIES[name].room))
    return build_hard(name, decoder, vocab, room, seed, bits=bits)
