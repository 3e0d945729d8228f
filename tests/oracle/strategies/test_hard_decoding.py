import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.conformance._explore import collect
from oracle.strategies._decoding_problems import DECODERS, draws, room_of, settings_of
from oracle.strategies._hard_decoding import (
    DIFFICULTIES,
    NEAR_TIE_BITS,
    build_hard,
    difficulties,
    hard_problems,
)
from tests.helpers.strategy_reach import simplest

every_difficulty = pytest.mark.parametrize("name", DIFFICULTIES)


def test_most_decoders_have_some():
    everything = {name for decoder in DECODERS for name in settings_of(decoder)} | {"do_sample"}
    found = {decoder: difficulties(decoder, everything) for decoder in DECODERS}
    assert {name for names in found.values() for name in names} == set(DIFFICULTIES)
    assert [decoder for decoder in DECODERS if not found[decoder]] == ["contrastive search"]


@every_difficulty
@given(seed=st.integers(0, 2**32), vocab=st.integers(4, 6))
def test_problems_fit_together(name, seed, vocab):
    difficulty = DIFFICULTIES[name]
    for decoder in difficulty.decoders:
        problem = build_hard(name, decoder, vocab, difficulty.room[0], seed, bits=12)
        assert problem.decoder == decoder
        assert set(difficulty.needs) <= set(problem.settings) | {"top_k", "top_p"}
        assert [len(prompt) for prompt in problem.prompts] == list(difficulty.lengths)
        assert {room_of(prompt, problem.settings) for prompt in problem.prompts} == {
            difficulty.room[0]
        }
        assert (problem.uniforms is not None) == draws(problem.settings)
        assert problem.toy.vocab_size == vocab
        assert all(any(weights) for weights in problem.toy.weights)


def test_only_what_is_known_is_asked():
    for decoder in DECODERS:
        for name in difficulties(decoder, ["eos_token_id"]):
            assert set(DIFFICULTIES[name].needs) <= {"eos_token_id"}


def test_each_has_its_turn():
    names = difficulties("beam search", settings_of("beam search"))
    problems = collect(hard_problems("beam search", names), 300)
    never = [p for p in problems if p.settings.get("early_stopping") == "never"]
    assert {p.settings["length_penalty"] > 0 for p in never} == {True, False}
    assert {len(p.prompts) for p in problems} == {1, 2, 3}
    assert any("stop_strings" in p.settings for p in problems)
    assert any("guidance_scale" in p.settings for p in problems)


@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-24), ("float64", 2.0**-53)])
def test_near_ties_are_hundreds_of_units_apart(dtype, unit):
    problem = build_hard("near ties", "greedy", 6, 1, 0, bits=NEAR_TIE_BITS[dtype])
    for weights in problem.toy.weights:
        falling = sorted(weights, reverse=True)
        gap = min(math.log1p((a - b) / b) for a, b in pairwise(falling))
        assert 500 * unit < gap < 5000 * unit


def test_shrinks_to_little():
    found = simplest(hard_problems("greedy", ["ends"]), lambda problem: True)
    assert found.toy.vocab_size == 4
    assert found.settings["max_new_tokens"] == 3
