from fractions import Fraction

import numpy as np
from hypothesis import given

from npgpt.decoding._scoring import relative_probabilities
from tests.helpers import slow_decoding as slow
from tests.helpers.score_rows import score_rows


@given(scores=score_rows())
def test_equals_exact_exponentials(scores):
    before = scores.copy()
    result = relative_probabilities(scores)
    np.testing.assert_array_equal(scores, before)
    assert result.dtype == np.float64
    for row, got in zip(scores.tolist(), result.tolist(), strict=True):
        for exact, weight in zip(slow.relative(row), got, strict=True):
            # Exact at 0 and 1; else within rounding of it, or lost to underflow.
            error = exact * slow.rounding(row) + Fraction(np.finfo(np.float64).smallest_normal)
            assert abs(Fraction(weight) - exact) <= (0 if exact in (0, 1) else error)
