import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle.adapters.answers import copied, difference, one_line
from oracle.adapters.guard import (
    CHANGED_ANSWER,
    CHANGED_ARGUMENTS,
    DIED,
    GARBLED,
    RAISED,
    Misbehaviour,
    guarded,
    plain_answer,
)
from oracle.adapters.subject import Subject
from tests.foreign import naughty


def call(function, *arguments, name="logits", **keywords):
    return getattr(guarded(Subject("mine", **{name: function})), name)(*arguments, **keywords)


def misbehaves(function, *arguments, **keywords):
    with pytest.raises(Misbehaviour) as caught:
        call(function, *arguments, **keywords)
    return caught.value


def raising(error):
    def function(*arguments):
        raise error

    return function


def test_misbehaviour_travels():
    there = pickle.loads(pickle.dumps(Misbehaviour(GARBLED, "words")))
    assert (there.kind, there.says, str(there)) == (GARBLED, "words", "words")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("too long\nfor me"), "ValueError: too long"),
        (ValueError(), "ValueError:"),
        (ValueError("x" * 999), "ValueError: " + "x" * 187 + "…"),
        (GeneratorExit("odd"), "GeneratorExit: odd"),
    ],
)
def test_an_exception_is_a_refusal_in_one_line(error, says):
    found = misbehaves(raising(error), {}, {}, np.zeros(1), np.ones(1))
    assert (found.kind, found.says) == (RAISED, says)


def test_an_exception_without_words():
    class Mute(Exception):  # noqa: N818
        def __str__(self):
            raise ValueError

    assert "could not be had" in misbehaves(raising(Mute()), {}).says


def test_leaving_the_program_ends_the_call_only():
    found = misbehaves(raising(SystemExit(3)), {})
    assert (found.kind, found.says) == (DIED, "logits ended the program with exit status 3")


def test_interrupting_is_not_the_subjects_doing():
    with pytest.raises(KeyboardInterrupt):
        call(raising(KeyboardInterrupt()), {})


def overwrite(config, weights, tokens, mask):
    weights["wte.weight"][0, 0] = np.nan
    return np.zeros(1)


def grow(config, weights, tokens, mask):
    weights["new"] = weights.pop("wte.weight")
    return np.zeros(1)


def reshape(config, weights, tokens, mask):
    tokens.resize((1, 4))
    return np.zeros(1)


def configure(config, weights, tokens, mask):
    config["n_layer"] = 2
    return np.zeros(1)


@pytest.mark.parametrize(
    ("function", "where"),
    [
        (overwrite, 'weights["wte.weight"]'),
        (grow, "weights"),
        (reshape, "tokens"),
        (configure, 'config["n_layer"]'),
    ],
)
def test_writing_to_an_argument_is_told_and_kept_from_the_judge(function, where):
    weights = {"wte.weight": np.full((2, 2), 1.0)}
    tokens = np.arange(4).reshape(2, 2)
    given = ({"n_layer": 1}, weights, tokens, tokens > 0)
    before = copied(given)
    found = misbehaves(function, *given)
    assert (found.kind, found.says) == (CHANGED_ARGUMENTS, f"logits changed its argument {where}")
    assert difference(given, before, "given") is None


def test_keywords_and_lists_are_watched_too():
    found = misbehaves(
        lambda *a, draft_ids: draft_ids[0].append(1) or [], None, [], {}, None, draft_ids=[[0]],
        name="generate",
    )  # fmt: skip
    assert found.says == "generate changed its argument draft_ids[0]"


def test_a_nan_that_stays_is_no_change():
    assert call(
        lambda c, w, t, m: w["a"], {"e": np.nan}, {"a": np.array([np.nan])}, 0, 0
    ).shape == (1,)


def test_an_answer_that_changes_with_the_next_call():
    subject = guarded(Subject("mine", logits=naughty.logits, ops={"relu": np.abs}))
    view = {"do": "view"}
    assert subject.logits(view, {}, 0, 0).shape == (3,)
    subject.ops["relu"](np.zeros(1))  # nothing has changed yet
    first = subject.logits(view, {}, 0, 0)
    with pytest.raises(Misbehaviour, match="an answer of logits changed when logits was") as caught:
        subject.logits(view, {}, 0, 0)
    assert caught.value.kind == CHANGED_ANSWER
    assert first.tolist() == [2, 2, 2]  # the judge's copy has not


