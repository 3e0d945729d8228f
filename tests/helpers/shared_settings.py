"""Prompts, and settings that npgpt and transformers understand alike: strategies.

What they understand differently is in `peer/test_*_differences.py`, and is not drawn here.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.helpers.beside_transformers import PAD
from tests.helpers.transformers_gpt2 import VERSION

MODELS = 12
MAX_PROMPT, MAX_NEW = 5, 6
# Settings that see transformers' padding on the left.
SEE_PADS = {"no_repeat_ngram_size", "min_length", "forced_bos_token_id"}
if VERSION[0] == 4:
    SEE_PADS.add("repetition_penalty")
# transformers forgets one of these where there is the other, 4.49 makes NaN of a banned end, and
# neither knows what to do where all is banned.
APART = {
    "min_length": ("min_new_tokens",),
    "exponential_decay_length_penalty": (
        "min_length",
        "min_new_tokens",
        "bad_words_ids",
        "no_repeat_ngram_size",
        "suppress_tokens",
        "begin_suppress_tokens",
        "prefix_allowed_tokens_fn",
        "forced_bos_token_id",
        "forced_eos_token_id",
    ),
    "prefix_allowed_tokens_fn": ("no_repeat_ngram_size", "min_length", "min_new_tokens"),
    "forced_eos_token_id": ("suppress_tokens", "begin_suppress_tokens"),
    "forced_bos_token_id": ("suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id"),
}
NEED_EOS = ("min_length", "min_new_tokens", "exponential_decay_length_penalty")


@st.composite
def prompts(draw: st.DrawFn, *, most: int = 3) -> list[list[int]]:
    row = st.lists(st.integers(0, PAD - 1), min_size=1, max_size=MAX_PROMPT)
    rows = draw(st.lists(row, min_size=1, max_size=most))
    if draw(st.booleans()):
        shortest = min(map(len, rows))
        rows = [each[:shortest] for each in rows]
    return rows


def settings_for(
    rows: list[list[int]], *, beams: bool = False, guidance: bool = False
) -> st.SearchStrategy[dict[str, Any]]:
    """Settings of the processors; for beams those that leave more candidates than beams."""
    return _settings(len({len(row) for row in rows}) > 1, min(map(len, rows)), beams, guidance)


@st.composite
def _settings(
    draw: st.DrawFn, is_padded: bool, shortest: int, beams: bool, guidance: bool
) -> dict[str, Any]:
    eos = draw(st.lists(st.integers(0, PAD - 1), max_size=2, unique=True))
    more = draw(st.integers(1, MAX_NEW))
    makers = _makers(eos, more, shortest)
    if shortest > 1:
        del makers["forced_bos_token_id"]  # theirs is forced after a prompt of one token alone
    if is_padded:
        makers = {name: maker for name, maker in makers.items() if name not in SEE_PADS}
    if not eos:
        makers = {name: maker for name, maker in makers.items() if name not in NEED_EOS}
    unwanted = set() if guidance else {"guidance_scale"}
    if beams:
        unwanted |= {"prefix_allowed_tokens_fn", "forced_bos_token_id"}
        unwanted |= {"forced_eos_token_id"} if more == 1 else set()
    makers = {name: maker for name, maker in makers.items() if name not in unwanted}
    names = draw(st.lists(st.sampled_from(sorted(makers)), max_size=4, unique=True))
    for name, others in APART.items():
        if name in names:
            names = [each for each in names if each not in others]
    chosen = {name: draw(makers[name]) for name in names}
    chosen["suppress_tokens"] = [PAD, *chosen.get("suppress_tokens", [])]
    return {"eos_token_id": eos or None, "max_new_tokens": more, **chosen}


def _makers(eos: list[int], more: int, shortest: int) -> dict[str, st.SearchStrategy[Any]]:
    ids = st.integers(0, PAD - 1)
    # 4.49 leaves out a phrase that is longer than the row, though only its last token is missing.
    longest = min(3, shortest) if VERSION[0] == 4 else 3
    phrase = st.lists(ids, min_size=1, max_size=longest)
    harmless = phrase.filter(lambda each: each[-1] not in eos)
    some = st.lists(ids, min_size=1, max_size=2, unique=True)
    return {
        "repetition_penalty": st.sampled_from([0.7, 1.3, 2.5]),
        "no_repeat_ngram_size": st.integers(1, 3),
        "bad_words_ids": st.lists(harmless, min_size=1, max_size=3),
        "sequence_bias": st.dictionaries(
            phrase.map(tuple), st.sampled_from([-4.0, -0.5, 1.25, 3.0]), min_size=1, max_size=3
        ),
        "suppress_tokens": some,
        "begin_suppress_tokens": some,
        "min_new_tokens": st.integers(1, more),
        "min_length": st.integers(1, shortest + more),
        "forced_eos_token_id": ids if not eos else st.sampled_from([eos[0], eos]),
        "exponential_decay_length_penalty": st.tuples(
            st.integers(0, 3), st.sampled_from([0.8, 1.1, 1.6])
        ),
        "prefix_allowed_tokens_fn": st.integers(0, 9).map(_allowed),
        "guidance_scale": st.sampled_from([1.5, 3.0]),
        "forced_bos_token_id": ids,
    }


def _allowed(turn: int) -> Callable[[int, Any], list[int]]:
    """By the last token alone, since transformers shows the padding too."""

    def allowed(prompt: int, tokens: Any) -> list[int]:
        start = (int(tokens[-1]) * 7 + turn) % PAD
        return sorted({(start + step) % PAD for step in range(6)})

    return allowed


FILTERS = {
    "temperature": st.sampled_from([0.5, 0.9, 1.7]),
    "top_k": st.integers(1, PAD),
    "top_p": st.sampled_from([0.3, 0.75, 0.95]),
    "min_p": st.sampled_from([0.02, 0.1, 0.4]),
    "typical_p": st.sampled_from([0.2, 0.7, 0.95]),
    "epsilon_cutoff": st.sampled_from([0.01, 0.1]),
    "eta_cutoff": st.sampled_from([0.02, 0.3]),
}


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True))
    return {name: draw(FILTERS[name]) for name in names}
