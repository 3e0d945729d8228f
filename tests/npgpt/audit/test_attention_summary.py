import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt.audit._attention_summary import (
    attention_entropy,
    attention_to_first,
    attention_to_previous,
    induction_score,
)
from npgpt.errors import PromptError
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays, shapes
from npgpt.trace import Recorder
from oracle.bounds._compare import excess
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import traced_models

VOCAB, POSITIONS = 9, 17
# The first token stands there once: a first position copies itself for want of another.
TOKENS = np.array([[8, 3, 1, 4, 0, 5, 2, 7, 6, 3, 1, 4, 0, 5, 2, 7, 6]])
SHARP = 100.0  # the gain of queries: what is looked at at all is looked at wholly


def by_hand(*, with_previous_token_head):
    """Two layers of one head, the features one-hot: token, position, the token before.

    Layer 0 looks at the position before, and notes its token. Layer 1 looks where the note is its
    own token: at what followed that token.
    """
    embd = 2 * VOCAB + POSITIONS
    config = Config(
        vocab_size=VOCAB, n_positions=POSITIONS, n_embd=embd, n_layer=2, n_head=1, n_inner=1
    )
    arrays = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    token, position = np.arange(VOCAB), VOCAB + np.arange(POSITIONS)
    note = VOCAB + POSITIONS + np.arange(VOCAB)
    query, key, value = 0, embd, 2 * embd
    arrays["wte.weight"][token, token] = 1
    arrays["wpe.weight"][np.arange(POSITIONS), position] = 1
    for name in ("h.0.ln_1", "h.1.ln_1", "h.0.ln_2", "h.1.ln_2", "ln_f"):
        arrays[f"{name}.weight"][:] = 1
    if with_previous_token_head:
        attn = arrays["h.0.attn.c_attn.weight"]
        attn[position[1:], query + position[:-1]] = SHARP
        attn[position, key + position] = 1
        attn[token, value + note] = 1
        arrays["h.0.attn.c_proj.weight"][note, note] = 1
    attn = arrays["h.1.attn.c_attn.weight"]
    attn[token, query + token] = SHARP
    attn[note, key + token] = 1
    return from_arrays(arrays, config), config


@pytest.mark.parametrize("has_one", [True, False])
def test_the_score_finds_the_induction_head_that_was_planted(has_one):
    recorder = Recorder(("pattern", "scores", "query", "key"))
    forward(TOKENS, *by_hand(with_previous_token_head=has_one), tap=recorder)
    first, second = (induction_score(recorder["pattern", layer], TOKENS) for layer in (0, 1))
    if not has_one:
        # Nothing is noted, so layer 1 looks at all that it may alike: at one of i + 1 positions.
        queries = range(9, 17)
        expected = math.fsum(1 / (i + 1) for i in queries) / len(queries)
        # A score is off by a few roundings of its terms, and what is looked at by as much.
        query, key = (np.abs(recorder[name, 1]) for name in ("query", "key"))
        size = (query @ key.swapaxes(-1, -2)).max()
        allowed = gamma(8 * query.shape[-1], np.float64) * (1 + size)
        assert excess(second, np.array([[expected]]), allowed) <= 1
        return
    # What it looks at besides is below the number of keys times exp(-gap).
    scores = np.sort(recorder["scores", 1][0, 0, 9:], axis=-1)
    gap = (scores[:, -1] - scores[:, -2]).min()
    assert gap > SHARP
    lost = POSITIONS * math.exp(-gap) + gamma(4 * POSITIONS, np.float64)
    assert excess(second, np.ones((1, 1)), lost) <= 1
    assert first[0, 0] <= lost  # the head that looks one back is not one of them
    before = attention_to_previous(recorder["pattern", 0])[0, 0]
    assert np.isnan(before[0])
    assert excess(before[1:], np.ones(POSITIONS - 1), lost) <= 1


@whole_models
@given(st.data(), traced_models(n_layer=1))
def test_each_summary_is_its_sum_written_out(data, traced):
    """Also of the last queries only, as with a cache."""
    _, tokens, trace = traced
    last = data.draw(st.integers(1, tokens.shape[1]))
    pattern = trace["pattern", 0][:, :, -last:]
    batch, heads, query, key = pattern.shape
    spread, first, before = (
        attention_entropy(pattern),
        attention_to_first(pattern),
        attention_to_previous(pattern),
    )
    scores = induction_score(pattern, tokens)
    allowed = gamma(4 * key + 8, np.float64)
    for row, head in np.ndindex(batch, heads):
        looked = []
        for place, p in enumerate(pattern[row, head].astype(np.float64).tolist()):
            i = key - query + place
            terms = [x * math.log(x) for x in p if x]
            size = math.fsum(map(abs, terms))
            assert abs(spread[row, head, place] + math.fsum(terms)) <= allowed * size
            assert first[row, head, place] == p[0]
            assert before[row, head, place] == p[i - 1] if i else np.isnan(before[row, head, place])
            followed = [j + 1 for j in range(i - 1) if tokens[row, j] == tokens[row, i]]
            if followed:
                looked.append(math.fsum(p[j] for j in followed))
        if looked:
            assert abs(scores[row, head] - math.fsum(looked) / len(looked)) <= allowed
        else:
            assert np.isnan(scores[row, head])


def test_tokens_of_another_length_are_refused():
    with pytest.raises(PromptError, match=r"tokens have shape \(1, 2\); .* 1 rows of 3 keys"):
        induction_score(np.zeros((1, 1, 3, 3)), np.array([[0, 1]]))
