"""Problems for a decoder: a toy model, prompts, settings that fit together, uniforms.

Every setting that the named decoder minds is drawn, a few at a time. Nothing contradicts itself:
every id is in the vocabulary, every phrase has room. Hypothesis draws the names of the settings and
a seed; each value comes from the seed and its own name, so that a failing example loses settings
one by one while the others keep their values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from oracle.decoding._filters import WORTH_TRYING
from oracle.strategies._arrays import MAX_SEED, Array
from oracle.strategies._toy_language_models import LETTERS, ToyLanguageModel, toy_language_models

if TYPE_CHECKING:
    from oracle.strategies._wide_language_models import WideLanguageModel

DECODERS = (
    "greedy",
    "sampling",
    "beam search",
    "beam sampling",
    "diverse beam search",
    "constrained beam search",
    "contrastive search",
    "speculative decoding",
)
MAX_ROOM = 6
END = "eos_token_id"


@dataclass(frozen=True)
class AllowedTokens:
    """A prefix_allowed_tokens_fn: by turns one of these sets, which may be empty."""

    turns: tuple[tuple[int, ...], ...]

    def __call__(self, prompt: int, tokens: Sequence[int]) -> list[int]:
        """The ids allowed after these tokens, of the prompt of this index."""
        return list(self.turns[(prompt + len(tokens)) % len(self.turns)])


@dataclass(frozen=True)
class Leaning:
    """A logits processor, for arrays of any library: leans to the token that the length names."""

    amount: float

    def __call__(self, rows: Sequence[Sequence[int]], scores: Any) -> Any:
        """The scores, (rows, vocab), with `amount` more for token length mod vocab."""
        changed = scores + 0.0
        for i, row in enumerate(rows):
            changed[i, len(row) % scores.shape[1]] += self.amount
        return changed


@dataclass(frozen=True)
class DecodingProblem:
    """What to decode, and `settings` under Hugging Face's names that make `decoder` do it.

    uniforms: (rows, steps) or in beam sampling (prompts, steps, draws), where it draws; a row is
    prompt · num_return_sequences + copy. draft: for speculative decoding without prompt lookup.
    negative_prompts: where guidance has some.
    """

    decoder: str
    toy: "ToyLanguageModel | WideLanguageModel"
    prompts: tuple[tuple[int, ...], ...]
    settings: dict[str, Any]
    uniforms: Array | None
    draft: "ToyLanguageModel | WideLanguageModel | None"
    negative_prompts: tuple[tuple[int, ...], ...] | None


Maker = Callable[[Random, int], Any]


def _one_of(*values: Any) -> Maker:
    return lambda rng, vocab: rng.choice(values)


def _id(rng: Random, vocab: int) -> int:
    return rng.randrange(vocab)


def _ids(least: int, most: int) -> Maker:
    """Ids that may be equal."""
    return lambda rng, vocab: [rng.randrange(vocab) for _ in range(rng.randint(least, most))]


def _set(rng: Random, vocab: int, least: int = 1) -> list[int]:
    """Different ids, not all."""
    return sorted(rng.sample(range(vocab), rng.randint(least, vocab - 1)))


def _several(make: Maker, most: int) -> Maker:
    return lambda rng, vocab: [make(rng, vocab) for _ in range(rng.randint(1, most))]


def _id_or_set(rng: Random, n: int) -> Any:
    makers: list[Maker] = [_id, _set]
    return rng.choice(makers)(rng, n)


_BIASES = (1.0, -1.0, 0.5, -2.5)
# What each setting may be, given the number of tokens in the vocabulary.
ANY_DECODER: dict[str, Maker] = {
    "guidance_scale": _one_of(1.5, 3.0, 0.5, 0.0),
    "sequence_bias": lambda rng, n: {
        tuple(s): rng.choice(_BIASES) for s in _several(_ids(1, 3), 4)(rng, n)
    },
    "logit_bias": lambda rng, n: {v: rng.choice(_BIASES) for v in _set(rng, n)},
    "repetition_penalty": _one_of(2.0, 1.25, 0.5),
    "frequency_penalty": _one_of(1.0, 0.25, -0.5),
    "presence_penalty": _one_of(1.0, 0.25, -0.5),
    "no_repeat_ngram_size": _one_of(1, 2, 2, 3),
    "bad_words_ids": _several(_ids(1, 3), 3),
    "min_length": _one_of(1, 2, 3, 4, 5),
    "min_new_tokens": _one_of(1, 2, 3),
    "prefix_allowed_tokens_fn": lambda rng, n: AllowedTokens(
        tuple(tuple(_set(rng, n, rng.choice([0, 1, 1]))) for _ in range(rng.randint(1, 3)))
    ),
    "forced_bos_token_id": _id,
    "forced_eos_token_id": _id_or_set,
    "exponential_decay_length_penalty": lambda rng, n: (
        rng.randint(0, 3),
        rng.choice([1.5, 2.0, 0.5]),
    ),
    "suppress_tokens": _set,
    "begin_suppress_tokens": _set,
    "logits_processor": lambda rng, n: tuple(
        _several(lambda r, _: Leaning(r.choice(_BIASES)), 2)(rng, n)
    ),
    "stop_strings": _several(
        lambda rng, n: "".join(rng.choice(LETTERS[:n]) for _ in range(rng.randint(1, 2))), 2
    ),
    END: _id_or_set,
    "max_length": _id,  # more than the longest prompt has; in place of max_new_tokens
}
SAMPLING: dict[str, Maker] = {
    "temperature": _one_of(0.5, 2.0, 0.7, 1e-3),
    **{name: _one_of(*values) for name, values in WORTH_TRYING.items()},
    "num_return_sequences": _one_of(2, 3),
}
BEAMS: dict[str, Maker] = {
    "length_penalty": _one_of(0.0, 2.0, 0.5, -1.0),
    "early_stopping": _one_of(True, "never", False),
    "num_return_sequences": _one_of(1, 2),
}
# What a decoder minds beside ANY_DECODER, and what makes it run.
OPTIONAL: dict[str, dict[str, Maker]] = {
    "greedy": {},
    "sampling": SAMPLING,
    "beam search": BEAMS,
    "beam sampling": SAMPLING | BEAMS,
    "diverse beam search": BEAMS,
    "constrained beam search": BEAMS | {"force_words_in_prompt": _one_of(True)},
    "contrastive search": {},
    "speculative decoding": SAMPLING
    | {
        "do_sample": _one_of(True),
        "num_assistant_tokens": _one_of(1, 2, 3),
        "prompt_lookup_num_tokens": _one_of(1, 2, 3, 4),
        "max_matching_ngram_size": _one_of(1, 2, 3),
    },
}
REQUIRED: dict[str, dict[str, Maker]] = {
    "greedy": {},
    "sampling": {"do_sample": _one_of(True)},
    "beam search": {"num_beams": _one_of(2, 3, 4)},
    "beam sampling": {"do_sample": _one_of(True), "num_beams": _one_of(2, 3)},
    "diverse beam search": {
        "num_beams": _one_of(6, 12),
        "num_beam_groups": _one_of(2, 3, 6),
        "diversity_penalty": _one_of(1.0, 0.25, 5.0),
    },
    "constrained beam search": {"num_beams": _one_of(2, 3, 4), "force_words_ids": _id},
    "contrastive search": {
        "top_k": _one_of(2, 3, 4, 7),
        "penalty_alpha": _one_of(0.5, 1.0, 0.25),
    },
    "speculative decoding": {},
}


def settings_of(decoder: str) -> list[str]:
    """The names of all settings that may be left out of a problem for the decoder.

    >>> "top_p" in settings_of("sampling"), "top_p" in settings_of("greedy")
    (True, False)
    """
    return [*ANY_DECODER, *OPTIONAL[decoder]]


def build_problem(
    decoder: str,
    toy: ToyLanguageModel,
    lengths: Sequence[int],
    room: int,
    names: Sequence[str],
    seed: int,
    *,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> DecodingProblem:
    """The problem that `seed` makes of these settings and prompt lengths: the same on every run.

    given: settings whose values are not left to the seed.

    >>> from oracle.strategies._toy_language_models import build_toy
    >>> toy = build_toy("even", 0, 3, 1)
    >>> problem = build_problem("greedy", toy, [2], 4, ["repetition_penalty"], 0)
    >>> problem.prompts, problem.settings
    (((0, 0),), {'max_new_tokens': 4, 'repetition_penalty': 1.25})
    """
    n = toy.vocab_size
    prompts = tuple(
        tuple(Random(f"{seed} prompt {i}").choices(range(n), k=length))
        for i, length in enumerate(lengths)
    )
    made = ANY_DECODER | OPTIONAL[decoder] | REQUIRED[decoder]
    settings: dict[str, Any] = {"max_new_tokens": room}
    for name in [*REQUIRED[decoder], *names]:
        settings[name] = made[name](Random(f"{seed} {name}"), n)
    settings |= given
    _fit(settings, prompts, n, seed)
    most = max(room_of(prompt, settings) for prompt in prompts)
    rng = Random(f"{seed} beside")
    drafted = decoder == "speculative decoding" and "prompt_lookup_num_tokens" not in settings
    negatives = tuple(tuple(_ids(1, 3)(rng, n)) for _ in prompts)
    return DecodingProblem(
        decoder,
        toy,
        prompts,
        settings,
        _uniforms(uniforms_shape(settings, len(prompts), most), seed) if draws(settings) else None,
        rng.choice([toy, _shuffled(toy, rng)]) if drafted else None,
        rng.choice([None, negatives]) if "guidance_scale" in settings else None,
    )


@st.composite
def decoding_problems(
    draw: st.DrawFn,
    decoder: str,
    *,
    toys: st.SearchStrategy[ToyLanguageModel] | None = None,
    most_settings: int = 5,
    without: Sequence[str] = (),
) -> DecodingProblem:
    """A problem for the decoder; shrinks towards a prompt of one token, one more, nothing set.

    without: settings that are left out.
    """
    toy = draw(toy_language_models() if toys is None else toys)
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    free = [name for name in settings_of(decoder) if name not in (END, *without)]
    # Not unique=True, under which an example loses its names less readily.
    places = draw(st.lists(st.sampled_from(range(len(free))), max_size=most_settings))
    ends = END not in without and draw(st.booleans())
    room, seed = draw(st.integers(1, MAX_ROOM)), draw(st.integers(0, MAX_SEED))
    # Hypothesis prefers choices that went well before; all settings are to have their turn.
    turn = Random(f"{seed} turn").randrange(len(free)) if free else 0
    names = list(dict.fromkeys(free[(place + turn) % len(free)] for place in places))
    if ends:
        names.append(END)
    return build_problem(decoder, toy, lengths, room, names, seed)


def room_of(prompt: Sequence[int], settings: Mapping[str, Any]) -> int:
    """How many tokens may be generated after the prompt."""
    if "max_length" in settings:
        return settings["max_length"] - len(prompt)
    return settings["max_new_tokens"]


def draws(settings: dict[str, Any]) -> bool:
    """Whether the decoder of these settings needs uniforms."""
    return bool(settings.get("do_sample")) and settings.get("temperature") != 0


def _fit(settings: dict[str, Any], prompts: Sequence[Sequence[int]], vocab: int, seed: int) -> None:
    """Make what depends on other settings agree with them."""
    if "max_length" in settings:
        del settings["max_new_tokens"]
        settings["max_length"] += max(map(len, prompts)) + 1
    if "prompt_lookup_num_tokens" in settings:
        settings.pop("num_assistant_tokens", None)
    else:
        settings.pop("max_matching_ngram_size", None)
    if not {"num_beams", "penalty_alpha"} & set(settings) and set(SAMPLING) & set(settings):
        settings["do_sample"] = True  # without it they would change nothing
    room = min(room_of(prompt, settings) for prompt in prompts)
    for name, most in (("min_length", min(map(len, prompts)) + room), ("min_new_tokens", room)):
        if name in settings:
            settings[name] = min(settings[name], most)
    if "force_words_ids" in settings:
        settings["force_words_ids"] = _constraints(settings, vocab, room, seed)


def _constraints(settings: dict[str, Any], vocab: int, room: int, seed: int) -> list[Any]:
    ends = settings.get(END, [])
    ends = [ends] if isinstance(ends, int) else ends
    words = [v for v in range(vocab) if v not in ends]
    rng = Random(f"{seed} constraints")

    def phrase() -> list[int]:
        return rng.choices(words, k=rng.randint(1, min(room, 3)))

    def constraint() -> list[Any]:
        return phrase() if rng.random() < 0.5 else [phrase() for _ in range(rng.randint(1, 3))]

    return [constraint() for _ in range(rng.randint(1, 3))]


def _shuffled(toy: ToyLanguageModel, rng: Random) -> ToyLanguageModel:
    """A model that is often right about the toy: its distributions in another order."""
    return replace(toy, weights=tuple(rng.sample(toy.weights, len(toy.weights))))


def uniforms_shape(settings: Mapping[str, Any], prompts: int, room: int) -> tuple[int, ...]:
    """(rows, steps), or in beam sampling (prompts, steps, draws).

    >>> uniforms_shape({"num_return_sequences": 2}, 3, 5), uniforms_shape({"num_beams": 4}, 3, 5)
    ((6, 5), (3, 5, 8))
    """
    beams = settings.get("num_beams", 1)
    if beams == 1:
        return prompts * settings.get("num_return_sequences", 1), room
    eos = settings.get(END, [])
    ends = 1 if isinstance(eos, int) else len(eos)
    return prompts, room, max(2, 1 + ends) * beams


def _uniforms(shape: tuple[int, ...], seed: int) -> Array:
    """Numbers from 0 up to but not 1: any, or on the edges where shares often end."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["any", "eighths", "ends"], p=[0.6, 0.3, 0.1])
    if kind == "any":
        return rng.random(shape)
    if kind == "eighths":
        return rng.integers(0, 8, shape) / 8
    return rng.choice([0.0, 2.0**-53, 1 - 2.0**-53], shape)
