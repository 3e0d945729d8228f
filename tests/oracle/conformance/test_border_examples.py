"""What stands at a place: weights that make its size matter, ids at the ends, one reference."""

import numpy as np
import pytest
import torch

from oracle import model
from oracle.adapters import pytorch
from oracle.adapters.claims import Claims
from oracle.conformance import _places as places
from oracle.conformance._border_examples import example_at, examples_at
from oracle.conformance._checks.cache import steps_at
from oracle.conformance._explore import collect
from oracle.conformance._places import PADDED, VOCABULARY, head_of, padded, row_of, table_of


def patterns(example):
    """The attention patterns of all layers, (head, query, key) each."""
    seen = []

    def tap(name, layer, tensor):
        if name == "pattern":
            seen.append(tensor[0])
        return tensor

    tensors = {n: torch.tensor(a) for n, a in example.weights.items()}
    model.forward(tensors, example.config, torch.tensor(example.batch.tokens), tap=tap)
    return seen


def test_of_a_thousand_keys_a_few_dozen_count_near_and_far():
    (pattern,) = patterns(example_at(row_of(1025), "float32"))
    last = pattern[:, 512:]
    effective = torch.exp(-torch.xlogy(last, last).sum(-1))
    assert 2 < effective.median() < 50
    # In each tile of 64 keys there is one that some later query looks at.
    tiles = pattern[:, -1:, :1024].amax((0, 1)).unflatten(0, (-1, 64))
    assert (tiles.amax(-1) > 1e-4).all()
    assert pattern[:, :, 1024].max() > 1e-4


def test_the_last_ids_and_those_at_the_borders_of_integers_are_read():
    tokens = example_at(table_of(VOCABULARY), "float32").batch.tokens
    assert {VOCABULARY - 1, 32767, 32768, 127, 128, 255, 256, 0} == set(tokens.ravel().tolist())


def test_a_padded_vocabulary_has_rows_of_zeros_that_no_text_holds():
    example = example_at(table_of(PADDED), "float32")
    assert example.weights["wte.weight"].shape == (PADDED, 8)
    assert not example.weights["wte.weight"][VOCABULARY:].any()
    assert example.batch.tokens.max() == VOCABULARY - 1
    assert example.reference("float32")[0].shape[-1] == PADDED
    assert "filled" in repr(example.weights)


def test_what_is_at_a_place_is_made_once_and_another_seed_makes_other_numbers():
    one = example_at(head_of(64), "float32")
    assert example_at(head_of(64), "float32") is one
    other = example_at(head_of(64), "float32", 7)
    assert not np.array_equal(other.weights["wpe.weight"], one.weights["wpe.weight"])


def test_cached_steps_have_the_reference_of_the_whole():
    subject = pytorch.subject()
    wholes = {id(e) for e in collect(examples_at(places.LONG, subject), len(places.LONG))}
    steps = collect(steps_at(places.STEPS, subject), len(places.STEPS))
    assert {id(step.whole) for step in steps} <= wholes


def test_as_many_examples_as_places_are_all_of_them():
    subject = pytorch.subject()
    for seed in (0, 5):
        drawn = collect(examples_at(places.LONG, subject), len(places.LONG), seed)
        assert {e.batch.tokens.shape[1] for e in drawn} == {p.tokens for p in places.LONG}
    assert collect(examples_at(places.LONG, subject), 1, 1)[0] is not drawn[0]


def test_where_nothing_is_claimed_nothing_is_asked():
    subject = pytorch.subject()
    unpadded = type(subject)("x", logits=len, claims=Claims(padding="none"))
    assert examples_at(places.GAPPED, unpadded) is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_exact_in_what_is_claimed(dtype):
    weights = example_at(head_of(64), dtype).weights
    for array in weights.values():
        assert (torch.tensor(array).to(getattr(torch, dtype)).float().numpy() == array).all()


def test_rows_are_ever_shorter_where_they_are_padded():
    mask = example_at(padded("left", 65), "float32").batch.mask
    assert mask.sum(1).tolist() == [64, 32, 1]
