import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding.generation import Generation
from npgpt.errors import SettingError

ROWS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=3)


def of(rows, **given_):
    count = len(rows)
    return Generation(
        sequences=rows,
        prompt_lengths=[1] * count,
        logprobs=[[0.0] * (len(row) - 1) for row in rows],
        scores=None,
        stopped=["length"] * count,
        decoder="greedy",
        prompts=list(range(count)),
        **given_,
    )


@given(rows=ROWS, pad=st.integers(0, 50_000))
def test_padding_is_on_the_right_and_only_there(rows, pad):
    padded = of(rows).padded(pad)
    assert padded.dtype == np.int64
    assert padded.shape == (len(rows), max(map(len, rows)))
    for row, filled in zip(rows, padded.tolist(), strict=True):
        assert filled == row + [pad] * (padded.shape[1] - len(row))


@given(rows=ROWS)
def test_new_tokens_are_what_follows_the_prompt(rows):
    assert of(rows).new_tokens == [row[1:] for row in rows]


@pytest.mark.parametrize("pad", [-1, 0.5, True, None])
def test_a_bad_pad_is_quoted(pad):
    with pytest.raises(SettingError, match=f"pad_token_id is {pad}"):
        of([[1], [1, 2]]).padded(pad)


def test_text_is_of_one_row():
    one = of([[1, 2]])
    with pytest.raises(SettingError, match="no text"):
        _ = one.text
    assert dataclasses.replace(one, texts=["ab"]).text == "ab"
    with pytest.raises(SettingError, match="2 rows"):
        _ = of([[1], [2]], texts=["a", "b"]).text