def test_an_answer_of_step_that_changes():
    buffer = torch.zeros(1)
    subject = guarded(Subject("mine", step=lambda *a: (buffer.add_(1), "cache")))
    subject.step({}, {}, 0, 0, None)
    with pytest.raises(Misbehaviour, match="must be a copy"):
        subject.step({}, {}, 0, 0, "cache")


def test_an_unchanging_perplexity_may_be_nan():
    subject = guarded(Subject("mine", perplexity=lambda *a: float("nan")))
    assert all(np.isnan(subject.perplexity({}, {}, 0, 1)) for _ in range(3))


def test_the_cache_passes_untouched():
    cache = [np.zeros(1)]
    seen = []
    answer = call(lambda *a: seen.append(a[4]) or ([0.5], cache), {}, {}, 0, 0, cache, name="step")
    assert answer[1] is cache is seen[0]


@pytest.mark.parametrize(
    ("name", "answer", "plain"),
    [
        ("generate", ((1, 2), torch.tensor([3])), [[1, 2], [3]]),
        ("draw", np.array([[1, 2]]), [[1, 2]]),
        ("encode", (np.int64(1), 2), [1, 2]),
        ("encode", [], []),
        ("decode", np.str_("a"), "a"),
        ("perplexity", torch.tensor([2.5]), 2.5),
        ("perplexity", 2, 2.0),
    ],
)
def test_answers_become_plain(name, answer, plain):
    found = plain_answer(name, answer)
    assert found == plain
    assert type(found) is type(plain)


@given(
    st.sampled_from(["float64", "float32", "float16", "bfloat16", "int64", "bool"]), st.booleans()
)
def test_tensors_become_arrays_of_their_dtype(dtype, grad):
    tensor = torch.ones(2, 3).to(getattr(torch, dtype))
    if grad and tensor.is_floating_point():
        tensor.requires_grad_()
    for answer in (tensor, list(tensor)):
        found = plain_answer("logits", answer)
        assert found.dtype == ("float32" if dtype == "bfloat16" else dtype)
        assert found.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("logits", None),
        ("logits", "words"),
        ("logits", [["1", "2"]]),
        ("logits", [[1], [1, 2]]),
        ("logits", object()),
        ("logits", np.array(["2020-01-01"], "datetime64[D]")),
        ("step", np.zeros(1)),
        ("step", 5),
        ("generate", [1, 2]),
        ("generate", [[0.5]]),
        ("generate", None),
        ("encode", "ids"),
        ("encode", [[1]]),
        ("decode", b"bytes"),
        ("perplexity", [1, 2]),
        ("ops.relu", {}),
    ],
)
def test_what_is_no_answer_is_garbled(name, answer):
    with pytest.raises(Misbehaviour) as caught:
        plain_answer(name, answer)
    assert caught.value.kind == GARBLED
    assert caught.value.says.startswith(f"{name} answered ")
    assert (
        "; expected a" in caught.value.says
        or "; expected (" in caught.value.says
        or "rows" in caught.value.says
    )


@pytest.mark.parametrize(
    "array", [np.full((7, 1), np.nan), np.zeros((0, 3)), np.array(1j), np.array(2)]
)
def test_wrong_shapes_numbers_and_dtypes_are_left_to_the_checks(array):
    found = call(lambda *a: array, {})
    assert difference(found, array, "answer") is None
    assert found is not array


def test_only_what_was_offered_is_there():
    subject = guarded(Subject("mine", ops={"double": lambda x, *, offset: 2 * x + offset}))
    assert subject.logits is None
    assert subject.ops["double"](np.ones(1), offset=3).tolist() == [5]
    assert subject.name == "mine"


@given(st.text())
def test_one_line_is_one_short_line(text):
    line = one_line(text)
    assert len(line) <= 200
    assert len(line.splitlines()) <= 1
