from fractions import Fraction

import pytest
from hypothesis import given

from oracle.decoding._brute_force import best_texts, cells, drawn_in_turn, filtered, sampled, texts
from oracle.strategies._toy_language_models import toy_language_models

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


@given(toy_language_models(vocab=3))
def test_the_texts_share_all_probability(toy):
    found = list(texts(toy.probabilities, (0,), 3, [2]))
    assert sum(text.probability for text in found) == 1
    assert all(text.ended == (text.generated[-1] == 2) for text in found)
    assert len({text.generated for text in found}) == len(found)
    assert sampled(toy.probabilities, (0,), 3, eos=[2]) == {
        text.generated: text.probability for text in found
    }


def test_best_texts_by_score():
    even = lambda row: (THIRD, THIRD, THIRD)  # noqa: E731
    first = best_texts(even, (0,), 2, eos=[0], length_penalty=0.0)[0]
    assert first.generated == (0,)
    longest = best_texts(even, (0,), 2, eos=[0], length_penalty=2.0)[0]
    assert len(longest.generated) == 2
    found = best_texts(even, (0,), 2, eos=[0], fulfils=lambda text: text[0] == 1)
    assert [text.generated for text in found] == [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]


def test_filtered_is_exact():
    p = [Fraction(1, 10), Fraction(2, 10), Fraction(7, 10)]
    assert filtered(p, {"top_p": 0.7}) == [0, 0, 1]
    assert filtered(p, {"top_p": 0.9}) == [0, Fraction(2, 9), Fraction(7, 9)]
    assert filtered(p, {"temperature": 0.5}) == [Fraction(n, 54) for n in (1, 4, 49)]
    assert filtered(p, {"epsilon_cutoff": 0.2, "temperature": 1.0}) == filtered(p, {"min_p": 0.2})
    with pytest.raises(ValueError, match="temperature 2"):
        filtered(p, {"temperature": 2.0})


def test_cells_cover_all_uniforms_and_draws_leave_what_was_drawn():
    assert cells([HALF, Fraction(0), HALF]) == {0: (0, HALF), 2: (HALF, 1)}
    assert drawn_in_turn([THIRD, Fraction(0), THIRD], [0.5, 0.9, 0.9]) == [2, 0]
