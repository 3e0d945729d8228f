import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._prompts import check_vocabulary, token_rows
from npgpt.decoding._settings import Settings
from npgpt.errors import PromptError, SettingError

ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=3)


@given(rows=ROWS)
def test_lists_tuples_and_arrays_are_the_same_rows(rows):
    plain = tuple(map(tuple, rows))
    for given_ in (rows, plain, [np.array(row) for row in rows]):
        assert token_rows(given_) == plain
    for given_ in (rows[0], tuple(rows[0]), np.array(rows[0], dtype=np.uint16)):
        assert token_rows(given_) == (tuple(rows[0]),)
    assert all(type(token) is int for row in token_rows(np.array([rows[0]])) for token in row)


@pytest.mark.parametrize(
    ("tokens", "quoted"),
    [
        ([], "empty"),
        ([[]], "row 0 of the prompt is empty"),
        ([[1], []], "row 1 of the prompt is empty"),
        (np.zeros((0, 3), int), "empty"),
        (np.zeros((2, 0), int), "empty"),
        ("text", "'text'"),
        (["text"], "'text'"),
        ([[1], "text"], "'text'"),
        (5, "5"),
        (None, "None"),
        (np.array(5), "5"),
        ({1, 2}, "{1, 2}"),
        ([1, -2], "-2"),
        ([[1], [0, -1]], "row 1 of the prompt holds -1"),
        ([1.5], "1.5"),
        ([True], "True"),
        ([[1], 2], "2"),
        ([[[1]]], "[1]"),
    ],
)
def test_what_is_no_rows_of_ids_is_quoted(tokens, quoted):
    with pytest.raises(PromptError) as caught:
        token_rows(tokens)
    assert quoted in str(caught.value)


@given(rows=ROWS, vocab=st.integers(1, 10), eos=st.integers(0, 9))
def test_ids_outside_the_vocabulary_are_refused(rows, vocab, eos):
    prompts, settings = token_rows(rows), Settings(eos_token_id=[0, eos])
    largest = max(max(row) for row in rows)
    if largest >= vocab:
        with pytest.raises(PromptError, match=f"has {vocab} tokens"):
            check_vocabulary(prompts, settings, vocab)
    elif eos >= vocab:
        with pytest.raises(SettingError, match=f"eos_token_id is .*{eos}"):
            check_vocabulary(prompts, settings, vocab)
    else:
        check_vocabulary(prompts, settings, vocab)


@pytest.mark.parametrize(
    "given",
    [
        {"forced_bos_token_id": 7},
        {"forced_eos_token_id": [1, 7]},
        {"suppress_tokens": [1, 7]},
        {"begin_suppress_tokens": [7]},
        {"bad_words_ids": [[1], [2, 7]]},
        {"sequence_bias": {(1, 7): 0.5}},
        {"logit_bias": {7: 0.5}},
        {"num_beams": 2, "force_words_ids": [[1], [[2], [3, 7]]]},
    ],
    ids=lambda given: list(given)[-1],
)
def test_every_id_in_the_settings_must_be_of_the_vocabulary(given):
    check_vocabulary(((1,),), Settings(**given), 8)
    with pytest.raises(SettingError, match=rf"{list(given)[-1]} is .*has 7 tokens.* not 7"):
        check_vocabulary(((1,),), Settings(**given), 7)


def test_a_pad_may_stand_outside_since_no_model_sees_it():
    check_vocabulary(((1,),), Settings(pad_token_id=50256), 7)
