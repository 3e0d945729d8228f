import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import generate
from npgpt.decoding._generation import Generation
from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError
from tests.helpers.toy_language_model import Toy, random_logits

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


def run(**given_):
    settings = Settings(max_new_tokens=30, output_scores=True, output_ledger=True, **given_)
    return generate(Toy(random_logits(1, 3000)), [[0, 1]] * 40, settings)


@pytest.mark.parametrize("given_", [{}, {"repetition_penalty": 1.5, "logit_bias": {1: 2.0}}])
def test_a_result_is_shown_on_a_screen_whatever_its_size(given_):
    result = run(**given_)
    long = dataclasses.replace(result, texts=["<b>ab\n</b>" * 999] * 40)
    for value in (result, long, result.ledger, result.ledger.decisions[0]):
        shown = repr(value)
        assert len(shown) <= 1000
        assert shown.count("\n") < 10
    for value in (result, long, result.ledger):
        table = value._repr_html_()
        assert table.startswith("<table>")
        assert len(table) <= 3000
        assert "<b>" not in table
    assert "34 rows more not shown" in repr(result)


def test_results_are_compared_by_what_they_hold():
    one, same, other = run(), run(), run(repetition_penalty=1.5)
    assert (one, one.ledger, hash(one), hash(one.ledger)) == (
        same,
        same.ledger,
        hash(same),
        hash(same.ledger),
    )
    assert one != other
    assert one.ledger != other.ledger
    assert one.ledger.decisions[0] != other.ledger.decisions[0]
    assert len({one, same, other}) == 2
    assert one != dataclasses.replace(one, scores=None)
    assert one != one.sequences
