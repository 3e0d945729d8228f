"""Where a decoder of transformers that has no beams means something else than npgpt's.

Each test shows both sides, so that a release of transformers that changes its mind is noticed.
"""

import numpy as np
import pytest
import torch

from npgpt.errors import SettingError
from tests.helpers.beside_transformers import ours, raw, tiny
from tests.helpers.transformers_gpt2 import VERSION

version_4 = pytest.mark.skipif(VERSION[0] > 4, reason="version 5 has dropped contrastive search")
LOOKUP = {"prompt_lookup_num_tokens": 3}


def assistants(name):
    draft = tiny(1)
    if name == "prompt lookup":
        return LOOKUP, LOOKUP
    return {"assistant": draft.gpt()}, {"assistant_model": draft.model}


@pytest.mark.parametrize("name", ["draft model", "prompt lookup"])
def test_several_rows(name):
    mine, other = assistants(name)
    with pytest.raises(ValueError, match="batch_size = 1"):
        raw(tiny(0), [[1, 2], [3, 4]], max_new_tokens=3, **other)
    plain = ours(tiny(0).gpt(), [[1, 2], [3, 4]], max_new_tokens=3)
    assert ours(tiny(0).gpt(), [[1, 2], [3, 4]], max_new_tokens=3, **mine).new == plain.new


@pytest.mark.parametrize("name", ["draft model", "prompt lookup"])
def test_several_sequences(name):
    mine, other = assistants(name)
    settings = {"do_sample": True, "num_return_sequences": 2, "max_new_tokens": 3}
    with pytest.raises(ValueError, match="num_return_sequences"):
        raw(tiny(0), [[1, 2]], **settings, **other)
    plain = ours(tiny(0).gpt(), [[1, 2]], seed=0, **settings)
    assert ours(tiny(0).gpt(), [[1, 2]], seed=0, **settings, **mine).new == plain.new


def test_the_draws_of_a_seed():
    """Theirs keeps the distribution, npgpt the very tokens."""
    mine, other = assistants("draft model")
    settings = {"do_sample": True, "max_new_tokens": 8}
    drawn = []
    for more in ({}, other):
        torch.manual_seed(0)
        drawn.append(raw(tiny(0), [[1, 2]], **settings, **more)[0].sequences.tolist())
    assert drawn[0] != drawn[1]
    plain = ours(tiny(0).gpt(), [[1, 2]], seed=0, **settings)
    assert ours(tiny(0).gpt(), [[1, 2]], seed=0, **settings, **mine).new == plain.new


def test_prompt_lookup_at_the_limit():
    """4.49 goes past it where more of a proposal is right."""
    settings = {"eos_token_id": 7, "suppress_tokens": [19], "max_new_tokens": 3}
    lookup = {"prompt_lookup_num_tokens": 4, "max_matching_ngram_size": 1}
    output, width = raw(tiny(0), [[15, 8, 15, 8]], **settings, **lookup)
    assert output.sequences.shape[1] - width == (4 if VERSION[0] == 4 else 3)
    assert len(ours(tiny(0).gpt(), [[15, 8, 15, 8]], **settings, **lookup).new[0]) == 3


def test_prompt_lookup_without_an_end():
    settings = {"max_new_tokens": 2, **LOOKUP}
    if VERSION[0] == 4:
        with pytest.raises(TypeError, match="isin"):
            raw(tiny(0), [[8, 8, 8]], **settings)
    else:
        assert raw(tiny(0), [[8, 8, 8]], **settings)[0].sequences.shape == (1, 5)
    assert len(ours(tiny(0).gpt(), [[8, 8, 8]], **settings).new[0]) == 2


@pytest.mark.parametrize("name", ["draft model", "prompt lookup"])
def test_a_prompt_that_ends_with_an_end(name):
    """4.49 goes on after it, but not with an assistant that has nothing to propose."""
    mine, other = assistants(name)
    row, settings = [[8, 3, 15]], {"eos_token_id": 15, "max_new_tokens": 1}
    output, width = raw(tiny(0), row, **settings)
    assert output.sequences.shape[1] > width
    tokens = torch.tensor(row)
    beside = tiny(0).model.generate(
        tokens, attention_mask=torch.ones_like(tokens), pad_token_id=19, **settings, **other
    )
    assert (beside.shape[1] > width) == (VERSION[0] > 4)
    plain = ours(tiny(0).gpt(), row, **settings)
    assert ours(tiny(0).gpt(), row, **settings, **mine).new == plain.new != ((),)


@version_4
def test_candidates_that_are_banned():
    """4.49 weighs the top_k likeliest, of which a banned one has probability 0 and may win."""
    pair = tiny(0)
    allowed = [0, 1]
    settings = {
        "penalty_alpha": 0.9,
        "top_k": 6,
        "suppress_tokens": [token for token in range(20) if token not in allowed],
        "max_new_tokens": 4,
    }
    output, width = raw(pair, [[1, 2, 3]], **settings)
    assert not set(output.sequences[0, width:].tolist()) <= set(allowed)
    assert set(ours(pair.gpt(), [[1, 2, 3]], **settings).new[0]) <= set(allowed)


@version_4
def test_more_candidates_than_tokens():
    pair, settings = tiny(0), {"penalty_alpha": 0.6, "top_k": 21, "max_new_tokens": 2}
    with pytest.raises(RuntimeError, match="out of range"):
        raw(pair, [[1]], **settings)
    assert len(ours(pair.gpt(), [[1]], **settings).new[0]) == 2


@version_4
def test_scores_of_contrastive_search():
    """Theirs are the processed logits, npgpt's what the token was chosen by."""
    pair, settings = tiny(0), {"penalty_alpha": 0.6, "top_k": 4, "max_new_tokens": 1}
    wanted = raw(pair, [[1, 2]], **settings)[0].scores[0][0]
    found = ours(pair.gpt(), [[1, 2]], **settings).scores[0][0]
    assert (wanted > -np.inf).all()
    assert (found > -np.inf).sum() == 4


@version_4
@pytest.mark.filterwarnings("ignore:.*penalty_alpha:UserWarning")
def test_contrastive_search_among_one():
    """Theirs is greedy then."""
    pair, settings = tiny(0), {"penalty_alpha": 0.6, "top_k": 1, "max_new_tokens": 3}
    output, width = raw(pair, [[1, 2]], **settings)
    greedy = ours(pair.gpt(), [[1, 2]], max_new_tokens=3)
    assert output.sequences[0, width:].tolist() == list(greedy.new[0])
    with pytest.raises(SettingError, match="top_k"):
        ours(pair.gpt(), [[1, 2]], **settings)
