"""Batch-invariant passes: a row's numbers that no other row changes."""

import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._gpt import GPT, load
from npgpt.errors import PromptError, SettingError
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters, small_gpt

WIDE = dataclasses.replace(CONFIG, n_embd=64, n_head=4)
PLAIN = GPT(WIDE, parameters(WIDE), TOKENIZER)
ALONE = dataclasses.replace(PLAIN, batch_invariant=True)
SETTINGS = {"max_new_tokens": 6, "output_scores": True, "eos_token_id": None}
ROWS = st.lists(
    st.lists(st.integers(0, WIDE.vocab_size - 1), min_size=1, max_size=9), min_size=1, max_size=5
)


@given(ROWS)
def test_a_row_is_the_same_bit_for_bit_in_any_batch(rows):
    together = ALONE.generate(rows, **SETTINGS)
    for place, row in enumerate(rows):
        alone = ALONE.generate([row], **SETTINGS)
        assert together.sequences[place] == alone.sequences[0]
        assert together.logprobs[place] == alone.logprobs[0]
        assert np.array_equal(together.scores[place], alone.scores[0])


def test_without_it_a_row_is_not():
    """So that the test above can fail."""
    rows = np.random.default_rng(0).integers(0, WIDE.vocab_size, (5, 9)).tolist()
    together = PLAIN.generate(rows, **SETTINGS)
    each = [PLAIN.generate([row], **SETTINGS).logprobs[0] for row in rows]
    assert together.logprobs != each


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 3},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"prompt_lookup_num_tokens": 3},
    ],
    ids=str,
)
def test_every_decoder_runs_and_finds_the_same_texts(asked):
    prompts = ["Shall I compare", "thee, thee, thee", "day"]
    found = ALONE.generate(prompts, max_new_tokens=6, **asked)
    assert found.sequences == PLAIN.generate(prompts, max_new_tokens=6, **asked).sequences


@given(ROWS, st.data())
def test_logits_of_a_padded_row_are_those_of_its_tokens_alone(rows, data):
    width = max(map(len, rows))
    tokens, mask = np.zeros((len(rows), width), int), np.zeros((len(rows), width), bool)
    for index, row in enumerate(rows):
        places = sorted(data.draw(st.permutations(range(width)))[: len(row)])
        tokens[index, places], mask[index, places] = row, True
    logits = ALONE.logits(tokens, mask=mask)
    for index, row in enumerate(rows):
        assert np.array_equal(logits[index][mask[index]], ALONE.logits([row])[0])


def test_a_row_of_padding_alone_is_zeros():
    logits = ALONE.logits([[1, 2], [3, 4]], mask=[[1, 1], [0, 0]])
    assert not logits[1].any()
    assert logits[0].any()


def test_a_state_goes_on_only_where_it_came_from():
    one, other = ALONE.next_step([[1, 2]], None), PLAIN.next_step([[1, 2]], None)
    with pytest.raises(SettingError, match="earlier reading"):
        PLAIN.next_step([[3]], one.state)
    with pytest.raises(SettingError, match="earlier reading"):
        ALONE.next_step([[3]], other.state)
    with pytest.raises(PromptError, match="2 rows of tokens cannot go on from 1"):
        ALONE.next_step([[3], [4]], one.state)


def test_a_row_may_read_nothing_while_another_goes_on():
    first = ALONE.read([[1, 2], [3]], None)
    second = ALONE.read([[], [4, 5]], first.state, keep=2)
    third = ALONE.read([[6], [7]], second.state)
    alone = ALONE.read([[6]], ALONE.read([[1, 2]], None).state)
    assert np.array_equal(third.logits[0], alone.logits[0])


def test_it_is_off_by_default():
    assert not small_gpt().batch_invariant


def test_the_old_keyword_is_refused_by_the_new_ones_name():
    """Like every keyword that load does not have: TypeError."""
    for call in (
        lambda: load(deterministic=True),
        lambda: GPT(WIDE, parameters(WIDE), deterministic=False),
        lambda: dataclasses.replace(PLAIN, deterministic=True),
    ):
        with pytest.raises(TypeError, match="'deterministic'; it is called 'batch_invariant' now"):
            call()
    with pytest.raises(TypeError, match="unexpected keyword"):
        load(deterministik=True)


def test_signatures_show_the_new_name_only():
    for function in (load, GPT):
        names = inspect.signature(function).parameters
        assert "batch_invariant" in names
        assert "deterministic" not in names
