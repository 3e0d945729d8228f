"""Reading token by token, against a model that reads several at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._language_model import Step, one_by_one
from npgpt.errors import SettingError
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits, random_vectors

NEW = st.lists(st.integers(0, 2), max_size=3)


@st.composite
def programs(draw):
    """Rows to start with, then what is done to the state, one thing after another."""
    rows = draw(
        st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3)
    )
    count, lengths, steps = len(rows), [len(row) for row in rows], []
    for _ in range(draw(st.integers(0, 4))):
        what = draw(st.sampled_from(["read", "select", "rewind"]))
        if what == "read":
            more = draw(st.lists(NEW, min_size=count, max_size=count).filter(any))
            steps.append((what, more))
            lengths = [length + len(new) for length, new in zip(lengths, more, strict=True)]
        elif what == "select":
            kept = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))
            steps.append((what, kept))
            count, lengths = len(kept), [lengths[row] for row in kept]
        else:
            gone = [draw(st.integers(0, length)) for length in lengths]
            steps.append((what, gone))
            lengths = [length - less for length, less in zip(lengths, gone, strict=True)]
    return rows, steps, draw(st.integers(0, 2**32)), draw(st.booleans())


def assert_same(one, other, rows, keep):
    """Wherever it means something."""
    longest = max(map(len, rows))
    assert one.logits.shape == other.logits.shape == (len(rows), min(keep, longest), 3)
    assert (one.hidden is None) == (other.hidden is None)
    for index, row in enumerate(rows):
        for back in range(1, len(row) + 1):
            if back <= keep:
                np.testing.assert_array_equal(one.logits[index, -back], other.logits[index, -back])
            if one.hidden is not None:
                np.testing.assert_array_equal(one.hidden[index, -back], other.hidden[index, -back])


@given(program=programs(), keep=st.integers(1, 4))
def test_is_the_same_as_reading_several_at_once(program, keep):
    rows, steps, seed, with_hidden = program
    model = random_logits(seed, 3)
    hidden_of = random_vectors(seed, 2) if with_hidden else None
    one = one_by_one(Toy(model, hidden_of=hidden_of))
    many = ToyReader(model, hidden_of=hidden_of)
    mine, theirs = one(rows, None, keep=keep), many(rows, None, keep=keep)
    assert_same(mine, theirs, rows, keep)
    a, b = mine.state, theirs.state
    for what, value in steps:
        if what == "read":
            mine, theirs = one(value, a, keep=keep), many(value, b, keep=keep)
            assert_same(mine, theirs, value, keep)
            again = one(value, a, keep=keep)  # a state is a value
            assert_same(again, theirs, value, keep)
            a, b = mine.state, theirs.state
        else:
            a, b = getattr(a, what)(value), getattr(b, what)(value)


def test_logits_keep_their_dtype():
    read = one_by_one(Toy(random_logits(1, 3), np.float32))
    assert read([[0, 1], [2]], None, keep=2).logits.dtype == np.float32


def test_every_token_is_asked_about_once():
    toy = Toy(random_logits(1, 3))
    read = one_by_one(toy)
    state = read([[0, 1], [2]], None).state
    read([[], [1, 1]], state)
    asked = [history for (history,) in toy.calls]
    assert asked == [(0,), (0, 1), (2,), (2, 1), (2, 1, 1)]


@pytest.mark.parametrize("logits", [np.zeros(3), np.zeros((1, 1, 3)), np.zeros((2, 3)), [[0.0]]])
def test_logits_of_another_shape_are_quoted(logits):
    read = one_by_one(lambda rows, state: Step(logits, None, None))
    with pytest.raises(SettingError, match=r"shape .* and kind (ndarray|list) for 1 row"):
        read([[0]], None)


def test_a_state_of_something_else_is_refused():
    toy = Toy(random_logits(1, 3))
    state = toy([[0]], None).state
    with pytest.raises(SettingError, match=r"ToyState.*go on from the state of an earlier reading"):
        one_by_one(toy)([[1]], state)
