"""The automata of constraints against a look at the whole text."""

from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._beams import unmet
from npgpt.decoding._constrained_beam import all_followed, progress, useful
from tests.helpers.slow_beams import depth, holds

TOKENS = st.integers(0, 2)
PHRASE = st.lists(TOKENS, min_size=1, max_size=4).map(tuple)
CONSTRAINTS = st.lists(st.lists(PHRASE, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)


@given(constraints=CONSTRAINTS, text=st.lists(TOKENS, max_size=12).map(tuple))
def test_knows_what_the_whole_text_tells(constraints, text):
    matches = ((),) * len(constraints)
    for at, token in enumerate(text):
        better = [
            other
            for other in range(3)
            if progress(constraints, all_followed(constraints, matches, other))
            > progress(constraints, matches)
        ]
        assert set(better) <= set(useful(constraints, matches))
        matches = all_followed(constraints, matches, token)
        read = text[: at + 1]
        held = [any(holds(read, phrase) for phrase in phrases) for phrases in constraints]
        assert [match is None for match in matches] == held
        assert unmet(matches) == (not all(held))
        assert progress(constraints, matches) == sum(depth(read, p) for p in constraints)
