import math

import numpy as np
import pytest
from hypothesis import given

from npgpt.audit._token_surprisal import rank, surprisal
from npgpt.errors import PromptError
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import traced_models


@whole_models
@given(traced_models())
def test_surprisal_and_rank_are_their_definitions(traced):
    _, tokens, trace = traced
    logits = trace["logits"]
    told, ranks = surprisal(logits, tokens), rank(logits, tokens)
    assert told.shape == ranks.shape == (len(tokens), tokens.shape[1] - 1)
    for row, place in np.ndindex(*told.shape):
        z = logits[row, place].astype(np.float64).tolist()
        own = z[tokens[row, place + 1]]
        top = max(z)
        expected = math.log(math.fsum(math.exp(x - top) for x in z)) + (top - own)
        # Differences, exponentials, their sum and its logarithm, each rounded a few times.
        allowed = gamma(len(z) + 16, np.float64) * (1 + 2 * (top - min(z)))
        assert abs(told[row, place] - expected) <= allowed
        assert ranks[row, place] == sum(x > own for x in z)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_token_that_all_are_as_likely_as_ranks_first(size):
    logits = np.full((1, 2, size), 7.25)
    tokens = np.array([[0, size - 1]])
    assert rank(logits, tokens) == 0
    assert abs(surprisal(logits, tokens)[0, 0] - math.log(size)) <= gamma(size + 16, np.float64)


@pytest.mark.parametrize("function", [surprisal, rank])
@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0, 1, 2]], r"tokens have shape \(1, 3\)"),
        ([[0.0, 1.0]], "dtype float64"),
        ([[0, 3]], "id 3 is not one of the 3 known ids"),
        ([[-1, 0]], "id -1 is not"),
    ],
)
def test_tokens_that_are_not_those_of_the_logits_are_refused(function, tokens, message):
    with pytest.raises(PromptError, match=message):
        function(np.zeros((1, 2, 3)), np.array(tokens))
