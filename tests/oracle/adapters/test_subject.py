import sys

import numpy as np
import pytest

from oracle.adapters.subject import NoSubject, Subject, as_subject, load


class Offer:
    dtype = "float16"
    settings = ("top_k",)

    def logits(self, config, weights, tokens, mask):
        return tokens


def test_an_object_offers_what_it_has_and_nothing_else():
    subject = as_subject(Offer(), name="mine")
    assert (subject.name, subject.dtype, subject.settings) == ("mine", "float16", ("top_k",))
    assert subject.logits(None, None, 3, None) == 3
    assert subject.step is None
    assert subject.function("ops.gelu") is None


def test_a_mapping_offers_what_it_has():
    subject = as_subject({"name": "its own", "ops": {"relu": np.abs}}, name="path")
    assert subject.name == "its own"
    assert subject.function("ops.relu") is np.abs


def test_a_subject_is_taken_as_it_is():
    subject = Subject("mine", encode=str)
    assert as_subject(subject, name="other") is subject


@pytest.mark.parametrize(
    ("offer", "says"),
    [
        ({}, "offers nothing to judge"),
        ({"logits": 3}, "logits of mine is 3; expected a function"),
        ({"logits": abs, "dtype": "int8"}, "dtype of mine is 'int8'; expected one of float64"),
        (object(), "offers nothing to judge"),
    ],
)
def test_what_cannot_be_judged_is_one_line(offer, says):
    with pytest.raises(NoSubject, match=says) as caught:
        as_subject(offer, name="mine")
    assert "\n" not in str(caught.value)


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "their_adapter.py").write_text(text)
        sys.modules.pop("their_adapter", None)

    yield write
    sys.modules.pop("their_adapter", None)


def test_a_module_itself_may_be_the_subject(adapter):
    adapter("dtype = 'float64'\ndef logits(config, weights, tokens, mask): return 7\n")
    assert load("their_adapter").logits(1, 2, 3, 4) == 7


def test_a_function_makes_the_subject_with_what_is_chosen(adapter):
    adapter("def subject(*, dtype='float32'): return {'logits': max, 'dtype': dtype}\n")
    assert load("their_adapter:subject").dtype == "float32"
    assert load("their_adapter:subject", dtype="float16").dtype == "float16"


def test_what_is_chosen_must_be_choosable(adapter):
    adapter("logits = max\n")
    with pytest.raises(NoSubject, match="their_adapter takes no dtype"):
        load("their_adapter", dtype="float16")


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("no_such_module_at_all:subject", "", "ModuleNotFoundError: No module named"),
        ("their_adapter:subject", "", "AttributeError: .* has no attribute 'subject'"),
        ("their_adapter", "1 / 0", "ZeroDivisionError: division by zero"),
        ("their_adapter", "raise SystemExit(3)", "SystemExit: 3"),
        ("their_adapter:subject", "def subject(): raise OSError('a\\nb')", "OSError: a b"),
        ("", "", "ValueError: Empty module name"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(adapter, path, text, says):
    adapter(text)
    with pytest.raises(NoSubject, match=says) as caught:
        load(path)
    assert "\n" not in str(caught.value)
