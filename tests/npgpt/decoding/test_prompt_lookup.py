import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import prepare
from npgpt.decoding._settings import Settings
from npgpt.decoding._speculative import PromptLookup, prompt_lookup
from tests.helpers import slow_speculative as slow


@given(
    tokens=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    count=st.integers(1, 5),
    longest=st.integers(1, 4),
)
def test_is_what_followed_the_longest_ending_at_its_leftmost_place(tokens, count, longest):
    assert prompt_lookup(tokens, count, longest=longest) == slow.lookup(tokens, count, longest)


@pytest.mark.parametrize(
    ("tokens", "longest", "expected"),
    [
        ([7], 2, []),
        ([7, 7], 2, [7]),
        ([7, 7, 7, 7], 2, [7, 7]),  # an occurrence may overlap the ending
        ([1, 2, 8, 2, 9, 1, 2], 1, [8, 2, 9]),
        ([2, 9, 1, 2, 8, 5, 1, 2], 2, [8, 5, 1]),  # rather two tokens than further to the left
        ([2, 9, 4, 1, 2], 9, [9, 4, 1]),
        ([1, 2, 3, 4], 3, []),
    ],
)
def test_cases(tokens, longest, expected):
    assert prompt_lookup(tokens, 3, longest=longest) == expected
    assert prompt_lookup(tuple(tokens), 3, longest=longest) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_length": 12}, [5, 6, 7, 8]),
        ({"max_length": 12, "eos_token_id": 7}, [5, 6]),
        ({"max_length": 12, "stop_strings": "56"}, [5]),
        ({"max_length": 8}, [5]),  # the second one would fill the row
        ({"max_length": 7}, []),
    ],
)
def test_a_proposal_stops_before_the_token_that_would_end_the_row(settings, expected):
    given_ = Settings(**settings, prompt_lookup_num_tokens=4)
    problem = prepare([4, 5, 6, 7, 8, 4], given_, decode=lambda ids: "".join(map(str, ids)))
    lookup = PromptLookup(problem)
    assert lookup.select([0]) is lookup
    assert lookup.propose(problem.rows) == ([expected], lookup)
