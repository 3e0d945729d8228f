import numpy as np
import pytest

from npgpt.errors import ContextLengthError, PromptError
from npgpt.model._forward import forward
from oracle.strategies._weights import build_weights
from tests.helpers.tiny_models import TinyModel

CONFIG = {
    "vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 1, "n_head": 2, "n_inner": None,
    "tie_word_embeddings": True,
}  # fmt: skip
MODEL = TinyModel(CONFIG, build_weights("trained", 0, CONFIG), "float32")


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (np.zeros((1, 0), int), r"\(1, 0\)"),
        (np.zeros((0, 1), int), r"\(0, 1\)"),
        (np.zeros(3, int), r"\(3,\)"),
        (np.zeros((1, 1, 1), int), r"\(1, 1, 1\)"),
        (np.zeros((1, 2)), "float64"),
        (np.zeros((1, 2), bool), "bool"),
        (np.array([["a"]]), "<U1"),
        ([[0, 5]], r"\b5\b.*\b5\b"),
        ([[0, -1]], "-1"),
        ([[2**40]], str(2**40)),
        (np.array([[255]], np.uint8), "255"),
    ],
    ids=str,
)
def test_tokens_that_are_none_are_refused(tokens, named):
    with pytest.raises(PromptError, match=named):
        MODEL.run(tokens)


@pytest.mark.parametrize("tokens", [[[1, 2]], np.array([[1, 2]], np.uint16)], ids=["list", "uint"])
def test_tokens_of_any_whole_kind_will_do(tokens):
    expected = MODEL.run(np.array([[1, 2]])).logits
    assert np.array_equal(MODEL.run(tokens).logits, expected)


def test_the_whole_context_can_be_used_and_not_a_position_more():
    tokens = np.ones((1, 5), int)
    past = MODEL.run(tokens[:, :4]).past
    for options in ({"tokens": tokens}, {"tokens": tokens[:, :1], "past": past}):
        with pytest.raises(ContextLengthError, match=r"\b4\b"):
            MODEL.run(**options)


def test_padding_takes_no_position():
    tokens = np.ones((1, 9), int)
    mask = np.arange(9) >= 5
    assert MODEL.run(tokens, mask=mask[None]).logits.shape == (1, 9, 5)
    with pytest.raises(ContextLengthError):
        MODEL.run(tokens, mask=np.arange(9)[None] >= 4)


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (np.ones((1, 3), bool), r"\(1, 3\).*\(1, 2\)"),
        (np.ones(2, bool), r"\(2,\)"),
        (np.array([[1, 2]]), "0 and 1"),
        (np.array([[0.5, 1]]), "0 and 1"),
        (np.array([[0, -10000.0]]), "0 and 1"),
        (np.array([[np.nan, 1]]), "0 and 1"),
    ],
    ids=str,
)
def test_masks_that_are_none_are_refused(mask, named):
    with pytest.raises(PromptError, match=named):
        MODEL.run(np.array([[1, 2]]), mask=mask)


@pytest.mark.parametrize(
    ("positions", "error", "named"),
    [
        ([[0, 4]], ContextLengthError, r"\b4\b"),
        ([[0, -1]], PromptError, "-1"),
        ([0, 1], PromptError, r"\(2,\)"),
        ([[0.0, 1.0]], PromptError, "float64"),
    ],
    ids=str,
)
def test_positions_that_are_none_are_refused(positions, error, named):
    with pytest.raises(error, match=named):
        MODEL.run(np.array([[1, 2]]), positions=np.array(positions))


@pytest.mark.parametrize("argument", ["tokens", "mask", "positions"])
def test_arguments_are_left_as_they_were(argument):
    given = {
        "tokens": np.array([[1, 2]]),
        "mask": np.array([[False, True]]),
        "positions": np.array([[0, 1]]),
    }
    given[argument].flags.writeable = False
    before = {name: array.copy() for name, array in given.items()}
    forward(given.pop("tokens"), *MODEL.arguments, **given)
    assert all(np.array_equal(given[name], before[name]) for name in given)
