"""Every decoder on the trained checkpoint, beside `generate` of transformers: tokens and scores.

As in test_beams.py, both stop alike, and version 5 gets its draws ranked.
"""

from collections import Counter

import numpy as np
import pytest

from tests.helpers.beside_transformers import (
    Found,
    assert_same_scores,
    feed,
    one_eos,
    ours,
    real,
    theirs,
    verdict,
)
from tests.helpers.decision_verdicts import MATCH, few_ties
from tests.helpers.stopping_alike import stop_alike
from tests.helpers.transformers_gpt2 import VERSION

NEW = 16
EOS = [3, 8597]
PAD = 9668
ROWS = [[2, 8225, 6160], [2], [2, 17, 8225, 40, 41, 17, 8225]]
only_449 = pytest.mark.skipif(VERSION[0] > 4, reason="version 5 has dropped this search")
COMMON = {"max_new_tokens": NEW, "eos_token_id": EOS, "suppress_tokens": [PAD]}

SINGLE = [
    {"bad_words_ids": [[17], [6160, 8225]], "sequence_bias": {(40,): 2.5, (8225, 17): 3.0}},
    {"guidance_scale": 1.8},
    {"exponential_decay_length_penalty": (4, 1.3)},
    {"forced_eos_token_id": 3, "begin_suppress_tokens": [17, 40], "min_new_tokens": 8},
]
SAMPLED = [
    {"temperature": 0.8, "typical_p": 0.6},
    {"min_p": 0.05, "top_k": 200},
    {"epsilon_cutoff": 0.002, "eta_cutoff": 0.01},
]
BEAMS = [
    {"num_beams": 4, "num_return_sequences": 4},
    {"num_beams": 5, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 3, "length_penalty": -0.5, "early_stopping": True, "min_new_tokens": 4},
]
# These see padding in theirs, or so far in 4.49: rows of one length.
EVEN = [
    {"no_repeat_ngram_size": 2, "num_beams": 4, "num_return_sequences": 2},
    {"no_repeat_ngram_size": 2, "repetition_penalty": 1.2},
    {"repetition_penalty": 1.4, "num_beams": 3, "min_length": 9},
]
CONTRASTIVE = [
    {"penalty_alpha": 0.6, "top_k": 4},
    {"penalty_alpha": 0.3, "top_k": 8, "bad_words_ids": [[17]]},
]


@pytest.fixture(autouse=True)
def stopping_alike(monkeypatch):
    stop_alike(monkeypatch)


def check(asked, rows, wanted, *, noise=0.0, **more) -> None:
    """Equal but for few ties; scores too, where `wanted` has any."""
    found = []

    def run(gpt):
        mine = ours(gpt, rows, **asked, **more)
        mine = one_eos(mine, EOS) if asked.get("num_beams", 1) > 1 else mine
        found.append(mine)
        return mine.new

    verdicts = Counter([verdict(real(), run, wanted.new)])
    assert few_ties(verdicts), (wanted.new, found[0].new)
    if verdicts[MATCH]:
        mine = found[0] if any(wanted.scores) else found[0].without_steps()
        other_sets = assert_same_scores(mine, wanted, real(), asked, noise=noise)
        assert other_sets <= 1


@pytest.mark.parametrize("asked", [*SINGLE, *BEAMS], ids=str)
def test_rows_of_any_length(asked):
    asked = COMMON | asked
    check(asked, ROWS, theirs(real(), ROWS, **asked))


@pytest.mark.parametrize("asked", EVEN, ids=str)
def test_rows_of_one_length(asked):
    asked, rows = COMMON | asked, [row[:3] for row in ROWS if len(row) > 1]
    check(asked, rows, theirs(real(), rows, **asked))


@pytest.mark.parametrize("asked", SAMPLED, ids=str)
@pytest.mark.parametrize("count", [1, 3], ids="{} beams".format)
def test_draw_for_draw(asked, count, monkeypatch):
    asked = COMMON | asked | {"do_sample": True, "num_beams": count}
    shape = (len(ROWS), NEW) if count == 1 else (len(ROWS), NEW, 3 * count)
    uniforms = np.random.default_rng(5).random(shape)
    feed(monkeypatch, uniforms, ranked=VERSION[0] > 4)
    check(asked, ROWS, theirs(real(), ROWS, **asked), uniforms=uniforms)


def test_prompt_lookup():
    asked = COMMON | {"prompt_lookup_num_tokens": 6, "max_matching_ngram_size": 3}
    each = [theirs(real(), [row], **asked) for row in ROWS]
    wanted = Found(
        tuple(one.new[0] for one in each),
        None,
        tuple(one.scores[0] for one in each),
        max(one.largest for one in each),
    )
    check(asked, ROWS, wanted)


@only_449
@pytest.mark.parametrize("asked", CONTRASTIVE, ids=str)
def test_contrastive_search(asked):
    asked = COMMON | asked
    check(asked, ROWS, theirs(real(), ROWS, **asked).without_steps())


@only_449
def test_diverse_beams():
    asked = COMMON | {"num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 0.8}
    asked["num_return_sequences"] = 4
    wanted = theirs(real().single(), ROWS, **asked, unindexed=True)
    noise = max(real().noise([*ROWS[index // 4], *new]) for index, new in enumerate(wanted.new))
    check(asked, ROWS, wanted, noise=noise)


WORDS = {"num_beams": 6, "max_new_tokens": 8}


@only_449
@pytest.mark.parametrize(
    "phrases", [[[40]], [[8225, 17]], [[40], [50]], [[[40, 41], [50]]]], ids=str
)
def test_constrained_beams(phrases):
    """npgpt keeps more candidates that hold nothing new; it makes no difference here."""
    rows = [[2], [2, 6160, 55]]  # 4.49 would find phrases in the prompt, too
    asked = COMMON | WORDS | {"force_words_ids": phrases}
    check(asked, rows, theirs(real(), rows, **asked, unindexed=True))


@only_449
def test_phrases_of_different_lengths():
    """A short phrase counts as much as the longest one in 4.49, and in npgpt as its tokens."""
    asked = COMMON | WORDS | {"force_words_ids": [[40], [8225, 17]]}
    (wanted,) = theirs(real(), [[2]], **asked, unindexed=True).new
    (found,) = ours(real().gpt(), [[2]], **asked).new
    assert wanted[-3:] == (8225, 17, 40)
    assert found[-3:] == (40, 8225, 17)
