"""Which shapes the border checks ask of, and what of them is left within claims."""

import pytest

from oracle.adapters.claims import Claims
from oracle.conformance import _places as places
from oracle.conformance._places import around, claimed, claimed_steps, place

LISTS = ("LONG", "WIDE", "DEEP", "TABLES", "BATCHES", "GAPPED", "SWITCHED")
RELEASED_LISTS = tuple(name for name in LISTS if name != "SWITCHED")


def sizes(name, field):
    return {where.config[field] for where in getattr(places, name)}


def test_each_border_has_one_below_and_one_above():
    tiles = set(around(16, 32, 64, 128, 256, 512, 1024))
    assert tiles <= {where.tokens for where in places.LONG}
    assert tiles <= sizes("WIDE", "n_embd")
    assert tiles <= sizes("SWITCHED", "n_inner")
    assert {around(16)[0], 64, 257, 4097} <= {where.rows for where in places.BATCHES}
    assert max(where.rows * where.tokens for where in places.BATCHES) > 2**16
    assert sizes("DEEP", "n_layer") == {12, 24, 48}
    assert {12, 16, 20, 25} <= sizes("WIDE", "n_head")
    assert {256, 257, 4096, 50257, 50304} <= sizes("TABLES", "vocab_size")
    widths = {where.config["n_embd"] // where.config["n_head"] for where in places.WIDE}
    assert {64, 80, 128} <= widths


@pytest.mark.parametrize("name", LISTS)
def test_a_place_is_asked_once_and_its_heads_divide_it(name):
    listed = getattr(places, name)
    assert len(set(listed)) == len(listed)
    for where in listed:
        config = where.config
        assert config["n_embd"] % config["n_head"] == 0
        assert where.tokens <= config["n_positions"]


@pytest.mark.parametrize("name", RELEASED_LISTS)
def test_only_the_switched_places_have_other_switches(name):
    narrow = Claims(flags=[], activation_functions=["gelu_new"], epsilons=[1e-5], heads=["tied"])
    assert claimed(getattr(places, name), narrow) == list(getattr(places, name))


def test_steps_read_the_whole_row_and_share_places_with_what_is_asked_at_once():
    for step in (*places.STEPS, *places.WIDE_STEPS, *places.GAPPED_STEPS):
        assert sum(step[1]) == step[0].tokens
    at_once = {where for name in LISTS for where in getattr(places, name)}
    stepped = {where for where, _ in (*places.STEPS, *places.WIDE_STEPS)}
    assert len(stepped - at_once) <= 1  # 768 wide, with another number of heads


def test_within_claims_places_move_and_are_asked_once():
    one_row = claimed(places.BATCHES, Claims(max_batch=1))
    assert [where.rows for where in one_row] == [1, 1]
    tiles = claimed(places.WIDE, Claims(embd_multiple_of=64, head_dims=[64]))
    assert tiles
    assert {where.config["n_embd"] % 64 for where in tiles} == {0}
    short = claimed(places.LONG, Claims(max_n_positions=64))
    assert max(where.tokens for where in short) == 64
    assert claimed(places.GAPPED, Claims(padding="none")) == []
    assert {where.padding for where in claimed(places.GAPPED, Claims(padding="left"))} == {"left"}


def test_steps_that_no_longer_fit_are_not_asked():
    short = claimed_steps(places.STEPS, Claims(max_n_positions=64))
    assert {where.tokens for where, _ in short} == {17, 33}


def test_a_place_says_what_is_large():
    assert place("40 tokens", tokens=40).large == "40 tokens"
    assert place("a", tokens=40) == place("b", tokens=40)
