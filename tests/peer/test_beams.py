"""Searches with beams on random models, beside `generate` of transformers: tokens and scores.

Both versions are run with what is known to differ in when they stop put right (`stopping_alike`),
and version 5 gets its draws in the order in which 4.49 ranks them; `test_beam_differences.py` shows
each as it is.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oracle.strategies._weights import build_weights
from tests.helpers.beside_transformers import (
    TINY,
    NothingLeft,
    Pair,
    assert_same_scores,
    feed,
    one_eos,
    ours,
    theirs,
    tiny,
    verdict,
)
from tests.helpers.decision_verdicts import MATCH, MISMATCH, TIE, few_ties
from tests.helpers.shared_settings import MODELS, filters, prompts, settings_for
from tests.helpers.stopping_alike import stop_alike
from tests.helpers.transformers_gpt2 import VERSION, build

EXAMPLES = 50
models = st.integers(0, MODELS - 1).map(tiny)
only_449 = pytest.mark.skipif(VERSION[0] > 4, reason="version 5 has dropped this search")


@pytest.fixture(autouse=True)
def stopping_alike(monkeypatch):
    stop_alike(monkeypatch)


@st.composite
def beams(draw, *, groups=1, returned=True):
    count = groups * draw(st.integers(1 if groups > 1 else 2, 3))
    return {
        "num_beams": count,
        "num_return_sequences": draw(st.integers(1, count)) if returned else 1,
        "length_penalty": draw(st.sampled_from([1.0, 0.0, 0.5, 2.0, -1.0])),
        "early_stopping": draw(st.sampled_from([True, False, "never"])),
    }


def judged(verdicts, pair, run, wanted, asked, *, noise=0.0) -> None:
    eos = asked.get("eos_token_id") or []
    found = verdict(pair, lambda gpt: one_eos(run(gpt), eos).new, wanted.new)
    assert found != MISMATCH, (wanted, run(pair.gpt()))
    verdicts[found] += 1
    if found == MATCH:
        mine = run(pair.gpt())
        if not any(wanted.scores):
            mine = mine.without_steps()
        verdicts["tie"] += assert_same_scores(mine, wanted, pair, asked, noise=noise)


def test_beam_search():
    verdicts = Counter()

    @settings(max_examples=2 * EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts(most=2))
        asked = data.draw(settings_for(rows, beams=True)) | data.draw(beams())
        wanted = theirs(pair, rows, **asked)
        judged(verdicts, pair, lambda gpt: ours(gpt, rows, **asked), wanted, asked)

    agrees()
    assert few_ties(verdicts), verdicts


def test_a_wrong_length_is_noticed():
    """The judge judged: longer texts favoured where they are not to be."""
    row = [1, 2, 3]
    asked = {"num_beams": 3, "num_return_sequences": 3, "eos_token_id": [0, 2], "max_new_tokens": 6}
    found = Counter()
    for seed in range(MODELS):
        pair = tiny(seed)
        asked["suppress_tokens"] = [pair.pad]
        wanted = one_eos(theirs(pair, [row], **asked), [0, 2]).new

        def run(gpt, **more):
            return one_eos(ours(gpt, [row], **asked, **more), [0, 2]).new

        assert verdict(pair, run, wanted) == MATCH
        found[verdict(pair, lambda gpt, run=run: run(gpt, length_penalty=-3.0), wanted)] += 1
    assert found[MISMATCH], found
    assert not found[TIE], found


def test_beam_sampling_draw_for_draw():
    """torch.multinomial is fed npgpt's uniforms, wherever as many tokens are left as it draws."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts(most=2))
        asked = data.draw(settings_for(rows, beams=True)) | data.draw(beams())
        # Without an end of text theirs keeps two tokens at least, npgpt one.
        asked |= data.draw(filters()) if asked["eos_token_id"] else {}
        draws = max(2, 1 + len(asked["eos_token_id"] or ())) * asked["num_beams"]
        seed = data.draw(st.integers(0, 2**32 - 1))
        shape = len(rows), asked["max_new_tokens"], draws
        uniforms = np.random.default_rng(seed).random(shape)
        asked["do_sample"] = True
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, uniforms, ranked=VERSION[0] > 4)
            try:
                wanted = theirs(pair, rows, **asked)
            except NothingLeft:
                assume(False)
        judged(
            verdicts, pair, lambda gpt: ours(gpt, rows, uniforms=uniforms, **asked), wanted, asked
        )

    agrees()
    assert few_ties(verdicts), verdicts


@only_449
def test_diverse_beams():
    """Without the scores of each step: 4.49 mixes up which beams they are those of.

    Theirs is in float32, since in float64 it fails.
    """
    verdicts = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.data())
    def agrees(data):
        pair, rows = data.draw(models), data.draw(prompts(most=2))
        groups = data.draw(st.integers(2, 3))
        asked = data.draw(settings_for(rows, beams=True)) | data.draw(beams(groups=groups))
        asked["num_beam_groups"] = groups
        asked["diversity_penalty"] = data.draw(st.sampled_from([0.2, 1.0, 5.0]))
        single = pair.single()
        wanted = theirs(single, rows, **asked, unindexed=True)
        noise = max(
            pair.noise([*rows[index // asked["num_return_sequences"]], *new])
            for index, new in enumerate(wanted.new)
        )
        judged(verdicts, pair, lambda gpt: ours(gpt, rows, **asked), wanted, asked, noise=noise)

    agrees()
    assert few_ties(verdicts), verdicts


SMALL = TINY | {"vocab_size": 6}
WIDE = 5**3  # as many beams as there are texts of three tokens


@only_449
def test_constrained_beams_as_wide_as_the_tree():
    """There both find the best text that holds the phrases, unless 4.49 misses one in it."""
    verdicts = Counter()

    @settings(max_examples=EXAMPLES // 2, database=None)
    @given(st.data())
    def agrees(data):
        seed = data.draw(st.integers(0, MODELS - 1))
        weights = build_weights("trained", seed, SMALL)
        pair = Pair(weights, SMALL, build(weights, SMALL), SMALL["vocab_size"] - 1)
        one, two, three, four = data.draw(st.permutations(range(4)))
        phrases = data.draw(
            st.sampled_from([[[one]], [[one], [two]], [[one, two]], [[[one], [two, three]]]])
        )
        # 4.49 looks for phrases in the prompt, too.
        asked = {
            "force_words_ids": phrases,
            "num_beams": WIDE,
            "max_new_tokens": 3,
            "suppress_tokens": [pair.pad],
            "eos_token_id": data.draw(st.sampled_from([None, [4]])),
            "early_stopping": "never",
            "length_penalty": data.draw(st.sampled_from([0.0, 1.0])),
        }
        row = [4, 4, four]
        wanted = theirs(pair, [row], **asked, unindexed=True)
        best = ours(pair.gpt(), [row], **asked)
        assume(not _missed(best.new[0], phrases))
        judged(verdicts, pair, lambda gpt: ours(gpt, [row], **asked), wanted, asked)

    agrees()
    assert few_ties(verdicts), verdicts


def _missed(text, phrases) -> bool:
    """Whether 4.49 may miss a phrase: it was begun before, and broken off at its beginning."""
    firsts = {phrase[0] for phrase in phrases if not isinstance(phrase[0], list)}
    firsts |= {each[0] for phrase in phrases if isinstance(phrase[0], list) for each in phrase}
    return any(text[at] in firsts and text[at - 1] in firsts for at in range(1, len(text)))
