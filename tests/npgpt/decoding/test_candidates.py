"""The best candidates, with all ties, and draws without replacement."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from npgpt.decoding._beams import Beam, best_places, drawn_places, totals
from npgpt.decoding._scoring import Row
from tests.helpers import slow_decoding as slow
from tests.helpers.score_rows import score_rows

LAST = float(np.nextafter(1.0, 0.0))


@given(scores=score_rows(most_rows=4), count=st.integers(1, 40))
def test_the_best_are_those_of_a_stable_sort(scores, count):
    flat = scores.astype(np.float64).ravel().tolist()
    ranked = sorted(range(len(flat)), key=lambda place: -flat[place])
    expected = [place for place in ranked if flat[place] > -np.inf][:count]
    assert best_places(scores.astype(np.float64), count).tolist() == expected


@given(scores=score_rows(), uniforms=st.lists(st.floats(0, LAST), max_size=9))
def test_draws_from_exact_shares_without_replacement(scores, uniforms):
    flat = scores.astype(np.float64).ravel().tolist()
    weights, expected = slow.relative(flat), {}
    try:
        for uniform in uniforms:
            total, reached = sum(weights), 0
            if not total:
                break
            for place, weight in enumerate(weights):
                reached += weight
                if weight and slow.less(
                    slow.Fraction(uniform), reached / total, slow.rounding(flat)
                ):
                    expected[place] = uniform
                    weights[place] = slow.Fraction(0)
                    break
            else:
                raise slow.UndecidedError
    except slow.UndecidedError:
        reject()
    assert drawn_places(scores.astype(np.float64), uniforms) == expected


@pytest.mark.parametrize("total", [0.0, -1e308, np.inf])
def test_a_score_of_minus_infinity_rules_out_whatever_came_before(total):
    beams = [Beam(Row([0], 1), total)]
    sums = totals(beams, np.array([[-np.inf, 0.0, -1e308]]))
    assert sums[0, 0] == -np.inf
    assert sums[0, 1] == total
    assert not np.isnan(sums).any()
