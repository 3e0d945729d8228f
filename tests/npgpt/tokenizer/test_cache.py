"""The words whose ids are kept: few enough, and of no effect but on time."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizer import _encoding as encoding
from npgpt.tokenizer._training import train
from tests.helpers.text_strategies import texts

TRAINED = train(["to be or not to be, that is the question"] * 2, vocab_size=280)


@given(st.lists(texts, max_size=5), st.integers(1, 3), st.integers(0, 4))
def test_ids_do_not_depend_on_what_is_kept(some: list[str], many: int, longest: int) -> None:
    expected = [TRAINED.encode(text) for text in some]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_CACHED_WORDS", many)
        patch.setattr(encoding, "_CACHED_LENGTH", longest)
        fresh = copy.copy(TRAINED)
        assert [fresh.encode(text) for text in some] == expected
        assert len(fresh._word_ids) <= many
        assert all(len(word) <= longest for word in fresh._word_ids)


def test_threads_may_share_a_tokenizer() -> None:
    text = " ".join(f"{number} times be" for number in range(3_000))
    expected = TRAINED.encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_CACHED_WORDS", 50)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(TRAINED.encode, [text] * 8)) == [expected] * 8
