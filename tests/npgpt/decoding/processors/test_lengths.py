import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from score_rows import score_rows

from npgpt.decoding.processors.lengths import min_length, min_new_tokens
from npgpt.decoding.row import Row


@given(scores=score_rows(), least=st.integers(0, 8), data=st.data())
def test_hold_every_eos_until_the_minimum_and_nothing_else(scores, least, data):
    vocab = scores.shape[1]
    eos = data.draw(st.lists(st.integers(0, vocab - 1), unique=True))
    tokens = st.lists(st.integers(0, vocab - 1), min_size=1, max_size=6)
    rows = []
    for _ in scores:
        row = data.draw(tokens)
        rows.append(Row(row, data.draw(st.integers(1, len(row)))))
    before = scores.copy()
    whole = min_length(rows, scores, length=least, eos_token_ids=eos)
    new = min_new_tokens(rows, scores, count=least, eos_token_ids=eos)
    np.testing.assert_array_equal(scores, before)
    assert whole.dtype == new.dtype == scores.dtype
    for index, row in enumerate(rows):
        for token in range(vocab):
            score = scores[index, token]
            held = token in eos
            short, short_new = len(row.tokens) < least, len(row.tokens) - row.prompt_length < least
            assert whole[index, token] == (-np.inf if held and short else score)
            assert new[index, token] == (-np.inf if held and short_new else score)
